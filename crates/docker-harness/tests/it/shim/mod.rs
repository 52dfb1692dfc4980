//! `talaria docker-shim`, as the Hermes agent and as people use it.
//!
//! The agent's backend runs in `scenarios.py` here, unmodified, from the package that pip installs
//! once into the target folder.

mod guide;
mod load;
mod words;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use docker_harness::engine::skip;
use docker_harness::labels::Run;
use docker_harness::{Failure, TestResult};
use rstest::rstest;

use crate::fast::{DEBIAN, Desk, at_desk, program, text};
use crate::python::python;

/// The agent whose words are understood.
const AGENT: &str = "hermes-agent==0.19.0";

/// What the backend makes.
#[derive(Debug, Clone, Copy)]
enum By {
    Sandboxes,
    Docker,
}

/// A link by docker's name.
fn link(desk: &Desk) -> Result<PathBuf, Failure> {
    let link = desk.home().join("docker");
    if !link.is_symlink() {
        symlink(program(), &link)?;
    }
    Ok(link)
}

/// Python with the agent, or nothing where that cannot be had, which is told.
fn agent(test: &str) -> Option<PathBuf> {
    match python("hermes-client", AGENT) {
        Ok(Ok(python)) => Some(python),
        Ok(Err(why)) => {
            skip(test, &format!("no Hermes agent: {why}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn play(desk: &Desk, python: PathBuf, scenario: &str, by: By) -> Result<String, Failure> {
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/shim/scenarios.py");
    let labels: Vec<_> = Run::this()
        .labels(scenario)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut command = Command::new(python);
    desk.dress(command.args([scenarios, scenario]));
    command
        .env("IMAGE", DEBIAN)
        .env("LABELS", serde_json::to_string(&labels)?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TALARIA", program())
        // Containers of the plain backend have no owner.
        .env("TASK", format!("{scenario}-{}", Run::this().id));
    if let By::Sandboxes = by {
        command.env("HERMES_DOCKER_BINARY", link(desk)?);
    }
    let done = command.output()?;
    if done.status.success() {
        return Ok(text(&done.stdout).trim().to_owned());
    }
    // No panic: what the scenario has left is removed after this.
    let said = [done.stdout, done.stderr].concat();
    Err(format!("{}\n{}", done.status, text(&said)).into())
}

#[rstest]
#[case::commands("commands")]
#[case::a_hundred_megabytes("much")]
#[case::walls("hardened")]
#[case::another_process("reuse")]
#[case::directories_that_are_kept("kept")]
#[case::cleaning_up("cleanup")]
#[case::orphans("reaping")]
#[case::variables("forwarded")]
#[case::whatever_vanishes("vanished")]
#[case::refusals("refused")]
fn the_unmodified_backend_works_on_sandboxes(#[case] scenario: &str) {
    let Some(python) = agent(scenario) else {
        return;
    };
    at_desk(|desk| play(desk, python, scenario, By::Sandboxes).map(drop));
}

#[rstest]
#[case::in_a_sandbox(By::Sandboxes, "0")]
#[case::with_the_real_docker(By::Docker, "3")]
fn of_a_command_that_takes_too_long_is_left(#[case] by: By, #[case] left: &str) {
    let Some(python) = agent("timeout") else {
        return;
    };
    at_desk(|desk| {
        let told = play(desk, python, "timeout", by)?;
        if told == left {
            return Ok(());
        }
        Err(format!("{told} of 3 processes are left").into())
    });
}

/// Runs a command by the link.
fn docker(desk: &Desk, words: &[&str]) -> Result<Output, Failure> {
    let mut command = Command::new(link(desk)?);
    desk.dress(command.args(words));
    Ok(command.output()?)
}

/// Runs it by the real program.
fn real(desk: &Desk, words: &[&str]) -> Result<Output, Failure> {
    let mut command = Command::new("docker");
    desk.dress(command.args(words));
    Ok(command.output()?)
}

/// Makes a container as the backend does; its id.
fn container(desk: &Desk, name: &str) -> Result<String, Failure> {
    let words = "run -d --init --name NAME --label hermes-agent=1 --label hermes-task-id=t \
         --label hermes-profile=default -w /root --cap-drop ALL --tmpfs /tmp:rw,nosuid,size=512m \
         --pids-limit 256 IMAGE sleep infinity";
    let words: Vec<_> = words
        .split_whitespace()
        .map(|word| match word {
            "NAME" => name,
            "IMAGE" => DEBIAN,
            word => word,
        })
        .collect();
    let made = docker(desk, &words)?;
    if !made.status.success() {
        return Err(text(&made.stderr).into());
    }
    Ok(text(&made.stdout).trim().to_owned())
}

/// Fails where what came of a command is not this.
fn expect(output: &Output, code: i32, stdout: &str, stderr: &str) -> TestResult {
    let told = (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    );
    if told == (Some(code), stdout.to_owned(), stderr.to_owned()) {
        return Ok(());
    }
    Err(format!("{told:?}, and not {:?}", (code, stdout, stderr)).into())
}
