//! `talaria gateway`.

pub(crate) mod args;
mod logs;
mod run;

use profile_boot::lifecycle::{self, Changed, LifecycleError, Site};
use profile_boot::profile::ProfileName;
use s6_svc::{Deadline, Tai64n};

use crate::failure::{self, Failure, Result};
use crate::listening;
use crate::{place, view};
use args::{Change, Gateway, GatewayCommand, Look, Which};

pub(crate) fn run(gateway: Gateway) -> Result {
    let one = |failure| vec![failure];
    match &gateway.command {
        GatewayCommand::Install { .. } => {
            return Err(vec![Failure::NothingToInstall { verb: "install" }]);
        }
        GatewayCommand::Uninstall { .. } => {
            return Err(vec![Failure::NothingToInstall { verb: "uninstall" }]);
        }
        _ => {}
    }
    let site = gateway.place.enter().map_err(one)?;
    match gateway.command {
        GatewayCommand::Start(change) => start(&site, &change),
        GatewayCommand::Stop(change) => each(&site, &change, stop, Repeat::Harmless),
        GatewayCommand::Restart(change) => each(&site, &change, restart, Repeat::Never),
        GatewayCommand::Status(look) => status(&site, &look),
        GatewayCommand::List { json } => list(&site, json),
        GatewayCommand::Logs(logs) => logs::run(&site, &logs).map_err(one),
        GatewayCommand::Run(run) => run::run(&site, &run).map_err(one),
        GatewayCommand::Install { .. } | GatewayCommand::Uninstall { .. } => Ok(()),
    }
}

/// What is done to one gateway; what to say of it.
type Act = fn(&Site, &ProfileName, Option<Deadline>) -> std::result::Result<Said, LifecycleError>;

/// What became of a gateway, in words.
type Said = &'static str;

fn start(site: &Site, change: &Change) -> Result {
    let agent = place::agent().map_err(|failure| vec![failure])?;
    if agent.gateway.is_none() {
        return Err(vec![Failure::NoGateway { agent: agent.name }]);
    }
    let start: Act = |site, profile, wait| {
        warn_of_stranger(site, profile);
        Ok(match lifecycle::start(site, profile, wait)? {
            Changed::Told => "started",
            Changed::Already => "runs already",
        })
    };
    each(site, change, start, Repeat::Harmless)
}

/// Says where the port of a gateway that is about to start is somebody else's: the gateway may run
/// without it, and then nobody reaches it.
fn warn_of_stranger(site: &Site, profile: &ProfileName) {
    // Where there is no status, starting it says why.
    if let Ok(status) = lifecycle::status(site, profile)
        && let Some(assigned) = status.port
        && listening::has_stranger_on_port_of(&status)
    {
        anstream::eprintln!(
            "talaria: warning: gateway of profile {profile}: something else listens on its port {}",
            assigned.port
        );
        anstream::eprintln!("hint: {}", listening::hint(&status));
    }
}

fn stop(
    site: &Site,
    profile: &ProfileName,
    wait: Option<Deadline>,
) -> std::result::Result<Said, LifecycleError> {
    Ok(match lifecycle::stop(site, profile, wait)? {
        Changed::Told => "stopped",
        Changed::Already => "was stopped already",
    })
}

fn restart(
    site: &Site,
    profile: &ProfileName,
    wait: Option<Deadline>,
) -> std::result::Result<Said, LifecycleError> {
    lifecycle::restart(site, profile, wait).map(|()| "restarted")
}

/// Whether to do it a second time changes anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Harmless,
    Never,
}

/// Acts on each gateway that was named; one that fails does not stop the others.
///
/// Where they are waited for, all of them are told first where that can be, so that it takes as
/// long as the slowest.
fn each(site: &Site, change: &Change, act: Act, repeat: Repeat) -> Result {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    let profiles = named(site, &change.which)?;
    let deadline = change.deadline();
    let tell_first = deadline.is_some() && profiles.len() > 1 && repeat == Repeat::Harmless;
    for profile in profiles {
        match act(site, &profile, deadline.filter(|_| !tell_first)) {
            Ok(said) => done.push((profile, said)),
            Err(error) => failures.push(error.into()),
        }
    }
    if tell_first {
        done.retain(|(profile, _)| match act(site, profile, deadline) {
            Ok(_) => true,
            Err(error) => {
                failures.push(error.into());
                false
            }
        });
    }
    if change.json {
        failures.extend(print_json(site, &done)?);
    } else {
        for (profile, said) in done {
            anstream::println!("gateway of profile {profile}: {said}");
        }
    }
    failure::all(failures)
}

fn named(site: &Site, which: &Which) -> std::result::Result<Vec<ProfileName>, Vec<Failure>> {
    if which.all {
        return place::profiles(site).map_err(|failure| vec![failure]);
    }
    let profile = which.profile.clone();
    Ok(vec![profile.unwrap_or_else(ProfileName::default_profile)])
}

fn print_json(
    site: &Site,
    profiles: &[(ProfileName, Said)],
) -> std::result::Result<Vec<Failure>, Vec<Failure>> {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for (profile, _) in profiles {
        match lifecycle::status(site, profile) {
            Ok(status) => found.push(status),
            Err(error) => failures.push(error.into()),
        }
    }
    let now = Tai64n::now();
    let values: Vec<_> = found.iter().map(|one| view::Json::new(one, now)).collect();
    view::json(&values).map_err(|failure| vec![failure])?;
    Ok(failures)
}

fn status(site: &Site, look: &Look) -> Result {
    if look.which.all {
        return list(site, look.json);
    }
    let mut failures = Vec::new();
    for profile in named(site, &look.which)? {
        match lifecycle::status(site, &profile) {
            Ok(status) if look.json => {
                view::json(&view::Json::new(&status, Tai64n::now()))
                    .map_err(|failure| vec![failure])?;
            }
            Ok(status) => view::detail(&status),
            Err(error) => failures.push(error.into()),
        }
    }
    failure::all(failures)
}

fn list(site: &Site, json: bool) -> Result {
    let (found, mut failures) = view::looked(site)?;
    let printed = if json {
        let now = Tai64n::now();
        let values: Vec<_> = found.iter().map(|one| view::Json::new(one, now)).collect();
        view::json(&values)
    } else {
        view::table(found.iter())
    };
    failures.extend(printed.err());
    failure::all(failures)
}
