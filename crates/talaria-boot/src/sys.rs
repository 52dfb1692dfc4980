//! The one place where this process splits in two.
#![expect(
    unsafe_code,
    reason = "fork has no safe form, nor has what comes between it and exec"
)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::error::BootError;
use crate::identity::Identity;
use crate::report;

/// Forks. The child runs `child` and ends with the exit code that it returns.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> Result<Pid, BootError> {
    // SAFETY: talaria-boot never starts a thread, so the child is a whole copy
    // of the process, with no lock held by anybody who is not there.
    match unsafe { nix::unistd::fork() }.map_err(BootError::system("fork"))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(child()),
    }
}

/// Has a command start with no signal blocked, whatever this process has blocked
/// for itself: what could not be told to end would keep a container from ending.
pub(crate) fn unblocked(command: &mut Command) -> &mut Command {
    let unblock = || SigSet::empty().thread_set_mask().map_err(io::Error::from);
    // SAFETY: all that is called between fork and exec is sigprocmask, which is
    // async-signal-safe, and an error of it is made without allocating.
    unsafe { command.pre_exec(unblock) }
}

/// Acts with the agent's user as this process' effective one.
///
/// For signals, which root without `CAP_KILL` may not send to the agent's processes,
/// and for what is to be the agent's from the first, where root may not give away.
/// A child that has become the agent's user could be stopped by the agent for
/// ever; this process cannot, since its real and saved uids stay what they are.
/// Nothing may be opened or run meanwhile.
pub(crate) fn with_uid_of_agent<T>(
    identity: &Identity,
    act: impl FnOnce() -> T,
) -> Result<T, BootError> {
    if !identity.is_switch() {
        return Ok(act());
    }
    let own = nix::unistd::geteuid();
    nix::unistd::seteuid(identity.uid).map_err(BootError::not_the_agent(identity))?;
    let done = act();
    nix::unistd::seteuid(own).map_err(BootError::system("seteuid"))?;
    Ok(done)
}

/// Runs `act` as the agent's user, in a child, and waits for it. What goes wrong
/// there is said there.
///
/// Root that was started with few capabilities may neither signal the agent's
/// processes nor write its files, and should not try: whatever the agent has
/// put in their place would be done to with root's rights.
pub(crate) fn as_agent(
    identity: &Identity,
    act: impl FnOnce() -> Result<(), BootError>,
) -> Result<(), BootError> {
    if !identity.is_switch() {
        return act();
    }
    let child = fork(|| {
        let done = identity
            .assume()
            .map_err(BootError::from)
            .and_then(|()| act());
        match done {
            Ok(()) => 0,
            Err(error) => {
                report::error(&error);
                error.exit_code()
            }
        }
    })?;
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(status) => {
                return Err(BootError::SaidAlready {
                    code: exit_code(status).unwrap_or(111),
                });
            }
            Err(nix::Error::EINTR) => {}
            Err(source) => {
                return Err(BootError::System {
                    call: "waitpid",
                    source,
                });
            }
        }
    }
}

/// The exit code that a wait status stands for, as shells have it; `None` where
/// the process has not ended.
pub(crate) fn exit_code(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
        _ => None,
    }
}
