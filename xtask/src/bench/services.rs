//! Rows about many services in one container.

use std::time::Duration;

use super::BenchError;
use super::container::{self, Running};
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
    let container = Running::start(&[
        "--tmpfs",
        "/run:rw,noexec,nosuid,size=64m",
        image,
        "sleep",
        "infinity",
    ])?;
    container.exec(THOUSAND)?;
    container.wait_for(ALL_SUPERVISED, "a thousand services supervised")?;
    let inside = |work: &str| -> Result<Duration, BenchError> {
        let script =
            format!("s=$(date +%s%N); {work} > /dev/null; e=$(date +%s%N); echo $((e - s))");
        let nanoseconds = container.exec(&script)?;
        Ok(Duration::from_nanos(
            nanoseconds.trim().parse().unwrap_or(u64::MAX),
        ))
    };
    let mut each = || inside("for n in $(seq 1000); do /command/s6-svstat /run/service/n$n; done");
    let mut ours = || inside("talaria svc list");
    let samples = samples.min(container::FEW);
    Ok(Row {
        work: "status of 1000 services",
        samples: in_turns(
            samples,
            [
                ("s6-svstat, 1000 times", &mut each),
                ("talaria svc list", &mut ours),
            ],
        )?,
        goal: Goal::AtMost(30.0),
    })
}
