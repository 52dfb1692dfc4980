//! The run program of the agent's supervision tree: heals what an earlier tree
//! left, then becomes the s6-svscan of `/run/service`, as the agent's user.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use profile_boot::slot;

use crate::error::BootError;
use crate::identity::Identity;
use crate::init::{self, state};
use crate::process_table::{self, Process};
use crate::signals::{Event, Signals};
use crate::{exec, paths, reconcile, report, svscanctl};

/// How long the supervisors of an earlier tree may take to stop their services.
const ORPHANS_GRACE: Duration = Duration::from_millis(1500);

/// Becomes the agent's tree.
pub(crate) fn run() -> Result<Infallible, BootError> {
    let ready = open_ready();
    if !state::stage2_is_alive() && !state::has_exit_code() {
        // Only where everything runs as the agent's user can it be killed by it.
        init::replace_stage2()?;
    }
    raise_file_limit();
    let scandir = Path::new(paths::AGENT_SCANDIR);
    let is_first = scandir.join(".s6-svscan").symlink_metadata().is_err();
    Identity::of_agent()?.assume()?;
    if !is_first {
        heal();
    }
    let mut command = Command::new(Path::new(paths::COMMANDS).join("s6-svscan"));
    command.arg("-C").arg(slot::MAX_SUPERVISED.to_string());
    if let Some(ready) = &ready {
        command.arg("-d").arg(ready.as_raw_fd().to_string());
    }
    Err(exec::exec(command.arg(scandir)))
}

/// Ends what an earlier tree left running and lays the slots out again. A tree
/// with a fault is better than none, so what fails here is said and no more.
fn heal() {
    for result in [keep_wants(), end_orphans(), reconcile::pass().map(drop)] {
        if let Err(error) = result {
            report::error(&error);
        }
    }
}

/// Has the slots start as they were last told to.
fn keep_wants() -> Result<(), BootError> {
    let scandir = svscanctl::agent_scandir()?;
    let failed = slot::keep_wants(&scandir).map_err(|error| {
        BootError::file("list it", paths::AGENT_SCANDIR)(io::Error::other(error))
    })?;
    for (slot, error) in failed {
        report::warning(format_args!(
            "{}: cannot keep what it was told: {error}",
            slot.display()
        ));
    }
    Ok(())
}

/// Stops the supervisors that have lost their s6-svscan, and with them their
/// services: two of them on one slot would fight over it.
fn end_orphans() -> Result<(), BootError> {
    let mut signals = Signals::take(&[])?;
    let deadline = Instant::now() + ORPHANS_GRACE;
    let mut signalled = Vec::new();
    loop {
        let orphans = supervisors()?;
        if orphans.is_empty() {
            return Ok(());
        }
        let late = Instant::now() >= deadline;
        for orphan in orphans {
            if late || !signalled.contains(&orphan) {
                let signal = if late {
                    Signal::SIGKILL
                } else {
                    Signal::SIGTERM
                };
                end(orphan, signal);
                signalled.push(orphan);
            }
        }
        // They are nobody's children here, so there is no event to wait for.
        while signals.wait(None, Some(Instant::now() + Duration::from_millis(5)))?
            != Event::Deadline
        {}
    }
}

fn end(pid: Pid, signal: Signal) {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => report::warning(format_args!("cannot end s6-supervise {pid}: {error}")),
    }
}

/// The s6-supervise processes that work in the agent's scandir.
fn supervisors() -> Result<Vec<Pid>, BootError> {
    let processes = process_table::all().map_err(BootError::file("list it", "/proc"))?;
    let ours = |process: &Process| {
        process.comm == "s6-supervise" && !process.zombie && process.works_in(paths::AGENT_SCANDIR)
    };
    Ok(processes
        .iter()
        .filter(|process| ours(process))
        .map(|process| process.pid)
        .collect())
}

/// The end of the init's FIFO that says that the tree stands, once the init lets
/// it: nothing of the agent's starts before the last hook has ended. After the
/// first start nobody reads it any more, and nobody is waited for.
fn open_ready() -> Option<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fifo = File::from(open(state::TREE_READY, flags, Mode::empty()).ok()?);
    if let Err(error) = fifo.lock_shared() {
        report::warning(format_args!(
            "{}: cannot wait for it: {error}",
            state::TREE_READY
        ));
    }
    fcntl(&fifo, FcntlArg::F_SETFD(FdFlag::empty())).ok()?;
    Some(fifo)
}

/// A slot takes two descriptors in s6-svscan: the soft limit becomes the hard one.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        report::warning(format_args!(
            "cannot raise the limit of open files: {error}"
        ));
    }
}
