//! Rows about gateways: listing them, starting one, restoring them at boot.

use super::BenchError;
use super::container::{FEW, RUN_TMPFS, Running};
use super::report::{Goal, Row};
use super::sample::in_turns;

/// A thousand profiles whose gateways are stopped.
const PROFILES: &str = "for n in $(seq 1000); do mkdir -p $HERMES_HOME/profiles/p$n; \
    echo '# Soul' > $HERMES_HOME/profiles/p$n/SOUL.md; \
    echo '{\"desired_state\": \"stopped\"}' > $HERMES_HOME/profiles/p$n/gateway_state.json; done";

/// A supervised slot for each.
const SLOTS: &str = "mkdir /run/service/.new; for n in $(seq 1000); do mkdir /run/service/.new/slot; \
    touch /run/service/.new/slot/down; mv /run/service/.new/slot /run/service/gateway-p$n; done; \
    rmdir /run/service/.new; exec /command/s6-svscanctl -a /run/service";

/// Whether all of them are supervised.
const ALL_SUPERVISED: &str =
    "for n in $(seq 1000); do [ -s /run/service/gateway-p$n/supervise/status ] || exit 1; done";

/// `talaria gateway list` of a thousand, on a tmpfs, beside a process for each.
pub(crate) fn list_of_thousand(image: &str, samples: usize) -> Result<Row, BenchError> {
    let container = Running::start(&[&RUN_TMPFS[..], &[image, "sleep", "infinity"]].concat())?;
    container.exec(PROFILES)?;
    container.exec(SLOTS)?;
    container.wait_for(ALL_SUPERVISED, "a thousand gateways supervised")?;
    let each = "for n in $(seq 1000); do /command/s6-svstat /run/service/gateway-p$n; done";
    Ok(Row::new(
        "gateway list of 1000",
        in_turns(
            samples.min(FEW),
            [
                ("s6-svstat, 1000 times", &mut || container.inside(each)),
                ("talaria gateway list", &mut || {
                    container.inside("talaria gateway list")
                }),
            ],
        )?,
        Goal::Within(50.0),
    ))
}

/// The boot's reconciliation of a thousand profiles that have no slot yet, and of the same when
/// they have, on a tmpfs and before anything scans it, beside the agent's own program for it.
pub(crate) fn reconcile_thousand(image: &str, samples: usize) -> Result<Row, BenchError> {
    let idle = ["--entrypoint", "sleep", image, "infinity"];
    let container = Running::start(&[&RUN_TMPFS[..], &idle].concat())?;
    container.exec("mkdir -p /run/service $HERMES_HOME/logs")?;
    container.exec(PROFILES)?;
    let clear = || container.exec("rm -rf /run/service/*");
    let theirs = "S6_PROFILE_GATEWAY_SCANDIR=/run/service \
        /opt/hermes/.venv/bin/python -m hermes_cli.container_boot";
    let ours = "/etc/cont-init.d/02-reconcile-profiles";
    let samples = in_turns(
        samples.min(FEW),
        [
            ("hermes_cli.container_boot", &mut || {
                clear()?;
                container.inside(theirs)
            }),
            ("talaria, slots there", &mut || {
                container.exec(ours)?;
                container.inside(ours)
            }),
            ("talaria, slots made", &mut || {
                clear()?;
                container.inside(ours)
            }),
        ],
    )?;
    Ok(Row::new(
        "reconcile of 1000 profiles",
        samples,
        Goal::Within(60.0),
    ))
}

/// `talaria gateway start` of a gateway that runs, as a whole process and with `/run` on a tmpfs,
/// beside the agent's own command line.
pub(crate) fn start(image: &str, samples: usize) -> Result<Row, BenchError> {
    let container = Running::start(&[&RUN_TMPFS[..], &[image, "sleep", "infinity"]].concat())?;
    container.exec("talaria gateway start --wait=60")?;
    Ok(Row::new(
        "gateway start",
        in_turns(
            samples.min(FEW),
            [
                ("hermes gateway start", &mut || {
                    container.inside("/opt/hermes/.venv/bin/hermes gateway start 2>&1")
                }),
                ("talaria gateway start", &mut || {
                    container.inside("talaria gateway start")
                }),
            ],
        )?,
        Goal::Within(5.0),
    ))
}
