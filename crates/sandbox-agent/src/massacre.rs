//! Killing everything that a keeper keeps, or everything since a moment.

use nix::errno::Errno;
use nix::unistd::{Uid, geteuid, seteuid};

use crate::process::{self, Process};
use crate::sys;

/// Whom it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// Those started at or after this tick; 0 for all.
    pub(crate) since: u64,
    /// One older process that is meant too.
    pub(crate) shell: Option<i32>,
}

/// The living descendants of this process within the scope. What descends from an older process is
/// out of it, save from the shell itself.
pub(crate) fn victims(scope: Scope) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    let mut all = process::all();
    if scope.since != 0 {
        let older: Vec<i32> = process::descendants(&all, own)
            .iter()
            .filter(|process| process.started < scope.since && Some(process.pid) != scope.shell)
            .map(|process| process.pid)
            .collect();
        let mut spared = Vec::new();
        for pid in older {
            spared.push(pid);
            spared.extend(
                process::descendants(&all, pid)
                    .iter()
                    .map(|process| process.pid),
            );
        }
        for pid in spared {
            all.remove(&pid);
        }
    }
    let mut found = process::descendants(&all, own);
    found.retain(|process| !process.zombie);
    found
}

/// One round of killing; who was to be killed.
pub(crate) fn round(scope: Scope) -> Vec<i32> {
    const KILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
    let own = std::process::id().cast_signed();
    let own_group = nix::unistd::getpgrp().as_raw();
    let victims = victims(scope);
    let mut killed: Vec<i32> = victims.iter().map(|victim| victim.pid).collect();
    for victim in &victims {
        // A group lies within a session, and sessions of descendants hold descendants only.
        let group = (scope.since == 0 && victim.group != own_group && victim.group > 1)
            .then_some(victim.group);
        signal_process(victim, KILL, group);
    }
    if scope.since == 0 {
        // Orphans come here in the meantime; chains of forks are broken while they are few.
        for _ in 0..64 {
            let children = process::own_children();
            if children.is_empty() {
                break;
            }
            let before = killed.len();
            for pid in children.into_iter().filter(|pid| *pid != own) {
                if process::one(pid).is_some_and(|process| !process.zombie) {
                    killed.push(pid);
                }
                // Own children keep their numbers until they are waited for.
                signal(pid, KILL).unwrap_or_default();
            }
            if killed.len() == before {
                break;
            }
        }
    }
    killed
}

/// Sends a signal to the process that was seen, and to its group, not to another one that has got
/// its number since.
///
/// Whoever is gone already needs none.
pub(crate) fn signal_process(process: &Process, signal: i32, group: Option<i32>) {
    // Where the kernel has no pidfd, or no room for one, a look just before has to do.
    let handle = sys::pidfd(process.pid);
    if matches!(handle, Err(Errno::ESRCH))
        || process::one(process.pid).is_none_or(|now| now.started != process.started)
    {
        return;
    }
    let sent = as_user(process.pid, || match &handle {
        Ok(handle) => sys::pidfd_kill(handle, signal),
        Err(_) => sys::kill(process.pid, signal),
    });
    // Failing means that it is gone, or belongs to somebody else again and counts as a survivor.
    sent.unwrap_or_default();
    // Afterwards: a parent that is still alive would go on after its children. The numbers of all
    // processes do not go round in between.
    if let Some(group) = group {
        as_user(group, || sys::kill(-group, signal)).unwrap_or_default();
    }
}

/// Sends a signal to an own child, or with a negative number to a child's group.
pub(crate) fn signal(target: i32, signal: i32) -> Result<(), Errno> {
    as_user(target.abs(), || sys::kill(target, signal))
}

/// Signals, as the target's user where the agent's own may not.
fn as_user(pid: i32, kill: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    let done = kill();
    if done != Err(Errno::EPERM) {
        return done;
    }
    let own = geteuid();
    let uid = process::user(pid).ok_or(Errno::ESRCH)?;
    // Only the effective id changes, so the target may not signal back.
    seteuid(Uid::from_raw(uid))?;
    let done = kill();
    if let Err(error) = seteuid(own) {
        eprintln!("sandbox-agent: cannot become uid {own} again: {error}");
    }
    done
}
