//! Rows about many services in one container.

use super::BenchError;
use super::container::{FEW, RUN_TMPFS, Running};
use super::report::{Goal, Row};
use super::sample::in_turns;

/// A thousand services in the agent's scandir, all of them down.
const THOUSAND: &str = "mkdir /run/service/.new; \
    for n in $(seq 1000); do mkdir /run/service/.new/n$n; touch /run/service/.new/n$n/down; \
    printf '#!/bin/sh\\n' > /run/service/.new/n$n/run; mv /run/service/.new/n$n /run/service/n$n; done; \
    rmdir /run/service/.new; exec /command/s6-svscanctl -a /run/service";

/// Whether all of them are supervised.
const ALL_SUPERVISED: &str =
    "for n in $(seq 1000); do [ -s /run/service/n$n/supervise/status ] || exit 1; done";

/// The status of a thousand services, beside a process for each.
pub(crate) fn status_of_thousand(image: &str, samples: usize) -> Result<Row, BenchError> {
    let container = Running::start(&[&RUN_TMPFS[..], &[image, "sleep", "infinity"]].concat())?;
    container.exec(THOUSAND)?;
    container.wait_for(ALL_SUPERVISED, "a thousand services supervised")?;
    let mut each =
        || container.inside("for n in $(seq 1000); do /command/s6-svstat /run/service/n$n; done");
    let mut ours = || container.inside("talaria svc list");
    let samples = samples.min(FEW);
    Ok(Row::new(
        "status of 1000 services",
        in_turns(
            samples,
            [
                ("s6-svstat, 1000 times", &mut each),
                ("talaria svc list", &mut ours),
            ],
        )?,
        Goal::Within(30.0),
    ))
}
