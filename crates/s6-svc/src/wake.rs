//! Waking `s6-svscan` up to services that it has found and does not start.
//!
//! From 2.12 on, s6-svscan starts supervisors in a pass of its own, apart from its scans. The pass
//! is due when a scan meets a directory that s6-svscan did not know, and when a supervisor ends
//! that should run; no command asks for one. So a service stays without a supervisor, however often
//! one scans, where
//!
//! - the scan that met it first gave up afterwards, as it does when a name that was listed is gone
//!   by the time it is looked at: the pass that follows does not count the service in, and for the
//!   next scan it is not new any more;
//! - its supervisor ended within a second of its start and a pass came before that second was over:
//!   the pass leaves it out, and forgets that one was still due.
//!
//! What helps is a directory that s6-svscan does not know yet: the scan that meets it makes a pass
//! due, which starts everything that is listed and has no supervisor. That is a *wake*: an empty
//! service, down, with a name of its own, which leaves when all is supervised.
//!
//! Why this suffices: a wake that is supervised was started by a pass after a scan that did not give
//! up. If the wake after it is supervised too, that scan began after the first, hence after the slot
//! was published, and lists it; so the pass has started the slot, unless it had died within the
//! second before. A wake that is met by a scan that gives up is forgotten as the slot was, and the
//! next wake starts both. No wake is taken away before it is supervised, for 2.13 never frees the
//! place of a service that leaves while it has no supervisor.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};

use crate::command::ScandirCommand;
use crate::deadline::Deadline;
use crate::dir::Dir;
use crate::error::{FsError, RegistrationError};
use crate::fifodir::{FifoDir, Subscription};
use crate::registration::{PATIENCE, Scene};
use crate::seed::seed_dir;
use crate::servicedir::ServiceDir;
use crate::skeleton::Identity;
use crate::slot::{Slot, bury};
use crate::staging::{LEAVING, MAKING};
use crate::step::Steps;
use crate::tree;

/// How the name of a wake begins; listings pass over it.
pub(crate) const PREFIX: &str = "s6-svc-wake-";

/// A wake that is published.
#[derive(Debug)]
pub(crate) struct Wake {
    slot: Slot,
    start: Subscription,
}

impl Wake {
    /// Publishes the wake of this number.
    pub(crate) fn publish(
        scene: &Scene<'_>,
        number: usize,
        steps: &mut Steps<'_>,
    ) -> Result<Self, RegistrationError> {
        let name = file_name(scene.workshop.dir(), number)?;
        let workshop = scene.workshop.dir();
        let dir = tree::make_dir(workshop, MAKING, 0o755, None, steps)?;
        tree::make_file(&dir, "down", b"", 0o644, None, steps)?;
        seed_dir(&dir, Identity::effective(), steps)?;
        let service = ServiceDir::at(scene.place.slot(&name));
        let start = FifoDir::of(&service).subscribe_in(&dir, steps)?;
        tree::rename_new(workshop, MAKING.as_ref(), scene.scandir, &name, steps)?;
        let slot = Slot::find(scene.scandir, &name)?;
        Ok(Self { slot, start })
    }

    pub(crate) fn is_supervised(&self) -> Result<bool, FsError> {
        self.slot.is_supervised()
    }

    /// Readable when its supervisor has started.
    pub(crate) fn start(&self) -> BorrowedFd<'_> {
        self.start.as_fd()
    }
}

/// Removes the wakes of a workshop, those of a killed process included.
pub(crate) fn dismiss(
    scene: &Scene<'_>,
    deadline: Deadline,
    steps: &mut Steps<'_>,
) -> Result<(), RegistrationError> {
    let workshop = scene.workshop.dir();
    let mut names = Vec::new();
    loop {
        let name = file_name(workshop, names.len())?;
        if scene.scandir.stat(&name)?.is_none() {
            break;
        }
        names.push(name);
    }
    // The first goes last, so that whoever completes this finds all that are left.
    for name in names.iter().rev() {
        tree::rename_new(scene.scandir, name, workshop, LEAVING.as_ref(), steps)?;
        bury(
            workshop,
            LEAVING.as_ref(),
            scene.scanner,
            PATIENCE,
            deadline,
            steps,
        )?;
    }
    if !names.is_empty() {
        // One that was about to start is not to be tried for ever.
        let prune = [ScandirCommand::Rescan, ScandirCommand::Prune];
        scene.scanner.send(&prune, steps)?;
    }
    Ok(())
}

/// The workshop's inode tells its wakes from all others for as long as it is there.
fn file_name(workshop: &Dir, number: usize) -> Result<OsString, FsError> {
    let inode = workshop.inode()?;
    Ok(format!("{PREFIX}{inode:x}-{number}").into())
}
