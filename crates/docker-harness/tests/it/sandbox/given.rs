//! What a sandbox is given beside its container: variables for each command, and arguments that
//! only the engine's command line understands.

use std::fs;

use docker_harness::Failure;

use super::{Rig, text, with_rig};

const SAY: [&str; 3] = ["sh", "-c", "echo \"$GIVEN,$OPENAI_API_KEY,$OPEN_X,$FILED\""];

fn said(rig: &Rig<'_>, words: &[&str]) -> Result<String, Failure> {
    let home = rig.lab.scratch().join("hermes");
    fs::create_dir_all(&home)?;
    fs::write(home.join(".env"), "FILED='filed'\nGIVEN=other\n")?;
    let mut command = rig.talaria(words);
    command
        .env("HERMES_HOME", home)
        .env("GIVEN", "hunter2")
        .env("OPENAI_API_KEY", "key")
        .env("OPEN_X", "x");
    let ended = command.output()?;
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    Ok(text(&ended.stdout).trim().to_owned())
}

#[test]
fn forwarded_variables_reach_commands_and_no_container() {
    with_rig(async |rig| {
        let ways: [(&str, &[&str]); 2] = [
            ("agent", &["--persist"]),
            ("bare", &["--persist", "--no-agent"]),
        ];
        for (task, how) in ways {
            let all = [
                "--forward",
                "GIVEN",
                "--forward",
                "OPEN*",
                "--forward",
                "FILED",
                "--",
            ];
            let words = rig.run(task, &[how, &all, &SAY].concat());
            assert_eq!(said(rig, &words)?, "hunter2,,x,filed", "{task}");
            let shown = rig.say(&["inspect", "--json", task])?;
            let shown = text(&shown.stdout);
            assert!(
                shown.contains("OPEN") || !shown.contains("hunter2"),
                "{shown}"
            );
            assert!(!shown.contains("hunter2") && !shown.contains("filed"));
            // By its name, a key is meant.
            let named = ["exec", "--forward", "OPENAI_API_KEY", task, "--"];
            assert_eq!(said(rig, &[&named[..], &SAY].concat())?, ",key,,", "{task}");
            // And nothing stays.
            let words = rig.run(task, &[how, &["--"], &SAY].concat());
            assert_eq!(said(rig, &words)?, ",,,", "{task}");
        }
        let spec = rig.lab.scratch().join("spec.toml");
        fs::write(&spec, "forward = [\"GIVEN\"]\n")?;
        let spec = spec.to_string_lossy().into_owned();
        let how = ["--persist", "--spec", &spec, "--"];
        let words = rig.run("agent", &[&how[..], &SAY].concat());
        assert_eq!(said(rig, &words)?, "hunter2,,,");
        let wrong = rig.say(&rig.run("agent", &["--forward", "A=secret", "--", "true"]))?;
        assert_eq!(wrong.status.code(), Some(2));
        assert!(
            !text(&wrong.stderr).contains("secret"),
            "{}",
            text(&wrong.stderr)
        );
        Ok(())
    });
}

#[test]
fn extra_arguments_are_the_command_lines_and_are_shown() {
    with_rig(async |rig| {
        let extra = ["--persist", "--extra-arg=--hostname=by-hand"];
        let ask = ["--", "cat", "/etc/hostname"];
        for _ in 0..2 {
            let ended = rig.say(&rig.run("extra", &[&extra[..], &ask].concat()))?;
            assert_eq!(text(&ended.stdout), "by-hand\n", "{}", text(&ended.stderr));
            assert_eq!(rig.containers().await?.len(), 1);
        }
        let listed = text(&rig.say(&["ls"])?.stdout);
        assert!(listed.contains("modified by extra args"), "{listed}");
        // Secrets of the container go through its command line's surroundings.
        let secret = [
            &extra[..],
            &[
                "-e",
                "API_TOKEN=hunter2",
                "--",
                "sh",
                "-c",
                "echo $API_TOKEN",
            ],
        ];
        let ended = rig.say(&rig.run("secret", &secret.concat()))?;
        assert_eq!(text(&ended.stdout), "hunter2\n", "{}", text(&ended.stderr));
        let other = ["--persist", "--extra-arg=--hostname=another"];
        let ended = rig.say(&rig.run("extra", &[&other[..], &ask].concat()))?;
        assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
        let before = rig.containers().await?.len();
        for (extra, message) in [
            ("--extra-arg=--no-such-flag", "no-such-flag"),
            ("--extra-arg=--name=talaria-by-hand", "another name"),
        ] {
            let ended = rig.say(&rig.run("wrong", &[extra, "--", "true"]))?;
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{said}");
            assert!(said.contains(message) && said.contains("hint: "), "{said}");
        }
        let mut without = rig.talaria(&rig.run("wrong", &["--extra-arg=--tty", "--", "true"]));
        let without = without.env("HERMES_DOCKER_BINARY", "/bin/false").output()?;
        let said = text(&without.stderr);
        assert!(
            said.contains("false ended with 1") && said.contains("hint: "),
            "{said}"
        );
        assert_eq!(rig.containers().await?.len(), before, "nothing is left");
        Ok(())
    });
}

#[test]
fn a_disk_limit_that_cannot_be_enforced_is_left_out_only_where_that_is_allowed() {
    with_rig(async |rig| {
        let disk = ["--disk", "1g", "--persist", "--allow-unenforced"];
        let info = rig.engine.disk_quota_works(super::DEBIAN).await;
        let words = rig.run("disk", &[&disk[..], &["--", "echo", "up"]].concat());
        let ended = rig.say(&words)?;
        assert_eq!(text(&ended.stdout), "up\n", "{}", text(&ended.stderr));
        let words = rig.run("disk", &disk).split_off(1);
        let shown = rig.say(&[&["verify", "--json"], &words[..]].concat())?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
        let fields = shown["unenforced"].as_array().into_iter().flatten();
        let left_out = fields.filter(|one| one["field"] == "disk").count();
        assert_eq!(left_out == 0, info == Some(true), "{shown:#}");
        Ok(())
    });
}
