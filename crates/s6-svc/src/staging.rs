//! The workshop of a slot: `.NAME.s6` in the scandir, where a slot is made before it is published
//! and where it goes before it is removed. s6-svscan passes over names that begin with a dot.
//!
//! Who works on a slot holds the workshop's `flock`, which the kernel releases with the process. So
//! a workshop that can be locked belongs to nobody, and what is in it is a leftover.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::deadline::Deadline;
use crate::dir::{self, Dir};
use crate::error::{FileKind, FsError, RegistrationError};
use crate::name::ServiceName;
use crate::poll::poll;
use crate::skeleton::Identity;
use crate::step::{Action, Steps};
use crate::tree;

/// Short enough that the longest service name still makes a file name.
const SUFFIX: &str = ".s6";

/// The slot that is being made.
pub(crate) const MAKING: &str = "slot";

/// The slot that is being removed.
pub(crate) const LEAVING: &str = "gone";

/// The kernel tells that a file is closed just before it lets go of its lock: look again after this
/// long at most.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Workshop {
    dir: Dir,
    file_name: OsString,
}

impl Workshop {
    pub(crate) fn file_name(name: &ServiceName) -> OsString {
        format!(".{name}{SUFFIX}").into()
    }

    /// The service whose workshop has this name.
    pub(crate) fn service_of(file_name: &OsStr) -> Option<ServiceName> {
        let name = file_name
            .to_str()?
            .strip_prefix('.')?
            .strip_suffix(SUFFIX)?;
        ServiceName::new(name).ok()
    }

    /// Makes the workshop, or takes over one that nobody works in; waits for whoever does.
    pub(crate) fn enter(
        scandir: &Dir,
        name: &ServiceName,
        deadline: Deadline,
        steps: &mut Steps<'_>,
    ) -> Result<Self, RegistrationError> {
        let file_name = Self::file_name(name);
        let path = scandir.join(&file_name);
        loop {
            steps.before(Action::MakeDirectory, &path);
            match rustix::fs::mkdirat(scandir, &file_name, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(scandir
                        .fail("make", &file_name, FileKind::Directory, errno)
                        .into());
                }
            }
            if let Some(dir) = Self::lock(scandir, &file_name, deadline)? {
                return Ok(Self { dir, file_name });
            }
        }
    }

    /// Takes over a workshop that is there and that nobody works in.
    pub(crate) fn take_over(
        scandir: &Dir,
        name: &ServiceName,
    ) -> Result<Option<Self>, RegistrationError> {
        let file_name = Self::file_name(name);
        match Self::lock(scandir, &file_name, Deadline::now()) {
            Ok(dir) => Ok(dir.map(|dir| Self { dir, file_name })),
            Err(RegistrationError::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `None` where it is gone once it could be locked.
    fn lock(
        scandir: &Dir,
        file_name: &OsStr,
        deadline: Deadline,
    ) -> Result<Option<Dir>, RegistrationError> {
        let path = scandir.join(file_name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(scandir, file_name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => {
                return Err(scandir
                    .fail("open", file_name, FileKind::Directory, errno)
                    .into());
            }
        };
        let look = |errno| scandir.fail("look at", file_name, FileKind::Directory, errno);
        let stat = rustix::fs::fstat(&fd).map_err(look)?;
        if stat.st_uid != Identity::effective().uid {
            let owner = dir::owner_of(&stat);
            return Err(RegistrationError::Foreign { path, owner });
        }
        wait_for_lock(&fd, &path, deadline)?;
        // Whoever held the lock has removed the directory, unless it was a leftover.
        let now = scandir.stat(file_name)?;
        let same = now.is_some_and(|now| now.st_ino == stat.st_ino && now.st_dev == stat.st_dev);
        Ok(same.then(|| Dir::from_fd(fd, path)))
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Removes the workshop and what is left in it but a slot that is being removed.
    pub(crate) fn leave(self, scandir: &Dir, steps: &mut Steps<'_>) -> Result<(), FsError> {
        for name in tree::names(&self.dir)? {
            if name != LEAVING {
                tree::remove_tree(&self.dir, &name, steps)?;
            }
        }
        steps.before(Action::Remove, scandir.join(&self.file_name));
        match rustix::fs::unlinkat(scandir, &self.file_name, AtFlags::REMOVEDIR) {
            // What is leaving is left to the next who comes.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
            Err(errno) => Err(scandir.fail("remove", &self.file_name, FileKind::Directory, errno)),
        }
    }
}

fn wait_for_lock(
    fd: &OwnedFd,
    path: &std::path::Path,
    deadline: Deadline,
) -> Result<(), RegistrationError> {
    let lock = || match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(dir::os("lock", path.to_owned(), errno)),
    };
    if lock()? {
        return Ok(());
    }
    let closes = watch_closes(path);
    while !lock()? {
        if deadline.has_passed() {
            return Err(RegistrationError::Busy {
                path: path.to_owned(),
            });
        }
        let fds: Vec<_> = closes.iter().map(AsFd::as_fd).collect();
        let until = deadline.min(Deadline::after(LOOK_AGAIN));
        poll(&fds, until).map_err(|source| RegistrationError::Poll { source })?;
        if let Some(closes) = &closes {
            // What they say does not matter; they are read so that the next wait waits.
            let mut buffer = [0; 1024];
            while rustix::io::read(closes, &mut buffer).is_ok_and(|length| length > 0) {}
        }
    }
    Ok(())
}

/// Tells when somebody closes the directory; without it, the wait looks now and then.
fn watch_closes(path: &std::path::Path) -> Option<OwnedFd> {
    let closes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    let flags = WatchFlags::CLOSE_NOWRITE | WatchFlags::DELETE_SELF | WatchFlags::DONT_FOLLOW;
    inotify::add_watch(&closes, path, flags).ok()?;
    Some(closes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::Links;
    use crate::path::AbsPath;

    fn scandir() -> (tempfile::TempDir, Dir, ServiceName) {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::reach(&AbsPath::new(root.path()).unwrap(), Links::Refuse).unwrap();
        (root, dir, ServiceName::new("web").unwrap())
    }

    #[test]
    fn the_longest_name_has_a_workshop_and_comes_back_from_it() {
        let name = ServiceName::new("a".repeat(251)).unwrap();
        let file_name = Workshop::file_name(&name);
        assert!(file_name.len() <= 255);
        assert_eq!(Workshop::service_of(&file_name), Some(name));
    }

    #[test]
    fn one_at_a_time_works_on_a_slot() {
        let (_root, dir, name) = scandir();
        let steps = &mut Steps::default();
        let first = Workshop::enter(&dir, &name, Deadline::now(), steps).unwrap();
        let second = Workshop::enter(&dir, &name, Deadline::now(), steps);
        assert!(matches!(second, Err(RegistrationError::Busy { .. })));
        assert!(Workshop::take_over(&dir, &name).unwrap().is_none());
        first.leave(&dir, steps).unwrap();
        assert!(Workshop::enter(&dir, &name, Deadline::now(), steps).is_ok());
    }

    #[test]
    fn who_waits_comes_in_when_the_other_leaves() {
        let (_root, dir, name) = scandir();
        let first = Workshop::enter(&dir, &name, Deadline::now(), &mut Steps::default()).unwrap();
        std::thread::scope(|scope| {
            let second = scope
                .spawn(|| Workshop::enter(&dir, &name, Deadline::NEVER, &mut Steps::default()));
            first.leave(&dir, &mut Steps::default()).unwrap();
            assert!(second.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_leftover_is_taken_over_with_what_is_in_it() {
        let (root, dir, name) = scandir();
        std::fs::create_dir_all(root.path().join(".web.s6/slot/log")).unwrap();
        let steps = &mut Steps::default();
        let workshop = Workshop::enter(&dir, &name, Deadline::now(), steps).unwrap();
        assert!(workshop.dir().stat(MAKING).unwrap().is_some());
        workshop.leave(&dir, steps).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let (root, dir, name) = scandir();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join(".web.s6")).unwrap();
        let result = Workshop::enter(&dir, &name, Deadline::now(), &mut Steps::default());
        assert!(matches!(
            result,
            Err(RegistrationError::Fs(FsError::Symlink { .. }))
        ));
    }
}
