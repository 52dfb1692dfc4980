//! The main program: in the foreground of the terminal, in a process group of
//! its own, waited for until it has really ended.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setpgid, tcsetpgrp};
use profile_boot::slot;

use super::{MainProgram, failed, state};
use crate::error::BootError;
use crate::identity::Identity;
use crate::signals::{Event, Signals};
use crate::{exec, main_wrapper, paths, report, signals, sys};

/// Runs the main program and returns the exit code of it.
pub(super) fn run(
    main: &MainProgram,
    identity: &Identity,
    signals: &mut Signals,
) -> Result<i32, BootError> {
    match main {
        MainProgram::None => wait_until_told(None, signals),
        MainProgram::Gateway(profile) => {
            let slot = Path::new(paths::AGENT_SCANDIR).join(slot::name(profile));
            if !slot.is_dir() {
                return Err(BootError::NoProfile {
                    profile: profile.clone(),
                });
            }
            report::line(&format_args!(
                "gateway run: supervised as gateway-{profile}, it comes back after a crash; \
                 --no-supervise runs it in the foreground"
            ));
            if slot.join("down").exists() {
                report::line(&format_args!(
                    "gateway-{profile} is down, as it was left; talaria gateway start -p {profile} starts it"
                ));
            }
            wait_until_told(Some(state::open_gateway_failed()?), signals)
        }
        MainProgram::Raw(_) | MainProgram::Routed(..) => {
            let pid = start(main, identity)?;
            let code = wait(pid, identity, signals)?;
            Ok(code)
        }
    }
}

/// Forks the main program.
fn start(main: &MainProgram, identity: &Identity) -> Result<Pid, BootError> {
    let pid = sys::fork(|| {
        let started = take_foreground().and_then(|()| match main {
            MainProgram::Routed(route, agent) => {
                main_wrapper::become_program(route, agent, identity)
            }
            MainProgram::Raw(words) => {
                exec::exec_words(words, &super::path_with_commands(identity))
            }
            MainProgram::None | MainProgram::Gateway(_) => Err(BootError::NoArguments),
        });
        let Err(error) = started;
        failed(&error)
    })?;
    // Whichever of the two comes first: a signal for the group must find it.
    match setpgid(pid, pid) {
        Ok(()) | Err(Errno::EACCES | Errno::ESRCH) => Ok(pid),
        Err(source) => Err(BootError::System {
            call: "setpgid",
            source,
        }),
    }
}

/// In the main program's process: a group of its own, in the foreground of the
/// terminal where there is one, and no signal blocked.
fn take_foreground() -> Result<(), BootError> {
    let own = Pid::from_raw(0);
    setpgid(own, own).map_err(BootError::system("setpgid"))?;
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        // From the background, the terminal answers with this signal.
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&stop), None)
            .map_err(BootError::system("sigprocmask"))?;
        match tcsetpgrp(stdin.as_fd(), nix::unistd::getpgrp()) {
            // A terminal that is not this session's has no foreground to be in.
            Ok(()) | Err(Errno::ENOTTY) => {}
            Err(source) => {
                return Err(BootError::System {
                    call: "tcsetpgrp",
                    source,
                });
            }
        }
    }
    signals::unblock_all()
}

/// Waits for the main program, handing on every signal that comes.
fn wait(pid: Pid, identity: &Identity, signals: &mut Signals) -> Result<i32, BootError> {
    loop {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        match waitpid(pid, Some(flags)) {
            Ok(WaitStatus::Stopped(..)) => {
                // No shell is there to bring it back, and nobody could reach it.
                signal_group(pid, Signal::SIGCONT, identity)?;
                continue;
            }
            Ok(status) => {
                if let Some(code) = sys::exit_code(status) {
                    return Ok(code);
                }
            }
            Err(Errno::EINTR) => continue,
            Err(source) => {
                return Err(BootError::System {
                    call: "waitpid",
                    source,
                });
            }
        }
        if let Event::Signal(signal) = signals.wait(None, None)?
            && signal != Signal::SIGCHLD
        {
            signal_group(pid, signal, identity)?;
        }
    }
}

/// Signals the main program's group, as the agent's user where it is that user's.
fn signal_group(pid: Pid, signal: Signal, identity: &Identity) -> Result<(), BootError> {
    let signal_once = || match killpg(pid, signal) {
        // The leader may be the only one, and not have made the group yet.
        Err(Errno::ESRCH) => kill(pid, signal).or(Ok(())),
        done => done,
    };
    let done = match signal_once() {
        Err(Errno::EPERM) => sys::with_uid_of_agent(identity, signal_once)?,
        done => done,
    };
    done.map_err(BootError::system("kill"))
}

/// Waits until the container is told to stop, or until the gateway that it was
/// started for has failed for good.
fn wait_until_told(failed: Option<OwnedFd>, signals: &mut Signals) -> Result<i32, BootError> {
    let mut failed = failed.map(File::from);
    loop {
        match signals.wait(failed.as_ref().map(AsFd::as_fd), None)? {
            Event::Signal(Signal::SIGTERM) => return Ok(0),
            Event::Signal(signal @ (Signal::SIGINT | Signal::SIGQUIT)) => {
                return Ok(128 + signal as i32);
            }
            Event::Signal(_) | Event::Deadline => {}
            Event::Readable => {
                let mut code = [0];
                if let Some(fifo) = &mut failed
                    && fifo.read(&mut code).is_ok_and(|read| read == 1)
                {
                    return Ok(i32::from(code[0]));
                }
            }
        }
    }
}
