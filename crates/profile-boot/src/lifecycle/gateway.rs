//! Starting and stopping a gateway.

use s6_svc::{Command, ControlError, Deadline, Goal, StatusError, Want, Watch};

use super::profile::register;
use super::{LifecycleError, Site, planned_stop};
use crate::gateway_state::{Record, record_want};
use crate::profile::ProfileName;
use crate::slot;

/// What was asked of a gateway that may have been that way before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was told.
    Told,
    /// It was so already.
    Already,
}

/// Starts a gateway: records that it is to run, makes its slot where there is
/// none, and tells its supervisor. A parked gateway is tried again.
///
/// With a deadline it is waited for until it is up.
///
/// # Errors
/// [`LifecycleError::NoSuchProfile`], [`LifecycleError::NotScanned`] where
/// nothing supervises, and those of the wait.
pub fn start(
    site: &Site,
    profile: &ProfileName,
    wait: Option<Deadline>,
) -> Result<Changed, LifecycleError> {
    site.check(profile)?;
    let changed = match site.service(profile).status() {
        Ok(status) if status.is_up() && status.want() == Want::Up => Changed::Already,
        _ => Changed::Told,
    };
    record(site, profile, Want::Up)?;
    act(site, profile, &[Command::Up], Goal::Up, wait)?;
    Ok(changed)
}

/// Ends a gateway's process and starts it again; one that is down is started.
///
/// # Errors
/// As [`start`].
pub fn restart(
    site: &Site,
    profile: &ProfileName,
    wait: Option<Deadline>,
) -> Result<(), LifecycleError> {
    site.check(profile)?;
    record(site, profile, Want::Up)?;
    // One that is down would be started and at once ended by both.
    let commands: &[Command] = match site.service(profile).status() {
        Ok(status) if status.is_up() => &[Command::Up, Command::Restart],
        _ => &[Command::Up],
    };
    act(site, profile, commands, Goal::Restarted, wait)
}

/// Stops a gateway, and has it stay stopped when the container starts again.
///
/// With a deadline it is waited for until it has ended.
///
/// # Errors
/// [`LifecycleError::NoSuchProfile`], and those of the wait. That nothing
/// supervises it is none: it is stopped.
pub fn stop(
    site: &Site,
    profile: &ProfileName,
    wait: Option<Deadline>,
) -> Result<Changed, LifecycleError> {
    site.check(profile)?;
    let directory = site.directory(profile);
    record(site, profile, Want::Down)?;
    let service = site.service(profile);
    let status = match service.status() {
        Ok(status) => status,
        Err(StatusError::NotSupervised { .. }) => return Ok(Changed::Already),
        Err(StatusError::Fs(error)) if error.is_missing() => return Ok(Changed::Already),
        Err(source) => {
            return Err(LifecycleError::Status {
                profile: profile.clone(),
                source,
            });
        }
    };
    set_want(site, profile, Want::Down)?;
    if let Some(pid) = status.pid().filter(|_| status.is_up()) {
        planned_stop::announce(&directory, pid)?;
    }
    send(site, profile, &[Command::Down], Goal::Finished, wait)?;
    Ok(if status.is_finished() && status.want() == Want::Down {
        Changed::Already
    } else {
        Changed::Told
    })
}

fn act(
    site: &Site,
    profile: &ProfileName,
    commands: &[Command],
    goal: Goal,
    wait: Option<Deadline>,
) -> Result<(), LifecycleError> {
    match set_want(site, profile, Want::Up).and_then(|()| send(site, profile, commands, goal, wait))
    {
        Err(LifecycleError::Control {
            source: ControlError::NotSupervised { .. } | ControlError::Fs(_),
            ..
        }) => {}
        Err(LifecycleError::File { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound => {}
        result => return result,
    }
    // The slot is missing, or its supervisor has been lost.
    register(site, profile, Want::Down)?;
    set_want(site, profile, Want::Up)?;
    send(site, profile, commands, goal, wait)
}

fn send(
    site: &Site,
    profile: &ProfileName,
    commands: &[Command],
    goal: Goal,
    wait: Option<Deadline>,
) -> Result<(), LifecycleError> {
    let service = site.service(profile);
    let Some(deadline) = wait else {
        return service
            .control(commands)
            .map_err(LifecycleError::control(profile));
    };
    let failed = |error| LifecycleError::wait(profile, goal)(error);
    let mut watch = match Watch::new([service.clone()]) {
        Ok(watch) => watch,
        Err(s6_svc::WaitError::Status(StatusError::NotSupervised { path })) => {
            return Err(LifecycleError::control(profile)(
                ControlError::NotSupervised { path },
            ));
        }
        Err(s6_svc::WaitError::Fs(error)) if error.is_missing() => {
            return Err(LifecycleError::control(profile)(error.into()));
        }
        Err(error) => return Err(failed(error)),
    };
    service
        .control(commands)
        .map_err(LifecycleError::control(profile))?;
    watch.wait_all(goal, deadline).map_err(failed)
}

fn set_want(site: &Site, profile: &ProfileName, want: Want) -> Result<(), LifecycleError> {
    slot::set_want(site.scandir.path(), profile, want).map_err(LifecycleError::file(
        "change how it starts",
        &site.service(profile).path(),
    ))
}

/// Records what the operator wants, where the record does not say so already:
/// to write it is the most of what starting a gateway costs.
fn record(site: &Site, profile: &ProfileName, want: Want) -> Result<(), LifecycleError> {
    let directory = site.directory(profile);
    let word = match want {
        Want::Up => "running",
        Want::Down => "stopped",
    };
    if matches!(Record::read(&directory), Record::State { desired: Some(desired), .. } if desired == word)
    {
        return Ok(());
    }
    record_want(&directory, want).map_err(LifecycleError::file("record what is wanted", &directory))
}
