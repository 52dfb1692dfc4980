//! Stage 2: everything between s6-svscan's first breath and its last.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::handover::Handover;
use super::{
    MainProgram, end_container, failed, hooks, main_program, run_directory, state, static_services,
};
use crate::error::BootError;
use crate::identity::Identity;
use crate::settings::Settings;
use crate::signals::{Event, Signals};
use crate::{paths, report};

/// The signals that stage 2 answers.
const SIGNALS: [Signal; 8] = [
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPWR,
];

/// Why stage 2 ended before the main program could start.
#[derive(Debug)]
pub(super) enum Ended {
    /// It failed.
    Failed(BootError),
    /// The container was told to stop.
    Stopped(Signal),
}

impl From<BootError> for Ended {
    fn from(error: BootError) -> Self {
        Self::Failed(error)
    }
}

/// Runs stage 2 and has PID 1 end the container. Returns this process' exit code.
///
/// `tree` is what keeps the agent's tree from starting, and where it says that it has.
pub(super) fn run(args: &[OsString], identity: &Identity, scanning: &OwnedFd, tree: &File) -> i32 {
    // First of all: until s6-svscan has its signals in hand, PID 1 can be told nothing.
    let (mut signals, handover) = match watch(scanning) {
        Ok(watched) => watched,
        Err(error) => return end(failed(&error)),
    };
    let code = match boot(args, identity, &handover, tree, &mut signals) {
        Ok(code) => code,
        Err(Ended::Failed(error)) => failed(&error),
        Err(Ended::Stopped(signal)) => 128 + signal as i32,
    };
    handover.wait();
    end(code)
}

fn watch(scanning: &OwnedFd) -> Result<(Signals, Handover), BootError> {
    Ok((Signals::take(&SIGNALS)?, Handover::watch(scanning)?))
}

/// Stands in for a stage 2 that was killed: what it waited for, where that was a
/// gateway, is waited for again. Returns this process' exit code.
pub(super) fn resume(main: &MainProgram, identity: &Identity) -> i32 {
    let code = Signals::take(&SIGNALS)
        .and_then(|mut signals| main_program::run(main, identity, &mut signals));
    end(code.unwrap_or_else(|error| failed(&error)))
}

/// Keeps the exit code and has PID 1 end the container, whatever became of the code.
fn end(code: i32) -> i32 {
    let kept = state::keep_exit_code(code);
    let ended = end_container();
    for error in [kept.err(), ended.err()].into_iter().flatten() {
        failed(&error);
    }
    code
}

fn boot(
    args: &[OsString],
    identity: &Identity,
    handover: &Handover,
    tree: &File,
    signals: &mut Signals,
) -> Result<i32, Ended> {
    let settings = Settings::from_environment();
    super::refuse_s6_rc_services()?;
    let main = MainProgram::noted(args, identity)?;
    run_directory::fill(identity)?;
    let failures = hooks::run(identity, handover, signals)?;
    let fatal = failures.iter().any(|failed| failed.fatal);
    decide(
        failures.into_iter().map(|failed| failed.error),
        settings,
        fatal,
    )?;
    handover.wait();
    let services = static_services::list()?;
    let failures = static_services::publish(&services, identity);
    decide(failures.into_iter(), settings, false)?;
    tell_svscan(if services.is_empty() { b"z" } else { b"za" })?;
    tree.unlock()
        .map_err(BootError::file("unlock it", state::TREE_READY))?;
    wait_for_tree(tree, settings.services_wait, signals)?;
    Ok(main_program::run(&main, identity, signals)?)
}

/// Says what failed, and ends the boot with the first of it where that is asked for.
fn decide(
    failures: impl Iterator<Item = BootError>,
    settings: Settings,
    fatal: bool,
) -> Result<(), BootError> {
    let mut failures: Vec<_> = failures.collect();
    if failures.is_empty() {
        return Ok(());
    }
    if fatal || settings.stop_if_stage2_fails {
        // The last one is said by whoever gets it.
        let last = failures.pop();
        failures.iter().for_each(report::error);
        return last.map_or(Ok(()), Err);
    }
    failures.iter().for_each(report::error);
    Ok(())
}

/// Gives PID 1 commands. `z` has it reap what hooks left and ended before it was
/// s6-svscan, of which it was not told; `a` has it look at its scandir again.
fn tell_svscan(commands: &[u8]) -> Result<(), Ended> {
    match super::open_control() {
        Ok(control) => {
            nix::unistd::write(&control, commands).map_err(BootError::system("write"))?;
            Ok(())
        }
        // Nobody reads it: PID 1 is taking the container down already.
        Err(Errno::ENXIO) => Err(Ended::Stopped(Signal::SIGTERM)),
        Err(error) => Err(BootError::file("write it", paths::ROOT_CONTROL)(error.into()).into()),
    }
}

/// Waits until the agent's tree can be spoken to, so that the main program finds it there.
fn wait_for_tree(
    tree: &File,
    at_most: Option<Duration>,
    signals: &mut Signals,
) -> Result<(), Ended> {
    let deadline = at_most.map(|at_most| Instant::now() + at_most);
    loop {
        match signals.wait(Some(tree.as_fd()), deadline)? {
            Event::Readable => return Ok(()),
            Event::Deadline => {
                report::warning(format_args!(
                    "{} is not supervised yet, the main program starts all the same",
                    Path::new(paths::AGENT_SCANDIR).display()
                ));
                return Ok(());
            }
            Event::Signal(Signal::SIGTERM) => return Err(Ended::Stopped(Signal::SIGTERM)),
            Event::Signal(_) => {}
        }
    }
}

/// Waits for a child that is a group of its own. A container that is told to
/// stop meanwhile does not wait for it.
pub(super) fn wait_for(pid: Pid, signals: &mut Signals) -> Result<WaitStatus, Ended> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(status) => return Ok(status),
            Err(Errno::EINTR) => continue,
            Err(source) => {
                return Err(BootError::System {
                    call: "waitpid",
                    source,
                }
                .into());
            }
        }
        if let Event::Signal(Signal::SIGTERM) = signals.wait(None, None)? {
            match killpg(pid, Signal::SIGTERM) {
                Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
                Err(source) => {
                    return Err(BootError::System {
                        call: "kill",
                        source,
                    }
                    .into());
                }
            }
            return Err(Ended::Stopped(Signal::SIGTERM));
        }
    }
}
