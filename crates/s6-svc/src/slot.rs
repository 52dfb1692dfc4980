//! A slot and its supervisors, held open over a rename: what registration and unregistration have
//! in common.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::command::{Command, ScandirCommand};
use crate::control;
use crate::deadline::Deadline;
use crate::dir::{Dir, Links};
use crate::error::{ControlError, FileKind, FsError, RegistrationError};
use crate::poll::poll;
use crate::registration::{PATIENCE, Scene};
use crate::step::{Action, Steps};
use crate::supervisor;
use crate::wake::Wake;
use crate::{dir, tree};

/// A scan that meets a slot being renamed gives up, and s6-svscan tries again after seconds: ask it
/// again before that.
const FIRST_NUDGE: Duration = Duration::from_millis(100);
const LAST_NUDGE: Duration = Duration::from_secs(2);

/// A busy machine takes as long as this to start a supervisor, and a wake makes it busier.
const FIRST_WAKE: Duration = Duration::from_secs(1);
const LAST_WAKE: Duration = Duration::from_secs(4);

/// How often a lock is looked at whose holder is exiting.
const MAX_CLOSES: u32 = 1000;

/// Something to do again, less and less often.
#[derive(Debug)]
struct Nudge {
    interval: Duration,
    longest: Duration,
    at: Deadline,
}

impl Nudge {
    fn new(first: Duration, longest: Duration) -> Self {
        Self {
            interval: first,
            longest,
            at: Deadline::after(first),
        }
    }

    fn at(&self) -> Deadline {
        self.at
    }

    fn is_due(&mut self) -> bool {
        let due = self.at.has_passed();
        if due {
            self.interval = (self.interval * 2).min(self.longest);
            self.at = Deadline::after(self.interval);
        }
        due
    }
}

/// The control directory of `s6-svscan`, held open.
#[derive(Debug)]
pub(crate) struct Scanner {
    control_dir: Option<Dir>,
    scandir: PathBuf,
}

impl Scanner {
    /// Finds it, and makes sure that it may be told something if it listens.
    pub(crate) fn find(scandir: &Dir) -> Result<Self, FsError> {
        let control_dir = match scandir.below(".s6-svscan", Links::Refuse) {
            Ok(control_dir) => {
                match control_dir.open_fifo("control") {
                    Ok(_) => {}
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
                Some(control_dir)
            }
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            control_dir,
            scandir: scandir.path().to_owned(),
        })
    }

    /// The FIFO, open to write: it reports the end of the scanner. `None` where nobody listens.
    pub(crate) fn lifeline(&self) -> Result<Option<OwnedFd>, FsError> {
        match self
            .control_dir
            .as_ref()
            .map(|dir| dir.open_fifo("control"))
        {
            None => Ok(None),
            Some(Err(error)) if error.is_missing() => Ok(None),
            Some(result) => result,
        }
    }

    /// Tells it something; false where nobody listens.
    pub(crate) fn send(
        &self,
        commands: &[ScandirCommand],
        steps: &mut Steps<'_>,
    ) -> Result<bool, ControlError> {
        let Some(control_dir) = &self.control_dir else {
            return Ok(false);
        };
        let bytes: Vec<u8> = commands.iter().map(|command| command.byte()).collect();
        steps.before(Action::Send, control_dir.join("control"));
        match control::send(control_dir, &self.scandir, &bytes) {
            Ok(()) => Ok(true),
            Err(ControlError::NotSupervised { .. }) => Ok(false),
            Err(ControlError::Fs(error)) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A service directory that may have a supervisor: the service itself, or its logger.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    control_dir: Option<Dir>,
    /// Open to write: the kernel reports when the last reader, the supervisor, closes it.
    lifeline: Option<OwnedFd>,
}

impl Part {
    fn find(dir: &Dir) -> Result<Self, FsError> {
        let path = dir.path().to_owned();
        let control_dir = match dir.below("supervise", Links::Refuse) {
            Ok(control_dir) => control_dir,
            Err(error) if error.is_missing() => {
                return Ok(Self {
                    path,
                    control_dir: None,
                    lifeline: None,
                });
            }
            Err(error) => return Err(control::name_the_fifo(error)),
        };
        let lifeline = match control_dir.open_fifo("control") {
            Ok(lifeline) => lifeline,
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            control_dir: Some(control_dir),
            lifeline,
        })
    }

    fn is_supervised(&self) -> Result<bool, FsError> {
        match &self.control_dir {
            None => Ok(false),
            Some(control_dir) => Ok(supervisor::of(control_dir)?.is_some()),
        }
    }

    /// A supervisor takes its lock before it opens its FIFO, and writes its status last.
    fn is_at_work(&self) -> Result<bool, FsError> {
        let Some(control_dir) = &self.control_dir else {
            return Ok(false);
        };
        Ok(supervisor::of(control_dir)?.is_some()
            && control_dir.stat("status")?.is_some()
            && control_dir.open_fifo("control")?.is_some())
    }

    fn send(&self, commands: &[Command], steps: &mut Steps<'_>) -> Result<(), ControlError> {
        let Some(control_dir) = &self.control_dir else {
            return Ok(());
        };
        let bytes: Vec<u8> = commands.iter().map(|command| command.byte()).collect();
        steps.before(Action::Send, control_dir.join("control"));
        match control::send(control_dir, &self.path, &bytes) {
            // It is about to go, or has gone.
            Err(ControlError::NotSupervised { .. }) => Ok(()),
            Err(ControlError::Fs(error)) if error.is_missing() => Ok(()),
            result => result,
        }
    }
}

/// By what means supervisors are made to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Force {
    /// They exit when what they run has ended by itself.
    Exit,
    /// They stop what they run.
    Down,
    /// They kill what they run.
    Kill,
}

/// A slot: the service and, where it has one, its logger.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) parts: Vec<Part>,
}

impl Slot {
    /// Opens the slot of this name.
    pub(crate) fn find(parent: &Dir, name: &OsStr) -> Result<Self, FsError> {
        let dir = parent.below(name, Links::Refuse)?;
        let mut parts = vec![Part::find(&dir)?];
        match dir.stat("log")?.map(|stat| dir::kind(&stat)) {
            Some(FileKind::Directory) => parts.push(Part::find(&dir.below("log", Links::Refuse)?)?),
            // s6-svscan follows a link; it is not ours to do so.
            Some(FileKind::Symlink) => {
                return Err(dir.wrong_kind("log", FileKind::Directory, FileKind::Symlink));
            }
            Some(_) | None => {}
        }
        Ok(Self { parts })
    }

    pub(crate) fn is_any_supervised(&self) -> Result<bool, FsError> {
        for part in &self.parts {
            if part.is_supervised()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether every part has a supervisor that is at work.
    pub(crate) fn is_supervised(&self) -> Result<bool, FsError> {
        for part in &self.parts {
            if !part.is_at_work()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until the supervisors of a slot that no scan finds any more have gone.
    ///
    /// The scanner ends them. Where there is none, or it takes longer than `patience`, they are
    /// told themselves.
    pub(crate) fn wait_until_released(
        &self,
        scanner: &Scanner,
        patience: Duration,
        deadline: Deadline,
        steps: &mut Steps<'_>,
    ) -> Result<(), RegistrationError> {
        let prune = [ScandirCommand::Rescan, ScandirCommand::Prune];
        let mut force = Deadline::after(patience);
        if !scanner.send(&prune, steps)? {
            self.force(Force::Exit, steps)?;
        }
        let mut next = Force::Down;
        let mut nudge = Nudge::new(FIRST_NUDGE, LAST_NUDGE);
        let mut closes = 0;
        loop {
            let mut lingering = Vec::new();
            for part in &self.parts {
                if part.is_supervised()? {
                    lingering.push(part);
                }
            }
            let Some(first) = lingering.first() else {
                return Ok(());
            };
            if deadline.has_passed() {
                return Err(RegistrationError::Lingers {
                    path: first.path.clone(),
                });
            }
            if force.has_passed() {
                self.force(next, steps)?;
                next = Force::Kill;
                force = Deadline::after(patience);
            }
            // A FIFO that stays closed under a lock that stays held says nothing more.
            let fds: Vec<BorrowedFd<'_>> = lingering
                .iter()
                .filter_map(|part| part.lifeline.as_ref())
                .map(AsFd::as_fd)
                .filter(|_| closes < MAX_CLOSES)
                .collect();
            let until = deadline.min(force).min(nudge.at());
            let ended = poll(&fds, until).map_err(|source| RegistrationError::Poll { source })?;
            if ended.contains(&true) {
                // The FIFO is closed: the lock went just before it, or goes now.
                closes += 1;
                std::thread::yield_now();
            } else if nudge.is_due() {
                scanner.send(&prune, steps)?;
            }
        }
    }

    /// Tells supervisors themselves to go.
    fn force(&self, force: Force, steps: &mut Steps<'_>) -> Result<(), ControlError> {
        for (index, part) in self.parts.iter().enumerate() {
            let is_log = index > 0;
            let commands: &[Command] = match force {
                // A logger reads to the end of its input first.
                Force::Exit if is_log => &[Command::Exit],
                Force::Exit | Force::Down => &[Command::Down, Command::Exit],
                Force::Kill => &[
                    Command::Down,
                    Command::Exit,
                    Command::KillGroup,
                    Command::Kill,
                ],
            };
            part.send(commands, steps)?;
        }
        Ok(())
    }

    /// Waits until every part has a supervisor, and wakes the scanner where that takes long. The
    /// wakes it published are left to [`wake::dismiss`].
    pub(crate) fn wait_until_supervised(
        &self,
        starts: &[BorrowedFd<'_>],
        scene: &Scene<'_>,
        deadline: Deadline,
        steps: &mut Steps<'_>,
    ) -> Result<(), RegistrationError> {
        let scanner = scene.scanner;
        let not_scanned = || RegistrationError::NotScanned {
            path: scanner.scandir.clone(),
        };
        let lifeline = scanner.lifeline()?.ok_or_else(not_scanned)?;
        if !scanner.send(&[ScandirCommand::Rescan], steps)? {
            return Err(not_scanned());
        }
        let mut rescan = Nudge::new(FIRST_NUDGE, LAST_NUDGE);
        let mut alarm = Nudge::new(FIRST_WAKE, LAST_WAKE);
        let mut wakes: Vec<Wake> = Vec::new();
        let mut until = deadline;
        let mut done = false;
        loop {
            if !done && self.is_supervised()? {
                done = true;
                // Wakes do not keep it waiting for longer than they are worth.
                until = until.min(Deadline::after(PATIENCE));
            }
            if done && all_supervised(&wakes)? {
                return Ok(());
            }
            if until.has_passed() {
                if done {
                    return Ok(());
                }
                let path = self.parts.first().map(|part| part.path.clone());
                return Err(RegistrationError::NotStarted {
                    path: path.unwrap_or_default(),
                });
            }
            let mut fds = vec![lifeline.as_fd()];
            fds.extend(starts);
            fds.extend(wakes.iter().map(Wake::start));
            let next = until.min(rescan.at()).min(alarm.at());
            let ready = poll(&fds, next).map_err(|source| RegistrationError::Poll { source })?;
            if ready.first() == Some(&true) {
                return Err(not_scanned());
            }
            for (fd, ready) in fds.iter().zip(ready).skip(1) {
                if ready {
                    // That something happened is all that matters: the lock is looked at.
                    let mut buffer = [0; 64];
                    while rustix::io::read(fd, &mut buffer).is_ok_and(|length| length > 0) {}
                }
            }
            let rings = alarm.is_due();
            if rings {
                wakes.push(Wake::publish(scene, wakes.len(), steps)?);
            }
            if (rescan.is_due() || rings) && !scanner.send(&[ScandirCommand::Rescan], steps)? {
                return Err(not_scanned());
            }
        }
    }
}

fn all_supervised(wakes: &[Wake]) -> Result<bool, FsError> {
    for wake in wakes {
        if !wake.is_supervised()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes down and removes a slot that has left the scan, or was about to when somebody was killed.
pub(crate) fn bury(
    parent: &Dir,
    name: &OsStr,
    scanner: &Scanner,
    patience: Duration,
    deadline: Deadline,
    steps: &mut Steps<'_>,
) -> Result<(), RegistrationError> {
    let slot = Slot::find(parent, name)?;
    if slot.is_any_supervised()? {
        slot.wait_until_released(scanner, patience, deadline, steps)?;
    }
    tree::remove_tree(parent, name, steps)?;
    Ok(())
}
