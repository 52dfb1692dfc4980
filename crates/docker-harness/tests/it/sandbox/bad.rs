//! Bad input, and engines that are none.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use docker_harness::{Failure, Level, wait_for};
use rstest::rstest;

use super::{DEBIAN, On, Rig, program, text, with_rig, with_rig_on};
use crate::common::SOON;

/// One line of message and one of hint, that code, and nothing created.
async fn refused(rig: &Rig<'_>, words: &[&str], code: i32, message: &str) -> Result<(), Failure> {
    let ended = rig.say(words)?;
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{words:?}: {said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines.len() == 2 && lines[1].starts_with("hint: "),
        "{words:?}: {said}"
    );
    assert!(
        lines[0].starts_with("talaria: ") && lines[0].contains(message),
        "{words:?}: {said}"
    );
    assert!(ended.stdout.is_empty());
    // An engine that removes a container by itself may still be at it.
    let gone = wait_for("nothing is left", SOON, async || {
        let left = rig.containers().await?;
        Ok::<_, Failure>(Level::when(left.is_empty(), left))
    });
    gone.await?;
    Ok(())
}

#[test]
fn what_cannot_be_is_one_message_with_a_hint_and_leaves_nothing() {
    with_rig(async |rig| {
        for (more, code, message) in [
            (&["--memory", "0", "--", "true"][..], 2, "memory"),
            (&["--memory", "1k", "--", "true"], 2, "memory"),
            (&["--cpus=-1", "--", "true"], 2, "cpus"),
            (&["--cpus", "9999", "--", "true"], 2, "cpus"),
            (&["--pids", "x", "--", "true"], 2, "pids"),
            (&["--disk", "1g", "--", "true"], 2, "disk"),
            (&["--network", "nonsense", "--", "true"], 2, "network"),
            (
                &["--network", "named:talaria-none", "--", "true"],
                3,
                "talaria-none",
            ),
            (&["--runtime", "none-such", "--", "true"], 2, "runtime"),
            (&["-v", "relative:", "--", "true"], 2, "mounts"),
            (
                &["-v", "/no/such/source:/x", "--", "true"],
                1,
                "/no/such/source",
            ),
            (&["-e", "NOT A NAME=1", "--", "true"], 2, "env"),
        ] {
            refused(rig, &rig.run("bad", more), code, message).await?;
        }
        let absent = [
            "run",
            "--image",
            "talaria-absent:none",
            "--pull",
            "never",
            "--",
            "true",
        ];
        refused(rig, &absent, 3, "talaria-absent:none").await?;
        let odd = ["run", "--image", "../x", "--pull", "never", "--", "true"];
        refused(rig, &odd, 2, "image").await?;
        refused(rig, &["exec", "nobody", "--", "true"], 3, "nobody").await?;
        refused(rig, &["cp", "a", "b"], 2, "neither").await?;
        Ok(())
    });
}

#[rstest]
fn a_port_that_is_taken_is_one_message_with_a_hint_and_leaves_nothing(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let publish = format!("--extra-arg=--publish={}:80", taken.local_addr()?);
        let mut options = vec![publish.as_str()];
        let file = rig.lab.scratch().join("spec.toml");
        let file = file.to_string_lossy();
        if matches!(on, On::Podman) {
            // Docker's command line is the one that is found.
            let words = rig.run("port", &[&publish, "--", "true"]);
            refused(rig, &words, 1, "docker's command line cannot tell Podman").await?;
            std::fs::write(&*file, "seccomp = \"engine-default\"\n")?;
            options.extend(["--spec", &file]);
        }
        let words = [&options[..], &["--", "true"]].concat();
        let message = "address already in use";
        refused(rig, &rig.run("port", &words), 1, message).await?;
        // Free again, and it is had.
        drop(taken);
        let ended = rig.say(&rig.run("port", &words))?;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        // Taken by another sandbox.
        let other = rig.run("other", &words);
        let ended = rig.say(&other)?;
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("hint: another container"), "{said}");
        Ok(())
    });
}

#[test]
fn a_program_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    with_rig(async |rig| {
        for (program, code) in [
            ("no-such-program", 127),
            ("/etc/passwd", 126),
            ("/etc", 126),
        ] {
            let ended = rig.say(&rig.run("code", &["--persist", "--", program]))?;
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(code), "{program}: {said}");
            assert!(ended.stdout.is_empty() && said.contains(program), "{said}");
        }
        Ok(())
    });
}

#[test]
fn an_image_without_a_program_is_a_clear_error() {
    with_rig(async |rig| {
        // An image with one empty file and nothing else.
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        archive.append_data(&mut header, "nothing", std::io::empty())?;
        let path = rig.lab.scratch().join("empty.tar");
        std::fs::write(&path, archive.into_inner()?)?;
        let image = format!("talaria-empty:{}", rig.owner.as_str().to_lowercase());
        let imported = std::process::Command::new("docker")
            .arg("import")
            .arg(&path)
            .arg(&image)
            .output()?;
        assert!(imported.status.success(), "{}", text(&imported.stderr));
        let words = ["run", "--image", &image, "--pull", "never"];
        let bare = [&words[..], &["--no-agent", "--", "true"]].concat();
        let done = refused(rig, &bare, 1, "sleep").await;
        // The agent needs nothing of the image, and says what is missing.
        let with_agent = rig.say(&[&words[..], &["--rm", "--", "true"]].concat())?;
        let said = text(&with_agent.stderr);
        assert_eq!(with_agent.status.code(), Some(127), "{said}");
        assert!(said.contains("\"true\""), "{said}");
        std::process::Command::new("docker")
            .args(["rmi", &image])
            .output()?;
        done
    });
}

/// Takes a request, whatever it is.
fn hear(connection: &mut UnixStream) {
    let mut request = [0; 1024];
    let heard = connection.read(&mut request);
    assert!(heard.is_ok(), "{heard:?}");
}

/// An engine that does that with each connection.
fn engine(rig: &Rig<'_>, name: &str, serve: fn(UnixStream)) -> Result<String, Failure> {
    let path = rig.lab.scratch().join(name);
    let listener = UnixListener::bind(&path)?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || serve(connection));
        }
    });
    Ok(format!("unix://{}", path.display()))
}

#[test]
fn an_engine_that_is_none_hangs_or_talks_nonsense_is_told_in_time() {
    with_rig(async |rig| {
        let silent = engine(rig, "silent", |mut connection| {
            let mut all = Vec::new();
            // Until the other side hangs up.
            connection.read_to_end(&mut all).ok();
        })?;
        let garbage = engine(rig, "garbage", |mut connection| {
            hear(&mut connection);
            connection.write_all(b"\x1b[2Jhello\r\n\r\n").ok();
        })?;
        let web = engine(rig, "web", |mut connection| {
            hear(&mut connection);
            connection
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope")
                .ok();
        })?;
        let cut = engine(rig, "cut", |mut connection| {
            hear(&mut connection);
            connection.write_all(b"HTTP/1.1 200 OK\r\nApi-Vers").ok();
        })?;
        let old = engine(rig, "old", |mut connection| {
            hear(&mut connection);
            connection
                .write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nContent-Length: 2\r\n\r\nOK")
                .ok();
        })?;
        for (address, message) in [
            ("unix:///no/such/socket", "no such socket"),
            (silent.as_str(), "has not answered"),
            (&garbage, "not a Docker or Podman engine"),
            (&web, "not a Docker or Podman engine"),
            (&cut, "no container engine answers"),
            (&old, "1.40"),
            ("ssh://somewhere", "cannot be used"),
        ] {
            // Which is built first, and that is not what is timed.
            program();
            let begun = Instant::now();
            let words = ["--engine", address, "run", "--image", DEBIAN, "--", "true"];
            refused(rig, &words, 5, message).await?;
            assert!(begun.elapsed() < Duration::from_secs(30), "{address}");
        }
        Ok(())
    });
}

#[test]
fn controls_in_what_a_sandbox_says_do_not_reach_the_terminal() {
    with_rig(async |rig| {
        rig.get(rig.file("evil\u{202e}task")).await?;
        let listed = rig.say(&["ls"])?;
        assert!(listed.status.success());
        let said = text(&listed.stdout);
        assert!(
            said.contains("evil") && !said.contains('\u{202e}'),
            "{said:?}"
        );
        Ok(())
    });
}
