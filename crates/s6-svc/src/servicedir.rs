//! Service directories.

use std::path::{Path, PathBuf};

use crate::base::Base;
use crate::command::Command;
use crate::control;
use crate::dir::{Dir, Links};
use crate::error::{ControlError, FsError, PathError, StatusError};
use crate::path::AbsPath;
use crate::status::Status;
use crate::supervisor::{self, Supervisor};
use crate::tally::{Death, DeathTally};

/// A directory that `s6-supervise` works in: `run`, `finish`, `down` and so on, and `supervise/`
/// and `event/` of the supervisor's own.
///
/// The directory does not have to exist: each operation opens it anew. No symbolic link is followed
/// below it, and none in its place either, unless [`ServiceDir::following_links`] allows that.
///
/// ```no_run
/// use s6_svc::{Command, ServiceDir};
/// let service = ServiceDir::new("/run/service/gateway-coder")?;
/// if service.is_supervised()? {
///     service.control(&[Command::Up])?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceDir {
    path: AbsPath,
    follow: bool,
    log: bool,
    base: Base,
}

impl ServiceDir {
    /// Names a service directory.
    ///
    /// # Errors
    /// [`PathError`]: the path is not absolute, or holds `..` or NUL.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        Ok(Self::at(AbsPath::new(path)?))
    }

    pub(crate) fn at(path: AbsPath) -> Self {
        Self {
            path,
            follow: false,
            log: false,
            base: Base::default(),
        }
    }

    /// The same, in a scandir that is open still.
    pub(crate) fn based_on(mut self, scandir: Base) -> Self {
        self.base = scandir;
        self
    }

    /// The same, where the directory itself may be a symbolic link, as `s6-svlink` and s6-rc make
    /// them in a scandir.
    #[must_use]
    pub fn following_links(mut self) -> Self {
        self.follow = true;
        self
    }

    /// The service that logs this one: `log/` below it. A logger has none itself: this is the same
    /// directory then.
    #[must_use]
    pub fn log(&self) -> Self {
        Self {
            log: true,
            ..self.clone()
        }
    }

    /// Whether this is the `log/` of another service.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.log
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.log {
            self.path.join("log")
        } else {
            self.path.as_path().to_owned()
        }
    }

    /// Sends commands to the supervisor, in order, with one write.
    ///
    /// They are carried out after this returns: wait for their effect on its events.
    ///
    /// The process must ignore SIGPIPE, as Rust programs do: the supervisor could end just before
    /// the write.
    ///
    /// # Errors
    /// [`ControlError::NotSupervised`] where no supervisor listens, [`ControlError::Fs`] where the
    /// FIFO is missing in a supervised directory, is no FIFO, or may not be written.
    pub fn control(&self, commands: &[Command]) -> Result<(), ControlError> {
        let bytes: Vec<u8> = commands.iter().map(|command| command.byte()).collect();
        control::tell(&self.open()?, "supervise", &self.path(), &bytes)
    }

    /// The state of the service, as `s6-svstat` tells it.
    ///
    /// # Errors
    /// [`StatusError::NotSupervised`] where no supervisor runs, [`StatusError::Malformed`] where
    /// the file is not what s6 writes, [`StatusError::Fs`] where it cannot be read.
    pub fn status(&self) -> Result<Status, StatusError> {
        let not_supervised = || StatusError::NotSupervised { path: self.path() };
        let Some(control_dir) = self.control_dir()? else {
            return Err(not_supervised());
        };
        if supervisor::of(&control_dir)?.is_none() {
            return Err(not_supervised());
        }
        match read_status(&control_dir) {
            // It has its lock already and has not come to write so far.
            Err(StatusError::Fs(error)) if error.is_missing() => Err(not_supervised()),
            result => result,
        }
    }

    /// The state that was written last, whether or not a supervisor still runs.
    ///
    /// # Errors
    /// As [`ServiceDir::status`], where [`StatusError::NotSupervised`] means that none ever ran.
    pub fn last_status(&self) -> Result<Status, StatusError> {
        match self.control_dir()? {
            None => Err(StatusError::NotSupervised { path: self.path() }),
            Some(control_dir) => read_status(&control_dir),
        }
    }

    /// The deaths of the service since its supervisor began.
    ///
    /// # Errors
    /// As [`ServiceDir::last_status`].
    pub fn death_tally(&self) -> Result<DeathTally, StatusError> {
        let Some(control_dir) = self.control_dir()? else {
            return Err(StatusError::NotSupervised { path: self.path() });
        };
        let bytes = control_dir.read("death_tally", DeathTally::MAX_RECORDS * Death::SIZE)?;
        DeathTally::decode(&bytes).map_err(|source| StatusError::Malformed {
            path: control_dir.join("death_tally"),
            source,
        })
    }

    /// Whether a supervisor runs on this directory, as `s6-svok` tells it.
    ///
    /// # Errors
    /// [`FsError`]: neither the lock nor the FIFO of the supervisor may be opened, or they are
    /// something else.
    pub fn is_supervised(&self) -> Result<bool, FsError> {
        self.supervisor().map(|supervisor| supervisor.is_some())
    }

    /// The supervisor that runs on this directory.
    ///
    /// # Errors
    /// As [`ServiceDir::is_supervised`].
    pub fn supervisor(&self) -> Result<Option<Supervisor>, FsError> {
        match self.control_dir()? {
            None => Ok(None),
            Some(control_dir) => supervisor::of(&control_dir),
        }
    }

    /// Whether a `down` file is there: a new supervisor does not start the service then.
    ///
    /// # Errors
    /// [`FsError`]: the directory is not there or cannot be searched.
    pub fn has_down_file(&self) -> Result<bool, FsError> {
        Ok(self.open()?.stat("down")?.is_some())
    }

    /// Whether the service tells when it is ready: its `notification-fd` is there.
    ///
    /// # Errors
    /// As [`ServiceDir::has_down_file`].
    pub fn notifies_readiness(&self) -> Result<bool, FsError> {
        Ok(self.open()?.stat("notification-fd")?.is_some())
    }

    /// The directory, open.
    pub(crate) fn open(&self) -> Result<Dir, FsError> {
        let links = if self.follow {
            Links::Follow
        } else {
            Links::Refuse
        };
        let name = self.path.as_path().file_name();
        let dir = match (self.base.dir(), name) {
            (Some(scandir), Some(name)) => scandir.below(name, links)?,
            _ => Dir::reach(&self.path, links)?,
        };
        if self.log {
            dir.below("log", Links::Refuse)
        } else {
            Ok(dir)
        }
    }

    /// Its `supervise/`, open; `None` where no supervisor ever was.
    pub(crate) fn control_dir(&self) -> Result<Option<Dir>, FsError> {
        match self
            .open()
            .and_then(|dir| dir.below("supervise", Links::Refuse))
        {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<AbsPath> for ServiceDir {
    fn from(path: AbsPath) -> Self {
        Self::at(path)
    }
}

impl AsRef<Path> for ServiceDir {
    /// The path as it was given: that of the logged service where this is its logger.
    fn as_ref(&self) -> &Path {
        self.path.as_path()
    }
}

fn read_status(control_dir: &Dir) -> Result<Status, StatusError> {
    let bytes = control_dir.read("status", 43)?;
    Status::decode(&bytes).map_err(|source| StatusError::Malformed {
        path: control_dir.join("status"),
        source,
    })
}
