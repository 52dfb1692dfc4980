//! On a host: no engine, no permission, a wrong image, a name that is taken, a full disk.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use docker_harness::labels::Run;
use docker_harness::{Failure, TestResult};

use super::Table;
use crate::fast::{DEBIAN, Desk, at_desk};
use crate::sandbox::program;

/// Nobody's uid.
const NOBODY: u32 = 65534;

/// Types `talaria …` and notes what comes of it.
fn say(table: &mut Table, desk: &Desk, title: &str, words: &[&str]) -> TestResult {
    say_with(table, desk, title, &[], words)
}

fn say_with(
    table: &mut Table,
    desk: &Desk,
    title: &str,
    variables: &[(&str, &str)],
    words: &[&str],
) -> TestResult {
    let mut command = Command::new(program());
    desk.dress(command.args(words));
    let said = command.envs(variables.iter().copied()).output()?;
    let set = variables
        .iter()
        .map(|(name, value)| format!("{name}={value} "));
    let typed = format!("{}talaria {}", set.collect::<String>(), words.join(" "));
    table.output(title, &typed, &said);
    Ok(())
}

fn docker(words: &[&str]) -> Result<String, Failure> {
    let done = Command::new("docker").args(words).output()?;
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    let said = String::from_utf8(done.stdout)?;
    if done.status.success() {
        Ok(said.trim().to_owned())
    } else {
        Err(format!("docker {words:?}: {error}").into())
    }
}

#[test]
fn without_an_engine_each_command_says_where_it_looked_and_what_to_do() {
    at_desk(|desk| {
        let mut table = Table::default();
        for directory in ["/usr/local/bin", "/usr/bin", "/bin"] {
            table.redact(format!("\t{directory}/docker\t"), "\tDOCKER\t");
        }
        let run = ["sandbox", "run", "--image", "debian:trixie", "--", "true"];
        let nowhere = [("DOCKER_HOST", "unix:///no/such/docker.sock")];
        say_with(&mut table, desk, "no engine there", &nowhere, &run)?;
        let exec = ["sandbox", "exec", "build", "--", "true"];
        say_with(
            &mut table,
            desk,
            "nor for a sandbox of before",
            &nowhere,
            &exec,
        )?;
        let doctor = ["sandbox", "doctor"];
        say_with(&mut table, desk, "what the doctor says", &nowhere, &doctor)?;
        let far = [("DOCKER_HOST", "ssh://server")];
        say_with(&mut table, desk, "an engine behind ssh", &far, &run)?;
        insta::assert_snapshot!("no_engine", table.text);
        Ok(())
    });
}

#[test]
fn whoever_may_not_use_the_socket_is_told_how_one_may() {
    at_desk(|desk| {
        let mut table = Table::default();
        std::fs::set_permissions(desk.home(), Permissions::from_mode(0o755))?;
        let socket = desk.home().join("docker.sock");
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, Permissions::from_mode(0o000))?;
        // Nobody may not enter the folder that this was built in.
        let copy = desk.home().join("talaria");
        std::fs::copy(program(), &copy)?;
        let words = ["sandbox", "run", "--image", "debian:trixie", "--", "true"];
        let mut command = Command::new(&copy);
        desk.dress(command.args(words));
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        if rustix::process::getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let said = command.output()?;
        table.redact(desk.home().display().to_string(), "/run");
        table.output(
            "not in the group docker",
            &format!("talaria {}", words.join(" ")),
            &said,
        );
        drop(listener);
        insta::assert_snapshot!("no_permission", table.text);
        Ok(())
    });
}

#[test]
fn what_cannot_be_had_is_told_with_what_can() {
    at_desk(|desk| {
        let mut table = Table::default();
        table.redact(DEBIAN, "debian:trixie");
        let run = |more: &[&'static str]| [&["sandbox", "run"], more].concat();
        for (title, words) in [
            (
                "an image that is not there",
                run(&["--image", "debian:trixy", "--pull", "never", "--", "true"]),
            ),
            ("no image", run(&["--", "true"])),
            (
                "a name that no image can have",
                run(&["--image", "../x", "--", "true"]),
            ),
            (
                "a limit that is none",
                run(&["--image", DEBIAN, "--memory", "4", "--", "true"]),
            ),
            (
                "a network that is not there",
                run(&[
                    "--image",
                    DEBIAN,
                    "--network",
                    "named:talaria-none",
                    "--",
                    "true",
                ]),
            ),
            (
                "a directory that is not there",
                run(&["--image", DEBIAN, "-v", "/no/such:/src", "--", "true"]),
            ),
            (
                "a sandbox that is not there",
                vec!["sandbox", "exec", "build", "--", "true"],
            ),
            ("no side that is a sandbox", vec!["sandbox", "cp", "a", "b"]),
            (
                "a program that is not there",
                run(&["--image", DEBIAN, "--task", "build", "--", "pyhton3"]),
            ),
            (
                "other limits than it has",
                run(&[
                    "--image", DEBIAN, "--task", "build", "--memory", "1g", "--", "true",
                ]),
            ),
        ] {
            say(&mut table, desk, title, &words)?;
        }
        desk.says(&["exec", "--detach", "build", "--", "sleep", "1000"])?;
        let busy = ["sandbox", "rm", "build"];
        say(&mut table, desk, "one that is running a command", &busy)?;
        insta::assert_snapshot!("not_to_be_had", table.text);
        Ok(())
    });
}

#[test]
fn a_name_that_another_container_has_is_told() {
    at_desk(|desk| {
        let mut table = Table::default();
        table.redact(DEBIAN, "debian:trixie");
        let name = desk.sandbox("taken", &[])?;
        desk.says(&["rm", "--force", "taken"])?;
        let labels = Run::this().labels("errors");
        let labels = labels
            .iter()
            .map(|(key, value)| format!("--label={key}={value}"));
        let labels: Vec<_> = labels.collect();
        let mut words = vec!["create", "--name", &name];
        words.extend(labels.iter().map(String::as_str));
        words.push(DEBIAN);
        let other = docker(&words)?;
        let run = [
            "sandbox", "run", "--image", DEBIAN, "--task", "taken", "--", "true",
        ];
        let said = say(&mut table, desk, "the container's name is taken", &run);
        docker(&["rm", &other])?;
        said?;
        insta::assert_snapshot!("name_taken", table.text);
        Ok(())
    });
}

#[test]
fn a_full_file_system_is_told_from_a_full_engine() {
    at_desk(|desk| {
        let mut table = Table::default();
        let volume = format!("talaria-test-tiny-{}", Run::this().id);
        let labels = Run::this().labels("errors");
        let labels = labels
            .iter()
            .map(|(key, value)| format!("--label={key}={value}"));
        let labels: Vec<_> = labels.collect();
        let mut words = vec!["volume", "create", "--driver", "local"];
        words.extend(["--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=64k"]);
        words.extend(labels.iter().map(String::as_str));
        words.push(&volume);
        docker(&words)?;
        let mount = format!("{volume}:/tiny");
        let said = full(&mut table, desk, &mount);
        desk.says(&["rm", "--all", "--force"])?;
        docker(&["volume", "rm", "-f", &volume])?;
        said?;
        insta::assert_snapshot!("full", table.text);
        Ok(())
    });
}

fn full(table: &mut Table, desk: &Desk, mount: &str) -> TestResult {
    desk.sandbox("build", &["-v", mount])?;
    let big = desk.home().join("big");
    std::fs::write(&big, vec![b'x'; 1_000_000])?;
    let big = big.display().to_string();
    table.redact(desk.home().display().to_string(), "~");
    let cp = ["sandbox", "cp", &big, "build:/tiny/big"];
    say(table, desk, "the volume in the sandbox is full", &cp)?;
    let shm = [
        "exec",
        "build",
        "--",
        "sh",
        "-c",
        "cat /dev/zero > /dev/shm/filler; true",
    ];
    desk.says(&shm)?;
    let cp = ["sandbox", "cp", &big, "build:/dev/shm/big"];
    say(table, desk, "so is a tmpfs of its own", &cp)?;

    // A small file system of this machine, which this test alone sees.
    desk.says(&["cp", &big, "build:/opt/big"])?;
    let small = desk.home().join("small");
    std::fs::create_dir(&small)?;
    let root = rustix::process::getuid().is_root();
    let own_mounts: &[&str] = if root {
        &["--mount"]
    } else {
        &["--mount", "--map-root-user"]
    };
    let script = "mount -t tmpfs -o size=64k none \"$1\" && shift && exec \"$@\"";
    let words = [
        "sandbox",
        "--no-broker",
        "cp",
        "build:/opt/big",
        "small/big",
    ];
    let mut command = Command::new("unshare");
    command
        .args(own_mounts)
        .args(["sh", "-c", script, "sh"])
        .arg(&small)
        .arg(program())
        .args(words)
        .current_dir(desk.home());
    desk.dress(&mut command);
    let said = command.output()?;
    table.output(
        "this machine's is",
        &format!("talaria {}", words.join(" ")),
        &said,
    );

    let fifo = desk.home().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status()?;
    assert!(made.success());
    let to = fifo.display().to_string();
    let cp = ["sandbox", "cp", "build:/opt/big", &to];
    say(table, desk, "what is there is no file", &cp)
}
