//! The guide for users of the agent: what it says is run.

use std::process::Command;

use docker_harness::Failure;

use super::{By, agent, play};
use crate::fast::{DEBIAN, Desk, at_desk, program, text};

const GUIDE: &str = include_str!("../../../../../docs/hermes.md");

/// What stands after a `$` in its examples, in order.
fn commands() -> Vec<&'static str> {
    let blocks = GUIDE.split("```").skip(1).step_by(2);
    let console = blocks.filter_map(|block| block.strip_prefix("console\n"));
    console
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("$ "))
        .collect()
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let Some(python) = agent("guide") else {
        return;
    };
    at_desk(|desk: &Desk| {
        let commands = commands();
        assert!(commands.len() > 5, "{commands:?}");
        let hermes = python.with_file_name("hermes");
        let bin = desk.home().join("bin");
        std::fs::create_dir(&bin)?;
        for program in [program(), &hermes] {
            let name = program.file_name().unwrap_or_default();
            std::os::unix::fs::symlink(program, bin.join(name))?;
        }
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
        // The first ones set the agent up, the rest look at what it has made.
        let (before, after): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .partition(|line| !line.starts_with("talaria sandbox"));
        let run = |line: &str| -> Result<String, Failure> {
            let line = line.replace("debian:trixie", DEBIAN);
            let mut command = Command::new("sh");
            desk.dress(command.args(["-ec", &line]));
            let done = command
                .env("PATH", &path)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .output()?;
            // What does not hold where this runs, such as a metadata address, is told.
            let is_verdict = line.contains(" verify ") && done.status.code() == Some(1);
            if done.status.success() || is_verdict {
                return Ok(text(&done.stdout));
            }
            let said = [done.stdout, done.stderr].concat();
            Err(format!("{line}: {}\n{}", done.status, text(&said)).into())
        };
        for line in before {
            run(line)?;
        }
        let host = play(desk, python, "tool", By::Sandboxes)?;
        for line in after {
            let told = run(&line.replace("hermes-1a2b3c4d", &host))?;
            assert!(!told.is_empty(), "{line} says nothing");
        }
        Ok(())
    });
}
