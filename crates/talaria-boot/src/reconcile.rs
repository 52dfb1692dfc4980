//! `02-reconcile-profiles`: a slot for every profile, up or down as it was meant.

use std::convert::Infallible;
use std::path::Path;

use jiff::Timestamp;
use profile_boot::reconcile::Observation;
use profile_boot::{boot_log, reconcile, slot};
use s6_svc::Want;

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::init::state;
use crate::{dashboard, main_wrapper, paths, report, svscanctl, sys, with_contenv};

/// The hook: reconciles as the agent's user, leaves a line for each profile in
/// the boot's log, and ends.
pub(crate) fn run() -> Result<Infallible, BootError> {
    sys::as_agent(&Identity::of_agent()?, || {
        let observation = pass()?;
        let home = identity::home();
        let logged = boot_log::append(
            &home,
            &observation.profiles,
            state::supervised_gateway().as_ref(),
            Timestamp::now(),
        );
        if let Err(error) = logged {
            report::warning(format_args!(
                "{}: cannot log the boot: {error}",
                home.display()
            ));
        }
        Ok(())
    })?;
    std::process::exit(0);
}

/// One pass over all profiles, as the agent's user. What fails for one profile
/// is said, and the others go on.
pub(crate) fn pass() -> Result<Observation, BootError> {
    let agent = main_wrapper::load_agent()?;
    if agent.dashboard.is_some() && !state::is_dashboard_container() {
        publish_dashboard();
    }
    // Gateways of one home run in one container: two would fight over their logs.
    if agent.gateway.is_none() || state::is_dashboard_container() {
        return Ok(Observation {
            profiles: Vec::new(),
            skipped: Vec::new(),
        });
    }
    let home = identity::home();
    let scandir = Path::new(paths::AGENT_SCANDIR);
    for name in slot::sweep_staging(scandir).map_err(BootError::file("sweep it", scandir))? {
        report::step(format_args!(
            "{name}: removed, an interrupted registration left it"
        ));
    }
    svscanctl::normalise()?;
    let observation = reconcile::observe(&home, scandir)
        .map_err(BootError::file("list it", home.join("profiles")))?;
    for (name, reason) in &observation.skipped {
        report::warning(format_args!(
            "profiles/{}: passed over: {reason}",
            name.escape_default()
        ));
    }
    let commanded = state::supervised_gateway();
    let steps = reconcile::plan(&observation.profiles, commanded.as_ref());
    for error in reconcile::execute(&steps, &home, scandir) {
        report::warning(report::chain(&error));
    }
    for one in &observation.profiles {
        report::step(format_args!(
            "profile={} prior_state={} want={:?}",
            one.profile,
            one.record,
            reconcile::want(one, commanded.as_ref())
        ));
    }
    Ok(observation)
}

/// A slot for the dashboard, up where the container's environment asks for it.
fn publish_dashboard() {
    let wanted = with_contenv::container().map(|environment| dashboard::is_wanted(&environment));
    let want = if matches!(wanted, Ok(true)) {
        Want::Up
    } else {
        Want::Down
    };
    if let Err(error) = slot::publish_dashboard(Path::new(paths::AGENT_SCANDIR), want) {
        report::warning(format_args!("dashboard: cannot make its slot: {error}"));
    }
}
