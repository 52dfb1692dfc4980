//! Taking a service out of supervision.

use std::ffi::OsStr;
use std::time::Duration;

use rustix::fs::{Access, AtFlags};

use crate::command::Command;
use crate::deadline::Deadline;
use crate::dir::{self, Dir};
use crate::error::{FileKind, FsError, RegistrationError, StatusError, WaitError};
use crate::name::ServiceName;
use crate::registration::{PATIENCE, Scene};
use crate::scandir::Scandir;
use crate::slot::{Scanner, Slot, bury};
use crate::staging::{LEAVING, Workshop};
use crate::step::{Action, Step, Steps};
use crate::tree;
use crate::watch::{Goal, Watch};

/// What an unregistration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unregistered {
    /// The service is gone.
    Removed,
    /// It was not there.
    Absent,
}

/// Takes a service out of supervision: brings it down, takes its slot out of the scan by a rename,
/// has `s6-svscan` end the supervisors, waits until they have let go of the slot, and removes it.
///
/// A service that does not stop within the grace time is killed. The call is idempotent. If the
/// process is killed, the same call made again, or [`Scandir::sweep`], completes it.
///
/// ```no_run
/// use std::time::Duration;
/// use s6_svc::{Deadline, Scandir, ServiceName, Unregistration};
/// let scandir = Scandir::new("/run/service")?;
/// Unregistration::new(&scandir, &ServiceName::new("ticker")?)
///     .grace(Duration::from_secs(2))
///     .deadline(Deadline::after(Duration::from_secs(10)))
///     .execute()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Unregistration<'a> {
    scandir: &'a Scandir,
    name: &'a ServiceName,
    grace: Duration,
    deadline: Deadline,
    steps: Steps<'a>,
}

impl<'a> Unregistration<'a> {
    /// An unregistration with 10 s for the service to stop, and 30 s in all.
    #[must_use]
    pub fn new(scandir: &'a Scandir, name: &'a ServiceName) -> Self {
        Self {
            scandir,
            name,
            grace: Duration::from_secs(10),
            deadline: Deadline::after(Duration::from_secs(30)),
            steps: Steps::default(),
        }
    }

    /// How long the service may take to stop before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Until when it must have succeeded.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// Is told each step before it is taken.
    #[must_use]
    pub fn on_step(mut self, observer: impl FnMut(&Step) + 'a) -> Self {
        self.steps = Steps::tell(observer);
        self
    }

    /// Unregisters the service and waits until nothing of it is left.
    ///
    /// # Errors
    /// Those of permissions before anything was changed:
    /// [`FsError::Denied`](crate::FsError::Denied) names the FIFO or the directory and its owner.
    /// [`RegistrationError::StillUp`] where the service does not even die when killed, and
    /// [`RegistrationError::Lingers`] where a supervisor does not go in time.
    pub fn execute(mut self) -> Result<Unregistered, RegistrationError> {
        let scandir = self.scandir.open()?;
        let slot_name: &OsStr = self.name.as_str().as_ref();
        let workshop_name = Workshop::file_name(self.name);
        if scandir.stat(slot_name)?.is_none() && scandir.stat(&workshop_name)?.is_none() {
            return Ok(Unregistered::Absent);
        }
        let scanner = Scanner::find(&scandir)?;
        let workshop = Workshop::enter(&scandir, self.name, self.deadline, &mut self.steps)?;
        let scene = Scene {
            place: self.scandir,
            scandir: &scandir,
            scanner: &scanner,
            workshop: &workshop,
        };
        let result = self.work(&scene, slot_name);
        let left = workshop.leave(&scandir, &mut self.steps);
        RegistrationError::both(result, left)
    }

    fn work(
        &mut self,
        scene: &Scene<'_>,
        slot_name: &OsStr,
    ) -> Result<Unregistered, RegistrationError> {
        let workshop = scene.workshop.dir();
        let interrupted = workshop.stat(LEAVING)?.is_some();
        scene.clear(self.deadline, &mut self.steps)?;
        match scene.scandir.stat(slot_name)?.map(|stat| dir::kind(&stat)) {
            None if interrupted => return Ok(Unregistered::Removed),
            None => return Ok(Unregistered::Absent),
            Some(FileKind::Directory) => {}
            Some(found) => {
                let error = scene
                    .scandir
                    .wrong_kind(slot_name, FileKind::Directory, found);
                return Err(error.into());
            }
        }
        may_change(scene.scandir, slot_name)?;
        // Opened here, held over the rename: whoever may not control the service learns it before
        // anything happened.
        let slot = Slot::find(scene.scandir, slot_name)?;
        self.stop()?;
        tree::rename_new(
            scene.scandir,
            slot_name,
            workshop,
            LEAVING.as_ref(),
            &mut self.steps,
        )?;
        let patience = PATIENCE;
        slot.wait_until_released(scene.scanner, patience, self.deadline, &mut self.steps)?;
        bury(
            workshop,
            LEAVING.as_ref(),
            scene.scanner,
            patience,
            self.deadline,
            &mut self.steps,
        )?;
        Ok(Unregistered::Removed)
    }

    /// Brings the service down, by killing it if need be.
    fn stop(&mut self) -> Result<(), RegistrationError> {
        let service = self.scandir.service(self.name);
        let mut watch = match Watch::telling([service.clone()], &mut self.steps) {
            Ok(watch) => watch,
            Err(WaitError::Status(StatusError::NotSupervised { .. })) => return Ok(()),
            // Made by a supervisor that has not come so far: it has started nothing yet.
            Err(WaitError::Fs(error)) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut act = |watch: &mut Watch, commands: &[Command], until| {
            self.steps
                .before(Action::Send, service.path().join("supervise/control"));
            match service.control(commands) {
                Ok(()) => match watch.wait_all(Goal::Finished, until) {
                    // No supervisor, nothing more to wait for.
                    Ok(()) | Err(WaitError::Lost { .. }) => Ok(true),
                    Err(WaitError::TimedOut { .. }) => Ok(false),
                    Err(error) => Err(RegistrationError::from(error)),
                },
                Err(crate::ControlError::NotSupervised { .. }) => Ok(true),
                Err(error) => Err(error.into()),
            }
        };
        let grace = Deadline::after(self.grace).min(self.deadline);
        if act(&mut watch, &[Command::Down], grace)? {
            return Ok(());
        }
        let kill = [Command::Down, Command::KillGroup, Command::Kill];
        if act(&mut watch, &kill, self.deadline)? {
            return Ok(());
        }
        let phase = service.last_status().ok().map(|status| status.phase());
        Err(RegistrationError::StillUp {
            path: service.path(),
            phase,
        })
    }
}

/// Whether the process may change what is in a directory, as the system sees it now.
fn may_change(parent: &Dir, name: &OsStr) -> Result<(), FsError> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    // The flag needs a system call that older kernels and engines do not have.
    let same = rustix::process::getuid() == rustix::process::geteuid();
    let flags = if same {
        AtFlags::empty()
    } else {
        AtFlags::EACCESS
    };
    rustix::fs::accessat(parent, name, access, flags)
        .map_err(|errno| parent.fail("change", name, FileKind::Directory, errno))
}
