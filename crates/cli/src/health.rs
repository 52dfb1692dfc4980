//! `talaria health`, for probes.

use clap::Args;
use profile_boot::lifecycle::{self, State};
use s6_svc::Exit;

use crate::cli::CODES;
use crate::dashboard::Dashboard;
use crate::failure::{self, Failure, Result};
use crate::place::{self, Place};
use crate::view;

/// Tell whether all that should run does, by the exit code.
///
/// A gateway that is parked, keeps failing, or is down though it was started, is named in one line,
/// and so is a dashboard that `HERMES_DASHBOARD` asks for. A container whose command is the
/// dashboard is healthy while that answers on its port.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria health
  docker inspect --format '{{{{.State.Health.Status}}}}' agent

{CODES}"))]
pub(crate) struct Health {
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(health: &Health) -> Result {
    let one = |failure| vec![failure];
    let site = health.place.enter().map_err(one)?;
    if !place::is_supervised(&site).map_err(one)? {
        return Err(vec![Failure::NotSupervised]);
    }
    // The tree may be coming back; its control FIFO is gone only where it never was.
    if !site
        .scandir()
        .is_scanned()
        .map_err(|error| one(error.into()))?
    {
        let path = site.scandir().path().to_owned();
        return Err(vec![lifecycle::LifecycleError::NotScanned { path }.into()]);
    }
    let dashboard = Dashboard::look(&site).map_err(one)?;
    if let Dashboard::Alone(address) = &dashboard {
        return match address.answers() {
            Ok(()) => {
                anstream::println!("healthy: the dashboard answers on port {}", address.port);
                Ok(())
            }
            Err(source) => Err(one(Failure::DashboardSilent {
                host: address.host.clone(),
                port: address.port.clone(),
                source,
            })),
        };
    }
    let dashboard_failure = match dashboard {
        Dashboard::Slot {
            status,
            wanted: true,
            ..
        } if status.is_unwell() => Some(Failure::DashboardUnwell {
            why: ailment(status.state, status.last_exit),
        }),
        _ => None,
    };
    if place::agent().map_err(one)?.gateway.is_none() && dashboard_failure.is_none() {
        anstream::println!("healthy: the agent has no gateways");
        return Ok(());
    }
    let (found, mut failures) = view::looked(&site)?;
    let unwell = found.iter().filter(|gateway| lifecycle::is_unwell(gateway));
    failures.extend(unwell.map(|gateway| Failure::Unwell {
        profile: gateway.profile.clone(),
        why: ailment(gateway.state, gateway.last_exit),
    }));
    failures.extend(dashboard_failure);
    if failures.is_empty() {
        let up = found.iter().filter(|gateway| gateway.state == State::Up);
        anstream::println!("healthy: {} of {} gateways up", up.count(), found.len());
    }
    failure::all(failures)
}

/// What is wrong with a service.
pub(crate) fn ailment(state: State, last_exit: Option<Exit>) -> String {
    let last = last_exit.map(view::ending);
    let last = last.map_or_else(String::new, |last| format!(", its last exit: {last}"));
    match state {
        State::Parked => format!("parked{last}"),
        State::BackingOff => format!("keeps failing{last}"),
        state => format!("should run, and is {state}{last}"),
    }
}
