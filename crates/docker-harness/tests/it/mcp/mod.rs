//! `talaria mcp`, as the official Python client sees it.
//!
//! The client runs in `scenarios.py` here, on an SDK that pip installs once into the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use docker_harness::TestResult;
use docker_harness::engine::skip;
use rstest::rstest;

use crate::python::python;
use crate::sandbox::{DEBIAN, program, with_rig};

/// The client's version: another one may name things differently.
const SDK: &str = "mcp==2.3.0";

/// Python with the SDK, or nothing where that cannot be had, which is told.
pub(super) fn sdk(test: &str) -> Option<PathBuf> {
    match python("mcp-client", SDK) {
        Ok(Ok(python)) => Some(python),
        Ok(Err(why)) => {
            skip(test, &format!("no MCP client: {why}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn play(scenario: &str) {
    let Some(python) = sdk(scenario) else {
        return;
    };
    with_rig(async |rig| -> TestResult {
        let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mcp/scenarios.py");
        let done = Command::new(python)
            .arg(scenarios)
            .arg(scenario)
            .env_clear()
            .env("HOME", rig.lab.scratch())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TALARIA_OWNER", rig.owner.as_str())
            .env("TALARIA", program())
            .env("IMAGE", DEBIAN)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()?;
        if done.status.success() {
            return Ok(());
        }
        // No panic: what the scenario has left is removed after this.
        let said = [done.stdout, done.stderr].concat();
        Err(format!("{}\n{}", done.status, String::from_utf8_lossy(&said)).into())
    });
}

#[rstest]
#[case::commands("commands")]
#[case::sessions("sessions")]
#[case::jobs("jobs")]
#[case::reading("reading")]
#[case::writing("writing")]
#[case::status("status")]
#[case::bounds_hold("bounds")]
#[case::progress_comes("progress")]
fn every_tool_works_for_the_official_client(#[case] scenario: &str) {
    play(scenario);
}

#[rstest]
#[case::a_conversation("conversation")]
#[case::what_cannot_be_asked("refusals")]
#[case::cancellation_kills("cancellation")]
fn the_protocol_is_kept(#[case] scenario: &str) {
    play(scenario);
}

#[rstest]
#[case::a_sandbox_that_vanishes("vanished")]
#[case::a_client_that_closes("closed")]
#[case::sigterm("terminated")]
#[case::a_server_that_is_killed("killed")]
fn whatever_dies_the_rest_is_told_and_nothing_runs_on(#[case] scenario: &str) {
    play(scenario);
}

#[test]
fn an_engine_that_is_not_there_is_told_to_the_model() {
    play("no_engine");
}

#[test]
fn the_printed_configuration_starts_the_server() {
    play("configuration");
}
