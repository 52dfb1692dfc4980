//! `talaria sandbox doctor` on a host: what is found of its engine, and what to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use docker_harness::engine::skip;
use rustix::process::getuid;
use serde_json::Value;

use super::{Rig, program, text, with_rig};

/// State, name, detail and hint of each finding, with what differs from machine to machine left out.
fn told(stdout: &[u8], scratch: &Path) -> Vec<String> {
    let found: Value = serde_json::from_slice(stdout).unwrap_or_default();
    let scratch = scratch.to_string_lossy();
    let line = |one: &Value| {
        let word = |key: &str| {
            one[key]
                .as_str()
                .unwrap_or_default()
                .replace(&*scratch, "(here)")
        };
        let (state, name) = (word("state"), word("name"));
        match word("hint") {
            hint if hint.is_empty() => format!("{state} {name}"),
            hint => format!("{state} {name}: {}; {hint}", word("detail")),
        }
    };
    let all = found.as_array().into_iter().flatten();
    // Which command line is installed is no matter of the engine.
    all.filter(|one| one["name"] != "command line")
        .map(line)
        .collect()
}

fn asked(rig: &Rig<'_>, address: &str, code: i32) -> Vec<String> {
    let said = rig.say(&["--engine", address, "doctor", "--json"]);
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said.status.code(), Some(code), "{}", text(&said.stderr));
    told(&said.stdout, rig.lab.scratch())
}

#[test]
fn a_good_engine_has_nothing_that_is_bad() {
    with_rig(async |rig| {
        let found = asked(rig, "unix:///var/run/docker.sock", 0);
        let names: Vec<_> = found
            .iter()
            .map(|one| one.split([' ', ':']).nth(1).unwrap_or_default())
            .collect();
        let expected = [
            "engine",
            "memory",
            "swap",
            "processors",
            "processes",
            "seccomp",
            "storage",
            "network",
        ];
        assert_eq!(names, expected, "{found:?}");
        assert!(!found.iter().any(|one| one.starts_with("bad")), "{found:?}");
        Ok(())
    });
}

#[test]
fn no_engine_is_told_with_what_to_do() {
    with_rig(async |rig| {
        let found = asked(rig, "unix:///no/such/socket", 5);
        insta::assert_debug_snapshot!(found, @r#"
        [
            "bad engine: no container engine answers; tried unix:///no/such/socket (as told: no such socket); is it running there? without DOCKER_HOST and docker context the usual sockets are tried",
        ]
        "#);
        // The same, where a variable names it.
        let mut search = Command::new(program());
        search
            .args(["sandbox", "doctor", "--json"])
            .env_clear()
            .env("HOME", rig.lab.scratch())
            .env("DOCKER_HOST", "unix:///no/such/socket");
        let said = search.output()?;
        assert_eq!(said.status.code(), Some(5), "{}", text(&said.stderr));
        insta::assert_debug_snapshot!(told(&said.stdout, rig.lab.scratch()), @r#"
        [
            "bad engine: no container engine answers; tried unix:///no/such/socket (DOCKER_HOST: no such socket); is it running there? without DOCKER_HOST and docker context the usual sockets are tried",
        ]
        "#);
        Ok(())
    });
}

#[test]
fn an_engine_that_may_not_be_asked_is_told_with_what_to_do() {
    with_rig(async |rig| {
        if !getuid().is_root() {
            skip(rig.lab.test(), "another user's view needs root");
            return Ok(());
        }
        // A socket as an engine makes it, for root alone, and a program that anybody finds.
        let scratch = rig.lab.scratch();
        fs::set_permissions(scratch, fs::Permissions::from_mode(0o755))?;
        let socket = scratch.join("engine.sock");
        let _listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
        let copy = scratch.join("talaria");
        fs::copy(program(), &copy)?;
        let said = Command::new(&copy)
            .args(["sandbox", "--engine"])
            .arg(format!("unix://{}", socket.display()))
            .args(["doctor", "--json"])
            .env_clear()
            .env("HOME", "/nonexistent")
            .uid(65534)
            .gid(65534)
            .output()?;
        assert_eq!(said.status.code(), Some(5), "{}", text(&said.stderr));
        insta::assert_debug_snapshot!(told(&said.stdout, scratch), @r#"
        [
            "bad engine: no container engine answers; tried unix://(here)/engine.sock (as told: not permitted); usermod -aG docker USER and a new login let a user in (and make it root-equivalent); rootless Docker or Podman need no such right",
        ]
        "#);
        Ok(())
    });
}
