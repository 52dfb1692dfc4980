//! Rows about a whole container: starting it and stopping it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::BenchError;
use super::report::{Goal, Row};
use super::sample::{in_turns, time};
use crate::process::{self, ProcessError};

/// How long a container may take to be ready for its measurement.
const READY: Duration = Duration::from_secs(30);

/// Ten services in the agent's scandir, each up as soon as it is scanned.
const TEN_SERVICES: &str = "for n in 0 1 2 3 4 5 6 7 8 9; do mkdir /run/service/idle-$n; \
    printf '#!/bin/sh\\nexec sleep infinity\\n' > /run/service/idle-$n/run; chmod +x /run/service/idle-$n/run; done; \
    exec /command/s6-svscanctl -a /run/service";

/// Whether all of them are up.
const ALL_UP: &str = "for n in 0 1 2 3 4 5 6 7 8 9; do [ \"$(/command/s6-svstat -o up /run/service/idle-$n)\" = true ] || exit 1; done";

/// `docker run --rm IMAGE true`, beside the same image without its init.
pub(crate) fn run_true(image: &str, samples: usize) -> Result<Row, BenchError> {
    let mut plain = || timed(&["run", "--rm", "--entrypoint", "true", image]);
    let mut ours = || timed(&["run", "--rm", image, "true"]);
    Ok(Row {
        work: "docker run --rm IMAGE true",
        samples: in_turns(
            samples,
            [
                ("the image without its init", &mut plain),
                ("talaria", &mut ours),
            ],
        )?,
        goal: Goal::AtMostMore(60.0),
    })
}

/// `docker stop` of a container with ten idle services, beside one with a single
/// idle program under the engine's own init.
pub(crate) fn stop_ten_services(image: &str, samples: usize) -> Result<Row, BenchError> {
    let mut plain = || {
        let container = start(&["--init", "--entrypoint", "sleep", image, "infinity"])?;
        stop(&container)
    };
    let mut ours = || {
        let container = start(&[image, "sleep", "infinity"])?;
        docker(&[
            "exec",
            "--user",
            "hermes",
            &container,
            "sh",
            "-c",
            TEN_SERVICES,
        ])?;
        wait_for(&container, ALL_UP, "ten services up")?;
        stop(&container)
    };
    Ok(Row {
        work: "docker stop",
        samples: in_turns(
            samples,
            [
                ("one idle program", &mut plain),
                ("talaria, ten idle services", &mut ours),
            ],
        )?,
        goal: Goal::AtMostMore(200.0),
    })
}

fn start(args: &[&str]) -> Result<String, BenchError> {
    let label = ["run", "--detach", "--rm", "--label", "org.talaria.bench=1"];
    let id = process::output(Command::new("docker").args(label).args(args))?;
    Ok(id.trim().to_owned())
}

fn stop(container: &str) -> Result<Duration, BenchError> {
    timed(&["stop", container])
}

fn timed(args: &[&str]) -> Result<Duration, BenchError> {
    time(|| docker(args))
}

fn docker(args: &[&str]) -> Result<(), BenchError> {
    process::output(Command::new("docker").args(args))?;
    Ok(())
}

/// Runs a check in the container, as the agent's user, until it succeeds.
fn wait_for(container: &str, check: &str, what: &'static str) -> Result<(), BenchError> {
    let deadline = Instant::now() + READY;
    while Instant::now() < deadline {
        let checked = Command::new("docker")
            .args(["exec", "--user", "hermes", container, "sh", "-c", check])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|source| ProcessError::Run {
                program: "docker exec".to_owned(),
                source,
            })?;
        if checked.success() {
            return Ok(());
        }
    }
    Err(BenchError::TimedOut {
        what,
        seconds: READY.as_secs(),
    })
}
