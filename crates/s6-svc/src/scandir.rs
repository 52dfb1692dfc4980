//! Scan directories.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use crate::base::Base;
use crate::command::ScandirCommand;
use crate::control;
use crate::dir::{self, Dir, Links};
use crate::error::{ControlError, FileKind, FsError, NameError, PathError};
use crate::name::ServiceName;
use crate::path::AbsPath;
use crate::servicedir::ServiceDir;
use crate::supervisor::{self, Supervisor};
use crate::wake;

/// The control directory of `s6-svscan`.
const CONTROL_DIR: &str = ".s6-svscan";

/// A directory that `s6-svscan` works in: each entry that is a directory and whose name does not
/// begin with a dot is a service, and has a supervisor.
///
/// ```no_run
/// use s6_svc::{Scandir, ServiceName};
/// let scandir = Scandir::new("/run/service")?;
/// for entry in scandir.entries()? {
///     println!("{}", entry.name().display());
/// }
/// let coder = scandir.service(&ServiceName::new("gateway-coder")?);
/// println!("{:?}", coder.status()?.phase());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scandir {
    path: AbsPath,
    base: Base,
}

impl Scandir {
    /// Names a scan directory. A symbolic link in its place is followed: it is the caller's own
    /// word.
    ///
    /// # Errors
    /// [`PathError`]: the path is not absolute, or holds `..` or NUL.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        Ok(Self {
            path: AbsPath::new(path)?,
            base: Base::default(),
        })
    }

    /// The same, open: its services are looked up from it and not by its path, which is worth it
    /// where there are many of them. It stays that directory, whatever its path leads to later.
    ///
    /// # Errors
    /// [`FsError`]: the directory is not there or cannot be searched.
    pub fn held_open(&self) -> Result<Self, FsError> {
        Ok(Self {
            path: self.path.clone(),
            base: Arc::new(self.open()?).into(),
        })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_path()
    }

    /// A service in it, whether or not it is there. A symbolic link in its place is refused.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> ServiceDir {
        ServiceDir::at(self.slot(OsStr::new(name.as_str()))).based_on(self.base.clone())
    }

    pub(crate) fn slot(&self, name: &OsStr) -> AbsPath {
        // A checked name or a directory entry never leads out of the directory, so the path stays
        // as it must be.
        self.path.joined(name)
    }

    /// The services in it, in byte order of their names, without those that a
    /// [`Registration`](crate::Registration) publishes for a moment to wake `s6-svscan`.
    ///
    /// # Errors
    /// [`FsError`]: the directory is not there or cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, FsError> {
        let dir = Arc::new(self.open()?);
        let fail = |errno| dir::os("list", self.path().to_owned(), errno);
        let mut entries = Vec::new();
        for entry in dir.list(".")? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") || name.starts_with(wake::PREFIX.as_bytes()) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match dir.stat(OsStr::from_bytes(name))? {
                    Some(stat) => dir::kind(&stat),
                    None => continue,
                },
                FileType::Directory => FileKind::Directory,
                FileType::Symlink => FileKind::Symlink,
                _ => continue,
            };
            let is_link = match kind {
                FileKind::Directory => false,
                FileKind::Symlink => true,
                _ => continue,
            };
            let name = OsString::from_vec(name.to_vec());
            let service = ServiceDir::at(self.slot(&name)).based_on(Arc::clone(&dir).into());
            entries.push(Entry {
                name,
                is_link,
                service,
            });
        }
        entries.sort();
        Ok(entries)
    }

    /// Sends commands to `s6-svscan`, in order, with one write.
    ///
    /// # Errors
    /// [`ControlError::NotSupervised`] where no `s6-svscan` listens, [`ControlError::Fs`] where its
    /// FIFO is none or may not be written.
    pub fn control(&self, commands: &[ScandirCommand]) -> Result<(), ControlError> {
        let bytes: Vec<u8> = commands.iter().map(|command| command.byte()).collect();
        control::tell(&self.open()?, CONTROL_DIR, self.path(), &bytes)
    }

    /// Whether an `s6-svscan` runs on this directory.
    ///
    /// # Errors
    /// [`FsError`]: neither its lock nor its FIFO may be opened, or they are something else.
    pub fn is_scanned(&self) -> Result<bool, FsError> {
        self.scanner().map(|scanner| scanner.is_some())
    }

    /// The `s6-svscan` that runs on this directory.
    ///
    /// # Errors
    /// As [`Scandir::is_scanned`].
    pub fn scanner(&self) -> Result<Option<Supervisor>, FsError> {
        match self
            .open()
            .and_then(|dir| dir.below(CONTROL_DIR, Links::Refuse))
        {
            Ok(control_dir) => supervisor::of(&control_dir),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn open(&self) -> Result<Dir, FsError> {
        Dir::reach(&self.path, Links::Follow)
    }
}

/// A service found in a scan directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    name: OsString,
    is_link: bool,
    service: ServiceDir,
}

impl Entry {
    /// Its name, which may be one that [`ServiceName`] does not take.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Its name, checked.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn service_name(&self) -> Result<ServiceName, NameError> {
        ServiceName::new(self.name.as_bytes())
    }

    /// Whether it is a symbolic link, which `s6-svscan` follows.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.is_link
    }

    /// Its directory; a link in its place is refused unless [`ServiceDir::following_links`] allows
    /// it.
    #[must_use]
    pub fn service(&self) -> &ServiceDir {
        &self.service
    }
}
