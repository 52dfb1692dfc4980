//! The fixtures themselves: a test that trusts them may be as short as it is.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bollard::models::ContainerStateStatusEnum as Status;
use docker_harness::sweep::{Owned, leftovers, sweep};
use docker_harness::{Engine, Identity, Lab, Level, Size, Spec, Tree, on_base, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// A container of the image under test, without its init.
fn bare(lab: &Lab, script: &str) -> Spec {
    lab.container().entrypoint(["/bin/sh", "-c", script])
}

/// The same, by the way that needs no files, terminal or stdin.
fn plain(lab: &Lab, script: &str) -> Spec {
    lab.container()
        .entrypoint(["/bin/sh"])
        .command(["-c", script])
}

#[test]
fn a_container_gives_its_code_and_its_two_streams() {
    on_base(async |lab| {
        let script = "echo out; echo err >&2; exit 42";
        for spec in [bare(lab, script), plain(lab, script)] {
            let ended = lab.run(spec, SOON).await?;
            assert_eq!(
                (42, "out\n", "err\n"),
                (ended.code, &*ended.output.out(), &*ended.output.err())
            );
        }
        Ok(())
    });
}

#[test]
fn both_ways_to_start_create_the_same_container() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let spec = plain(lab, "id -u; id -G; pwd; echo \"$A\"; grep -c . /proc/1/environ; ls -ld /data; grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; grep ' /scratch ' /proc/mounts")
            .env("A", "b=c")
            .user("10000:10000")
            .workdir("/usr")
            .group_add("44")
            .cap_drop("ALL")
            .security_opt("no-new-privileges")
            .tmpfs("/scratch", "rw,noexec,size=1m")
            .read_only()
            .volume_as_it_is(&volume, "/data");
        let through_testcontainers = lab.run(spec.clone(), SOON).await?;
        let through_bollard = lab.create(&spec).await?;
        through_bollard.start().await?;
        assert_eq!(through_testcontainers, through_bollard.ended(SOON).await?);
        assert_eq!(0, through_testcontainers.code);
        Ok(())
    });
}

#[test]
fn stdin_arrives_and_ends() {
    on_base(async |lab| {
        let mut attached = lab.attach(bare(lab, "cat; echo end").stdin()).await?;
        attached.write(b"one\n\0two").await?;
        attached.close_stdin().await?;
        let ended = attached.ended(SOON).await?;
        assert_eq!(
            (0, b"one\n\0twoend\n".to_vec()),
            (ended.code, ended.output.stdout)
        );
        Ok(())
    });
}

#[test]
fn a_terminal_is_typed_on_read_and_resized() {
    on_base(async |lab| {
        let spec = bare(
            lab,
            "read line; echo got $line; trap 'stty size' WINCH; while :; do read again && break; done; exit 3",
        );
        let mut terminal = lab
            .terminal(spec.terminal(Size {
                rows: 33,
                columns: 99,
            }))
            .await?;
        terminal.write("hello\r").await?;
        terminal.read_until("got hello", SOON).await?;
        terminal
            .resize(Size {
                rows: 12,
                columns: 34,
            })
            .await?;
        terminal.read_until("12 34", SOON).await?;
        terminal.write("\r").await?;
        terminal.read_to_end(SOON).await?;
        assert_eq!(3, terminal.container().wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn exec_is_hermes_unless_it_says_root() {
    on_base(async |lab| {
        let container = lab.start(plain(lab, "exec sleep 1000")).await?;
        assert_eq!("10000\n", container.exec(["id", "-u"]).await?.stdout);
        assert_eq!("0\n", container.exec_root(["id", "-u"]).await?.stdout);
        let other = container
            .exec_as(Identity::Ids(7, 8), ["sh", "-c", "id -u; id -g"], None)
            .await?;
        assert_eq!("7\n8\n", other.stdout);
        let executed = container.exec_as(
            Identity::Hermes,
            ["sh", "-c", "cat; echo no >&2; exit 9"],
            Some(b"fed"),
        );
        let executed = executed.await?;
        assert_eq!(
            (9, "fed", "no\n"),
            (executed.code, &*executed.stdout, &*executed.stderr)
        );
        assert_eq!(137, container.shell("kill -9 $$").await?.code);
        Ok(())
    });
}

#[test]
fn files_are_there_before_the_start_with_owner_mode_and_kind() {
    on_base(async |lab| {
        let files = Tree::new()
            .directory("/etc/probe", 0o750)
            .file("/etc/probe/file", 0o640, "content")
            .owned_by(10_000, 10_000)
            .script("/etc/probe/script", "echo ran")
            .symlink("/etc/probe/link", "file")
            .fifo("/etc/probe/fifo", 0o600);
        let script = "cd /etc/probe; stat -c '%n %F %a %u' . *; cat link; ./script";
        let ended = lab.run(bare(lab, script).files(files), SOON).await?;
        let expected = ". directory 750 0\nfifo fifo 600 0\nfile regular file 640 10000\nlink symbolic link 777 0\nscript regular file 755 0\ncontentran\n";
        assert_eq!(expected, ended.output.out());
        Ok(())
    });
}

#[test]
fn files_reach_a_volume_before_the_start() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let files = Tree::new()
            .file("/data/file", 0o600, "kept")
            .owned_by(1234, 1234);
        lab.run(
            bare(lab, "true")
                .volume_as_it_is(&volume, "/data")
                .files(files),
            SOON,
        )
        .await?;
        let look = plain(lab, "stat -c '%a %u' /data/file; cat /data/file");
        let ended = lab
            .run(look.volume_as_it_is(&volume, "/data"), SOON)
            .await?;
        assert_eq!("600 1234\nkept", ended.output.out());
        Ok(())
    });
}

#[test]
fn raw_environment_arrives_byte_for_byte() {
    on_base(async |lab| {
        let raw: Vec<u8> = (1..=255).chain(*b"\n\n").collect();
        let spec =
            bare(lab, "printf %s \"$RAW\" | od -An -v -tx1 | tr -d ' \\n'").raw_env("RAW", &raw);
        let hex = raw
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(hex, lab.run(spec, SOON).await?.output.out());
        Ok(())
    });
}

#[test]
fn the_process_table_is_read() {
    on_base(async |lab| {
        let container = lab
            .start(plain(lab, "sleep 1001 & exec sleep 1002"))
            .await?;
        let drawn = wait_for("two processes", SOON, async || {
            let processes = container.processes().await?;
            let two = processes.iter().count() == 2
                && processes.get(1).is_some_and(|it| it.comm == "sleep");
            Ok::<_, docker_harness::EngineError>(if two {
                Level::Holds(processes.drawn())
            } else {
                Level::Not(processes.drawn())
            })
        });
        assert_eq!("0 sleep 1002\n  0 sleep 1001\n", drawn.await?);
        Ok(())
    });
}

#[test]
fn a_container_is_stopped_killed_and_started_again() {
    on_base(async |lab| {
        let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done";
        let container = lab.start(plain(lab, script)).await?;
        container.says("ready", SOON).await?;
        container.stop(SOON).await?;
        let state = container.state().await?;
        assert_eq!((false, Status::EXITED), (state.running, state.status));
        container.start().await?;
        container.kill("SIGKILL").await?;
        assert_eq!(137, container.wait(SOON).await?);
        container.restart(Duration::ZERO).await?;
        assert!(container.state().await?.running);
        Ok(())
    });
}

#[test]
fn a_lab_removes_what_it_created() {
    let mut created = Vec::new();
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let container = lab
            .start(plain(lab, "sleep 1000").volume(&volume, "/data"))
            .await?;
        created = vec![container.name().to_owned(), volume];
        Ok(())
    });
    on_base(async |lab| {
        for name in &created {
            let docker = lab.engine().docker();
            assert!(
                docker.inspect_container(name, None).await.is_err(),
                "{name} is still there"
            );
            assert!(
                docker.inspect_volume(name).await.is_err(),
                "{name} is still there"
            );
        }
        Ok(())
    });
}

/// The variable that makes [`child_that_is_killed`] run.
const CHILD: &str = "TALARIA_TEST_CHILD";

/// Not a test of its own: creates a container and a volume, says so, and waits to be killed.
#[test]
#[ignore = "started by what_a_killed_process_left_is_swept"]
fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let container = lab
            .start(plain(lab, "exec sleep 1000").volume(&volume, "/data"))
            .await?;
        println!(
            "\nCREATED {} {volume} {}",
            container.name(),
            lab.scratch().display()
        );
        std::future::pending().await
    });
}

#[test]
fn what_a_killed_process_left_is_swept() {
    on_base(async |lab| {
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "fixtures::child_that_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let created = stdout.lines().map_while(Result::ok).find_map(|line| {
            let mut words = line.strip_prefix("CREATED ")?.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        });
        let (container, volume, scratch) = created.ok_or("the child created nothing")?;
        child.kill()?;
        child.wait()?;

        let engine = Engine::connect().await?;
        let docker = lab.engine().docker();
        let id = docker
            .inspect_container(&container, None)
            .await?
            .id
            .unwrap_or_default();
        let found = leftovers(&engine).await?;
        assert!(found.contains(&Owned::Container(id)), "{found:?}");
        sweep(&engine).await?;
        assert!(docker.inspect_container(&container, None).await.is_err());
        assert!(docker.inspect_volume(&volume).await.is_err());
        assert!(!std::fs::exists(scratch)?);
        Ok(())
    });
}

#[test]
fn a_failed_test_tells_the_story_of_its_containers() {
    let failed = std::panic::catch_unwind(|| {
        on_base(async |lab| {
            let container = lab.start(plain(lab, "echo told; exec sleep 1000")).await?;
            container.wait(Duration::from_millis(500)).await?;
            Ok(())
        });
    });
    // Where no engine answers, it was skipped.
    let Err(panic) = failed else { return };
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    for part in ["not done within 500ms", "running: true", "stdout:\ntold\n"] {
        assert!(
            message.contains(part),
            "{part:?} is missing from: {message}"
        );
    }
}
