//! Bringing a new service under supervision.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::definition::Definition;
use crate::dir::{self, Dir, Links};
use crate::error::{FileKind, RegistrationError};
use crate::fifodir::{FifoDir, Subscription};
use crate::name::ServiceName;
use crate::poll::poll;
use crate::scandir::Scandir;
use crate::seed::seed_dir;
use crate::skeleton::Identity;
use crate::slot::{Scanner, Slot, bury};
use crate::staging::{LEAVING, MAKING, Workshop};
use crate::step::{Step, Steps};
use crate::{tree, wake};

/// How long undoing a failed registration may take.
const UNDO: Duration = Duration::from_secs(10);

/// How long supervisors may take to go by themselves when a registration is undone.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// How often a scanner that is starting is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Registered {
    /// The service is new.
    New,
    /// The same service was there already; it is supervised now if it was not before.
    Already,
}

/// Brings a service under supervision: makes its slot under a hidden name, seeds the supervise
/// skeleton, publishes it by a rename, has `s6-svscan` scan, and waits until the service is
/// supervised.
///
/// Where that takes longer than a second, `s6-svscan` may have forgotten the service, as versions
/// from 2.12 on do when a scan is disturbed or a supervisor dies young; to scan again does not
/// remind them. A service of no content is published beside it then, and a further one every few
/// seconds, which makes s6-svscan start all that it has forgotten; their names begin with
/// `s6-svc-wake-`. They are gone when the call returns, and [`Scandir::entries`] does not list them.
///
/// The slot and everything in it belong to the owner, by default whoever registers, so that the
/// owner controls the service even where `s6-svscan` runs as root; only root registers for others.
///
/// If it fails, nothing is left. If the process is killed, no scan finds a half-made slot, and the
/// same call made again succeeds. The call is idempotent: a slot with the same definition counts as
/// registered, whatever its `down` file has become since. Who registers or unregisters the same
/// name at the same time is waited for.
///
/// ```no_run
/// use std::time::Duration;
/// use s6_svc::{Deadline, Definition, Program, Registration, Scandir, ServiceName};
/// let scandir = Scandir::new("/run/service")?;
/// let name = ServiceName::new("ticker")?;
/// let run = Program::Script("#!/bin/sh\nexec sleep 1000\n".to_owned());
/// Registration::new(&scandir, &name, &Definition::new(run))
///     .deadline(Deadline::after(Duration::from_secs(5)))
///     .execute()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Registration<'a> {
    scandir: &'a Scandir,
    name: &'a ServiceName,
    definition: &'a Definition,
    owner: Identity,
    deadline: Deadline,
    steps: Steps<'a>,
}

impl<'a> Registration<'a> {
    /// A registration by the process's effective user for itself, with 30 s to succeed.
    #[must_use]
    pub fn new(scandir: &'a Scandir, name: &'a ServiceName, definition: &'a Definition) -> Self {
        Self {
            scandir,
            name,
            definition,
            owner: Identity::effective(),
            deadline: Deadline::after(Duration::from_secs(30)),
            steps: Steps::default(),
        }
    }

    /// Who shall own and control the service.
    #[must_use]
    pub fn owner(mut self, owner: Identity) -> Self {
        self.owner = owner;
        self
    }

    /// Until when it must have succeeded; undoing a failure may take 10 s more.
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

    /// Registers the service and waits until it is supervised.
    ///
    /// # Errors
    /// [`RegistrationError::NotScanned`] where no `s6-svscan` runs,
    /// [`RegistrationError::Different`] where another service has the name,
    /// [`RegistrationError::NotStarted`] where `s6-svscan` did not start its supervisor in time (it
    /// may be at its limit), and those of the file system.
    pub fn execute(self) -> Result<Registered, RegistrationError> {
        self.run(true)
    }

    /// Publishes the slot only: the next scan finds it. For scandirs that no `s6-svscan` runs on
    /// yet.
    ///
    /// # Errors
    /// As [`Registration::execute`], but for what is about `s6-svscan`.
    pub fn publish(self) -> Result<Registered, RegistrationError> {
        self.run(false)
    }

    /// The scanner, once it listens: it takes its lock before it opens its FIFO, so one that has
    /// just been started is waited for.
    fn listening_scanner(&self, scandir: &Dir) -> Result<Scanner, RegistrationError> {
        loop {
            let scanner = Scanner::find(scandir)?;
            if scanner.lifeline()?.is_some() {
                return Ok(scanner);
            }
            // Whoever may not look at the lock cannot tell, and does not wait.
            if !matches!(self.scandir.is_scanned(), Ok(true)) || self.deadline.has_passed() {
                return Err(RegistrationError::NotScanned {
                    path: self.scandir.path().to_owned(),
                });
            }
            poll(&[], self.deadline.min(Deadline::after(LOOK_AGAIN)))
                .map_err(|source| RegistrationError::Poll { source })?;
        }
    }

    fn run(mut self, supervise: bool) -> Result<Registered, RegistrationError> {
        let scandir = self.scandir.open()?;
        let scanner = if supervise {
            self.listening_scanner(&scandir)?
        } else {
            Scanner::find(&scandir)?
        };
        let workshop = Workshop::enter(&scandir, self.name, self.deadline, &mut self.steps)?;
        let scene = Scene {
            place: self.scandir,
            scandir: &scandir,
            scanner: &scanner,
            workshop: &workshop,
        };
        let result = self.work(&scene, supervise);
        let left = workshop.leave(&scandir, &mut self.steps);
        RegistrationError::both(result, left)
    }

    fn work(
        &mut self,
        scene: &Scene<'_>,
        supervise: bool,
    ) -> Result<Registered, RegistrationError> {
        scene.clear(self.deadline, &mut self.steps)?;
        let slot_name: &OsStr = self.name.as_str().as_ref();
        match scene.scandir.stat(slot_name)?.map(|stat| dir::kind(&stat)) {
            None => {
                self.create(scene, supervise)?;
                Ok(Registered::New)
            }
            Some(FileKind::Directory) => {
                let slot = scene.scandir.below(slot_name, Links::Refuse)?;
                self.compare(&slot)?;
                if supervise {
                    self.adopt(scene, &slot)?;
                }
                Ok(Registered::Already)
            }
            Some(found) => Err(scene
                .scandir
                .wrong_kind(slot_name, FileKind::Directory, found)
                .into()),
        }
    }

    /// Makes and publishes a slot, and takes it back where it is not supervised in time.
    fn create(&mut self, scene: &Scene<'_>, supervise: bool) -> Result<(), RegistrationError> {
        let slot = self.make(scene)?;
        let starts = if supervise {
            self.listen(&slot)?
        } else {
            Vec::new()
        };
        let (from, old) = (scene.workshop.dir(), MAKING.as_ref());
        let new = self.name.as_str().as_ref();
        tree::rename_new(from, old, scene.scandir, new, &mut self.steps)?;
        if supervise && let Err(cause) = self.supervise(scene, &starts, self.deadline) {
            return Err(match self.withdraw(scene, Deadline::after(UNDO)) {
                Ok(()) => cause,
                Err(error) => RegistrationError::undo(cause, error),
            });
        }
        Ok(())
    }

    /// Has a slot supervised that is there already.
    fn adopt(&mut self, scene: &Scene<'_>, slot: &Dir) -> Result<(), RegistrationError> {
        // Made by somebody who leaves it to s6-supervise: it must be there to be listened to.
        self.seed(slot)?;
        let starts = self.listen(slot)?;
        self.supervise(scene, &starts, self.deadline)
    }

    /// Makes the slot in the workshop.
    fn make(&mut self, scene: &Scene<'_>) -> Result<Dir, RegistrationError> {
        let actor = Identity::effective();
        let give_to = (actor != self.owner).then_some(self.owner);
        let workshop = scene.workshop.dir();
        // Another user must not reach in before everything is there; the workshop bars the way.
        let slot = tree::make_dir(workshop, MAKING, 0o755, None, &mut self.steps)?;
        for item in self.definition.layout() {
            tree::make_item(&slot, &item, give_to, &mut self.steps)?;
        }
        self.seed(&slot)?;
        if give_to.is_some() {
            tree::give(&slot, self.owner, &mut self.steps)?;
        }
        Ok(slot)
    }

    fn seed(&mut self, slot: &Dir) -> Result<(), RegistrationError> {
        seed_dir(slot, self.owner, &mut self.steps)?;
        if self.definition.has_log() {
            seed_dir(
                &slot.below("log", Links::Refuse)?,
                self.owner,
                &mut self.steps,
            )?;
        }
        Ok(())
    }

    /// Listens for the start of the supervisors.
    fn listen(&mut self, slot: &Dir) -> Result<Vec<Subscription>, RegistrationError> {
        let service = self.scandir.service(self.name);
        let mut starts = vec![FifoDir::of(&service).subscribe_in(slot, &mut self.steps)?];
        if self.definition.has_log() {
            let log = slot.below("log", Links::Refuse)?;
            starts.push(FifoDir::of(&service.log()).subscribe_in(&log, &mut self.steps)?);
        }
        Ok(starts)
    }

    fn supervise(
        &mut self,
        scene: &Scene<'_>,
        starts: &[Subscription],
        deadline: Deadline,
    ) -> Result<(), RegistrationError> {
        let slot = Slot::find(scene.scandir, self.name.as_str().as_ref())?;
        let starts: Vec<_> = starts.iter().map(AsFd::as_fd).collect();
        let supervised = slot.wait_until_supervised(&starts, scene, deadline, &mut self.steps);
        let dismissed = wake::dismiss(scene, Deadline::after(UNDO), &mut self.steps);
        RegistrationError::both(supervised, dismissed)
    }

    /// Takes a slot back that was published.
    fn withdraw(&mut self, scene: &Scene<'_>, deadline: Deadline) -> Result<(), RegistrationError> {
        let (workshop, name) = (scene.workshop.dir(), self.name.as_str().as_ref());
        tree::rename_new(
            scene.scandir,
            name,
            workshop,
            LEAVING.as_ref(),
            &mut self.steps,
        )?;
        scene.clear(deadline, &mut self.steps)
    }

    /// Whether the slot that is there is this service.
    fn compare(&self, slot: &Dir) -> Result<(), RegistrationError> {
        let different = |place: &str| RegistrationError::Different {
            path: slot.join(place),
        };
        for item in self.definition.layout() {
            if !item.is_state() && !tree::holds(slot, &item)? {
                return Err(different(&item.place));
            }
        }
        for place in self.definition.absent() {
            let name = std::path::Path::new(&place);
            if slot.stat(name)?.is_some() {
                return Err(different(&place));
            }
        }
        Ok(())
    }
}

/// Where it happens.
pub(crate) struct Scene<'a> {
    pub(crate) place: &'a Scandir,
    pub(crate) scandir: &'a Dir,
    pub(crate) scanner: &'a Scanner,
    pub(crate) workshop: &'a Workshop,
}

impl Scene<'_> {
    /// Removes what somebody left in the workshop who was killed; whether a slot was being removed
    /// there.
    pub(crate) fn clear(
        &self,
        deadline: Deadline,
        steps: &mut Steps<'_>,
    ) -> Result<(), RegistrationError> {
        let dir = self.workshop.dir();
        tree::remove_tree(dir, MAKING.as_ref(), steps)?;
        match dir.stat(LEAVING)?.map(|stat| dir::kind(&stat)) {
            None => Ok(()),
            Some(FileKind::Directory) => bury(
                dir,
                LEAVING.as_ref(),
                self.scanner,
                PATIENCE,
                deadline,
                steps,
            ),
            Some(_) => Ok(tree::remove_tree(dir, LEAVING.as_ref(), steps).map(drop)?),
        }?;
        wake::dismiss(self, deadline, steps)
    }
}
