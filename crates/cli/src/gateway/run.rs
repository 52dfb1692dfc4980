//! `talaria gateway run`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use profile_boot::lifecycle::{self, LifecycleError, Site, State};
use profile_boot::profile::ProfileName;
use profile_boot::{dotenv, environment, port};
use s6_svc::{Deadline, Event, Exit, Want, Watch};

use super::args::Run;
use crate::failure::Failure;
use crate::place;

pub(super) fn run(site: &Site, run: &Run) -> Result<(), Failure> {
    let profile = &run.of.profile;
    site.check(profile)?;
    if run.no_supervise {
        return Err(foreground(site, profile));
    }
    lifecycle::start(site, profile, None)?;
    anstream::eprintln!(
        "talaria: gateway of profile {profile}: s6 supervises it, this only waits; \
         talaria gateway stop -p {profile} ends it, --no-supervise runs it here"
    );
    wait(site, profile)
}

/// Waits until the gateway is stopped, or fails for good.
fn wait(site: &Site, profile: &ProfileName) -> Result<(), Failure> {
    let mut watch = Watch::new([site.service(profile)])?;
    loop {
        let status = lifecycle::status(site, profile)?;
        match status.state {
            State::Parked => {
                let code = match status.last_exit {
                    Some(Exit::Code(code)) if code != 0 => code,
                    _ => 1,
                };
                return Err(Failure::Parked {
                    profile: profile.clone(),
                    code,
                });
            }
            State::Unsupervised => {
                return Err(Failure::SupervisorGone {
                    profile: profile.clone(),
                });
            }
            State::Down if status.record.want() == Some(Want::Down) => {
                anstream::eprintln!("talaria: gateway of profile {profile}: stopped");
                return Ok(());
            }
            _ => {}
        }
        if let (_, Event::SupervisorExit) = watch.next_event(Deadline::NEVER)? {
            return Err(Failure::SupervisorGone {
                profile: profile.clone(),
            });
        }
    }
}

/// Becomes the gateway. Comes back only with the reason why not.
fn foreground(site: &Site, profile: &ProfileName) -> Failure {
    match prepare(site, profile) {
        Ok(mut command) => Failure::Execute {
            source: command.exec(),
            program: command.get_program().into(),
        },
        Err(failure) => failure,
    }
}

fn prepare(site: &Site, profile: &ProfileName) -> Result<Command, Failure> {
    match lifecycle::status(site, profile) {
        Ok(status) => {
            if let Some(pid) = status.pid {
                return Err(Failure::Runs {
                    profile: profile.clone(),
                    pid,
                });
            }
        }
        // Without supervision nothing of it runs.
        Err(LifecycleError::Status { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let agent = place::agent()?;
    let Some(gateway) = &agent.gateway else {
        return Err(Failure::NoGateway { agent: agent.name });
    };
    let port = port::assign(site.home(), profile).map_err(LifecycleError::from)?;
    let container: Vec<_> = std::env::vars_os().collect();
    let dotenv = dotenv::load(&site.directory(profile).join(".env")).unwrap_or_else(|odd| {
        anstream::eprintln!("talaria: {odd}");
        Vec::new()
    });
    let environment = environment::of_gateway(&container, profile, &agent, Some(port), &dotenv);
    let words = gateway.command(profile);
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::NoGateway {
        agent: agent.name.clone(),
    })?;
    let mut command = Command::new(Path::new(program));
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .env("HERMES_HOME", site.home())
        .env("HOME", site.home())
        .current_dir(site.home());
    Ok(command)
}
