//! Images and settings of every kind.

use std::process::{Command, Stdio};

use docker_harness::{Failure, labels::Run};

use super::{at_desk, text};

#[test]
fn it_works_for_another_user_and_without_a_network() {
    at_desk(|desk| {
        desk.sandbox("user", &["--user", "1000:1000", "--network", "none"])?;
        assert_eq!(desk.says(&["exec", "user", "--", "id", "-u"])?, "1000");
        assert_eq!(
            desk.says(&["exec", "user", "--", "ls", "/sys/class/net"])?,
            "lo"
        );
        let words = ["exec", "--timeout", "1s", "user", "--", "sleep", "4030"];
        assert_eq!(desk.say(&words)?.status.code(), Some(124));
        assert_eq!(desk.count("user", "sleep 4030")?, 0);
        // Nobody becomes root by asking.
        let said = desk.say(&["exec", "--user", "0", "user", "--", "id"])?;
        assert!(!said.status.success());
        assert!(
            text(&said.stderr).contains("uid 0"),
            "{}",
            text(&said.stderr)
        );
        Ok(())
    });
}

#[test]
fn it_works_on_a_root_that_cannot_be_written() {
    at_desk(|desk| {
        desk.sandbox("sealed", &["--extra-arg=--read-only", "--persist"])?;
        let said = desk.say(&["exec", "sealed", "--", "touch", "/etc/new"])?;
        let why = text(&said.stderr);
        assert!(why.contains("Read-only file system"), "{why}");
        let script = "echo kept >/tmp/file && cat /tmp/file";
        assert_eq!(desk.says(&["exec", "sealed", "--shell", script])?, "kept");
        let words = ["exec", "--timeout", "1s", "sealed", "--", "sleep", "4032"];
        assert_eq!(desk.say(&words)?.status.code(), Some(124));
        assert_eq!(desk.count("sealed", "sleep 4032")?, 0);
        let job = desk.says(&["exec", "--detach", "sealed", "--", "echo", "from a job"])?;
        assert_eq!(
            desk.says(&["logs", "--follow", "sealed", &job])?,
            "from a job"
        );
        desk.says(&["rm", "--force", "sealed"])?;
        Ok(())
    });
}

#[test]
fn a_command_of_the_agents_own_user_cannot_take_its_limits_away() {
    at_desk(|desk| {
        desk.sandbox("limits", &["--persist"])?;
        for limit in ["--nofile=1:1", "--cpu=1:1", "--as=1:1"] {
            let said = desk.say(&["exec", "limits", "--", "prlimit", "--pid", "1", limit])?;
            assert!(!said.status.success(), "{limit}");
        }
        // Its own are its own.
        let script = "ulimit -n 99 && ulimit -n";
        assert_eq!(desk.says(&["exec", "limits", "--shell", script])?, "99");
        desk.says(&["rm", "--force", "limits"])?;
        Ok(())
    });
}

#[test]
fn it_works_under_the_init_of_an_image() {
    at_desk(|desk| {
        let image = docker_harness::image::base()?;
        let words = [
            "run", "--task", "init", "--image", &image, "--pull", "never", "--", "cat",
        ];
        let first = desk.says(&[&words[..], &["/proc/1/comm"]].concat())?;
        assert_ne!(first, "sandbox-agent");
        assert_eq!(
            desk.says(&["exec", "init", "--shell", "echo $((6 * 7))"])?,
            "42"
        );
        let words = ["exec", "--timeout", "1s", "init", "--", "sleep", "4031"];
        assert_eq!(desk.say(&words)?.status.code(), Some(124));
        assert_eq!(desk.count("init", "sleep 4031")?, 0);
        Ok(())
    });
}

/// An image with nothing in it.
struct Empty(String);

impl Empty {
    fn new() -> Result<Self, Failure> {
        let name = format!("talaria-empty:{}", Run::this().id);
        let mut import = Command::new("docker")
            .args(["import", "-", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut tar = tar::Builder::new(import.stdin.take().ok_or("no stdin")?);
        tar.finish()?;
        drop(tar);
        assert!(import.wait()?.success());
        Ok(Self(name))
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        drop(Command::new("docker").args(["rmi", &self.0]).output());
    }
}

#[test]
fn an_image_with_nothing_in_it_runs_the_agent_and_says_that_it_has_no_shell() {
    at_desk(|desk| {
        let image = Empty::new()?;
        let words = [
            "run",
            "--task",
            "empty",
            "--image",
            &image.0,
            "--pull",
            "never",
            "--persist",
        ];
        desk.says(&words)?;
        let version = ["exec", "empty", "--", "/.talaria/sandbox-agent", "version"];
        assert!(!desk.says(&version)?.is_empty());
        let said = desk.say(&["exec", "empty", "--shell", "true"])?;
        assert!(!said.status.success());
        assert!(
            text(&said.stderr).contains("shell"),
            "{}",
            text(&said.stderr)
        );
        let said = desk.say(&["exec", "empty", "--", "ls"])?;
        assert_eq!(said.status.code(), Some(127), "{}", text(&said.stderr));
        desk.says(&["rm", "--force", "empty"])?;
        Ok(())
    });
}
