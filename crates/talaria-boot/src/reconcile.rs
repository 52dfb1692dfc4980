//! `02-reconcile-profiles`: a slot for every profile, up or down as it was meant.

use std::convert::Infallible;
use std::path::Path;

use jiff::Timestamp;
use profile_boot::agent::Agent;
use profile_boot::gateway_state::{FILE_NAME, Record};
use profile_boot::reconcile::Observation;
use profile_boot::supervisors::Supervisors;
use profile_boot::{boot_log, reconcile, slot};
use s6_svc::{ScandirCommand, Want};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::init::state;
use crate::{dashboard, main_wrapper, paths, report, svscanctl, with_contenv};

/// The hook.
pub(crate) fn run() -> Result<Infallible, BootError> {
    at_boot(&Identity::of_agent()?)?;
    std::process::exit(0);
}

/// Becomes the agent's user, reconciles, and leaves a line for each profile in
/// the boot's log.
pub(crate) fn at_boot(identity: &Identity) -> Result<(), BootError> {
    identity.assume()?;
    let observation = pass()?;
    let home = identity::home();
    sweep_interrupted(&home, &observation);
    let logged = boot_log::append(
        &home,
        &observation.profiles,
        state::supervised_gateway().as_ref(),
        Timestamp::now(),
    );
    if let Err(error) = logged {
        report::warning(format_args!(
            "{}: cannot log the boot: {error}",
            home.join(boot_log::FILE).display()
        ));
    }
    Ok(())
}

/// Removes what writers left that the last container's end has killed. Only at
/// a boot: later, somebody may be writing.
fn sweep_interrupted(home: &Path, observation: &Observation) {
    for (path, swept) in reconcile::sweep_interrupted(&observation.profiles, home) {
        let path = path.display();
        match swept {
            Ok(()) => report::step(format_args!(
                "{path}: removed, an interrupted write left it"
            )),
            Err(error) => report::warning(format_args!("{path}: cannot sweep it: {error}")),
        }
    }
}

/// One pass over all profiles, as the agent's user. What fails for one profile
/// is said, and the others go on.
pub(crate) fn pass() -> Result<Observation, BootError> {
    let agent = main_wrapper::load_agent()?;
    let supervisors = svscanctl::supervisors()?;
    let observation = publish(&agent, supervisors);
    // Root's s6-svscan is there before the slots are, unlike the agent's own.
    if supervisors == Supervisors::Roots {
        let rescanned = svscanctl::agent_scandir()?.control(&[ScandirCommand::Rescan]);
        if let Err(error) = rescanned {
            report::warning(report::chain(&error));
        }
    }
    observation
}

fn publish(agent: &Agent, supervisors: Supervisors) -> Result<Observation, BootError> {
    if agent.dashboard.is_some() && !state::is_dashboard_container() {
        publish_dashboard(supervisors);
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
    svscanctl::normalise(supervisors)?;
    let observation = reconcile::observe(&home, scandir).or_else(|source| {
        report::error(&BootError::file("list it", home.join("profiles"))(source));
        reconcile::observe_default(&home, scandir).map_err(BootError::file("search it", &home))
    })?;
    for (name, reason) in &observation.skipped {
        report::warning(format_args!(
            "profiles/{}: passed over: {reason}",
            name.escape_default()
        ));
    }
    for one in &observation.profiles {
        if let Record::Unreadable(reason) = &one.record {
            let path = one.profile.directory(&home).join(FILE_NAME);
            report::warning(format_args!(
                "{}: {reason}: counts as stopped",
                path.display()
            ));
        }
    }
    let commanded = state::supervised_gateway();
    let steps = reconcile::plan(&observation.profiles, commanded.as_ref());
    let failed = reconcile::execute(&steps, &home, scandir, supervisors)
        .map_err(BootError::file("search it", scandir))?;
    for error in failed {
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
fn publish_dashboard(supervisors: Supervisors) {
    let wanted = with_contenv::container().map(|environment| dashboard::is_wanted(&environment));
    let want = if matches!(wanted, Ok(true)) {
        Want::Up
    } else {
        Want::Down
    };
    if let Err(error) = slot::publish_dashboard(Path::new(paths::AGENT_SCANDIR), want, supervisors)
    {
        report::warning(format_args!("dashboard: cannot make its slot: {error}"));
    }
}
