//! Fifodirs: how s6 tells everybody who wants to know that something happened.
//!
//! A fifodir is a directory, for a service `event/`. Who listens makes a FIFO in it named
//! `ftrig1:`, a TAI64N stamp, a colon and six random characters, and reads; who notifies writes one
//! byte for each event to every FIFO with such a name, and removes those that nobody reads. The
//! FIFO is made under a name with a leading dot and renamed once it is open, so that nobody takes
//! it for abandoned.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::dir::{Dir, Links};
use crate::error::{FileKind, FsError, PathError};
use crate::path::AbsPath;
use crate::servicedir::ServiceDir;
use crate::skeleton::Identity;
use crate::step::{Action, Steps};
use crate::tai::Tai64n;

const PREFIX: &[u8] = b"ftrig1:@";
const NAME_LEN: usize = 39;

/// How old a FIFO that was never renamed must be before it is taken for a leftover.
const STAGING_AGE: Duration = Duration::from_mins(1);

/// What `s6-supervise` tells of a service: one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// `s`: the supervisor has started.
    Supervised,
    /// `u`: `run` was started.
    Up,
    /// `U`: the service has told that it is ready.
    Ready,
    /// `d`: `run` has ended, `finish` may run.
    Down,
    /// `D`: `finish` has ended too, or there is none.
    Finished,
    /// `O`: `finish` has told that the service failed for good; it will not be restarted.
    PermanentFailure,
    /// `x`: the supervisor is about to exit.
    SupervisorExit,
}

impl Event {
    /// The event of a byte; `None` where s6 has none of that name.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b's' => Self::Supervised,
            b'u' => Self::Up,
            b'U' => Self::Ready,
            b'd' => Self::Down,
            b'D' => Self::Finished,
            b'O' => Self::PermanentFailure,
            b'x' => Self::SupervisorExit,
            _ => return None,
        })
    }
}

/// A directory of FIFOs through which events are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FifoDir {
    at: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Location {
    Path(AbsPath),
    EventsOf(ServiceDir),
}

impl FifoDir {
    /// Names a fifodir.
    ///
    /// # Errors
    /// [`PathError`]: the path is not absolute, or holds `..` or NUL.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        Ok(Self {
            at: Location::Path(AbsPath::new(path)?),
        })
    }

    /// The `event/` of a service.
    #[must_use]
    pub fn of(service: &ServiceDir) -> Self {
        Self {
            at: Location::EventsOf(service.clone()),
        }
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match &self.at {
            Location::Path(path) => path.as_path().to_owned(),
            Location::EventsOf(service) => service.path().join("event"),
        }
    }

    fn open(&self) -> Result<Dir, FsError> {
        match &self.at {
            Location::Path(path) => Dir::reach(path, Links::Refuse),
            Location::EventsOf(service) => service.open()?.below("event", Links::Refuse),
        }
    }

    /// Begins to listen: every event from now on is read from the subscription.
    ///
    /// FIFOs that killed listeners left behind are removed where the directory may be listed.
    ///
    /// # Errors
    /// [`FsError`]: the directory is not there, or no FIFO may be made in it.
    pub fn subscribe(&self) -> Result<Subscription, FsError> {
        self.subscribe_telling(&mut Steps::default())
    }

    pub(crate) fn subscribe_telling(&self, steps: &mut Steps<'_>) -> Result<Subscription, FsError> {
        self.subscribe_at(&self.open()?, steps)
    }

    /// Begins to listen in the `event/` of a service directory that will be this one's.
    pub(crate) fn subscribe_in(
        &self,
        service: &Dir,
        steps: &mut Steps<'_>,
    ) -> Result<Subscription, FsError> {
        self.subscribe_at(&service.below("event", Links::Refuse)?, steps)
    }

    fn subscribe_at(&self, dir: &Dir, steps: &mut Steps<'_>) -> Result<Subscription, FsError> {
        match clean(dir) {
            Ok(_) => {}
            // Members of the directory's group may listen without listing.
            Err(error) if error.is_denied() => {}
            Err(error) => return Err(error),
        }
        let (fifo, name) = make_fifo(dir, steps)?;
        Ok(Subscription {
            fifo,
            name,
            dir: self.clone(),
        })
    }

    /// Removes the FIFOs that killed listeners left behind, and tells how many.
    ///
    /// Those of other users stay where the directory's sticky bit protects them: the supervisor
    /// removes them with the next event.
    ///
    /// # Errors
    /// [`FsError`]: the directory is not there or may not be listed.
    pub fn clean(&self) -> Result<usize, FsError> {
        clean(&self.open()?)
    }
}

/// A FIFO in a fifodir, removed when dropped.
#[derive(Debug)]
pub struct Subscription {
    fifo: OwnedFd,
    name: OsString,
    dir: FifoDir,
}

impl Subscription {
    /// The bytes that have come, without waiting, into `buffer`; how many.
    ///
    /// # Errors
    /// [`FsError::Os`] where the FIFO cannot be read.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, FsError> {
        loop {
            match rustix::io::read(&self.fifo, &mut *buffer) {
                Ok(length) => return Ok(length),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(crate::dir::os("read", self.path(), errno)),
            }
        }
    }

    /// The path of the FIFO.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }
}

impl AsFd for Subscription {
    /// Readable when events have come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Ok(dir) = self.dir.open() {
            // What cannot be removed here, the supervisor removes with the next event.
            rustix::fs::unlinkat(&dir, &self.name, AtFlags::empty()).ok();
        }
    }
}

fn make_fifo(dir: &Dir, steps: &mut Steps<'_>) -> Result<(OwnedFd, OsString), FsError> {
    loop {
        let name = fresh_name();
        let staged = [b".", name.as_bytes()].concat();
        let staged = OsStr::from_bytes(&staged);
        steps.before(Action::MakeFifo, dir.join(staged));
        match rustix::fs::mkfifoat(dir, staged, Mode::from_raw_mode(0o622)) {
            Ok(()) => {}
            Err(Errno::EXIST) => continue,
            Err(errno) => return Err(dir.fail("make a FIFO in", "", FileKind::Directory, errno)),
        }
        return open_and_publish(dir, staged, &name, steps)
            .map(|fifo| (fifo, name))
            .inspect_err(|_| {
                // The error that is already there says more; what stays is swept by its age.
                rustix::fs::unlinkat(dir, staged, AtFlags::empty()).ok();
            });
    }
}

fn open_and_publish(
    dir: &Dir,
    staged: &OsStr,
    name: &OsStr,
    steps: &mut Steps<'_>,
) -> Result<OwnedFd, FsError> {
    // Open for both, so that there is always a writer and the end of one is not the end of all.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = |operation, errno| dir.fail(operation, staged, FileKind::Fifo, errno);
    let fifo = rustix::fs::openat(dir, staged, flags, Mode::empty())
        .map_err(|errno| fail("open", errno))?;
    let stat = dir.expect(&fifo, staged, FileKind::Fifo)?;
    if stat.st_nlink > 1 || stat.st_uid != Identity::effective().uid {
        // Whoever owns the directory has put another one in its place.
        return Err(FsError::Linked {
            path: dir.join(staged),
        });
    }
    // The supervisor may be of another user, and the umask has had its say.
    steps.before(Action::SetMode, dir.join(staged));
    rustix::fs::fchmod(&fifo, Mode::from_raw_mode(0o622)).map_err(|errno| fail("chmod", errno))?;
    steps.before(Action::Rename, dir.join(name));
    rustix::fs::renameat(dir, staged, dir, name).map_err(|errno| fail("rename", errno))?;
    Ok(fifo)
}

fn fresh_name() -> OsString {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut random = RandomState::new().hash_one(std::process::id());
    let mut name = format!("ftrig1:{}:", Tai64n::now());
    for _ in 0..6 {
        let index = usize::try_from(random % 32).unwrap_or_default();
        name.push(char::from(LETTERS[index]));
        random /= 32;
    }
    name.into()
}

fn clean(dir: &Dir) -> Result<usize, FsError> {
    let mut removed = 0;
    for entry in dir.list(".")? {
        let entry = entry.map_err(|errno| dir.fail("list", "", FileKind::Directory, errno))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_abandoned(dir, name) && rustix::fs::unlinkat(dir, name, AtFlags::empty()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether this is a FIFO of a listener that is no more.
fn is_abandoned(dir: &Dir, name: &OsStr) -> bool {
    let is_leftover = match Form::of(name.as_bytes()) {
        None => false,
        Some(Form::Listening) => true,
        Some(Form::Staged { since }) => {
            since.is_some_and(|since| Tai64n::now().saturating_duration_since(since) > STAGING_AGE)
        }
    };
    is_leftover && matches!(dir.open_fifo(name), Ok(None))
}

/// What the name of a listener's FIFO tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Notifiers write to it.
    Listening,
    /// It is about to be renamed; since when, where the stamp is one.
    Staged { since: Option<Tai64n> },
}

impl Form {
    fn of(name: &[u8]) -> Option<Self> {
        let staged = name.strip_prefix(b".");
        let bare = staged.unwrap_or(name);
        if !bare.starts_with(PREFIX) || bare.len() != NAME_LEN {
            return None;
        }
        Some(match staged {
            None => Self::Listening,
            Some(name) => Self::Staged {
                since: name
                    .get(7..32)
                    .and_then(|stamp| std::str::from_utf8(stamp).ok())
                    .and_then(|stamp| stamp.parse().ok()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_no_listener_or_have_its_form(
            start in "\\PC{0,3}|\\.?ftrig1:@?",
            rest: Vec<u8>,
            fits: bool,
        ) {
            let mut name = [start.as_bytes(), &rest].concat();
            if fits {
                name.resize(NAME_LEN + usize::from(start.starts_with('.')), b'0');
            }
            let bare = name.strip_prefix(b".").unwrap_or(&name);
            let is_listener = bare.starts_with(b"ftrig1:@") && bare.len() == 39;
            prop_assert_eq!(Form::of(&name).is_some(), is_listener);
        }

        #[test]
        fn a_staged_name_tells_its_stamp(stamp: [u8; 12], random in "[a-z0-5]{6}") {
            if let Ok(stamp) = Tai64n::decode(stamp) {
                let name = format!(".ftrig1:{stamp}:{random}");
                let staged = Form::Staged { since: Some(stamp) };
                prop_assert_eq!(Form::of(name.as_bytes()), Some(staged));
                prop_assert_eq!(Form::of(&name.as_bytes()[1..]), Some(Form::Listening));
            }
        }
    }

    #[test]
    fn every_byte_is_one_event_or_none() {
        let known: Vec<u8> = (0..=u8::MAX)
            .filter(|byte| Event::from_byte(*byte).is_some())
            .collect();
        assert_eq!(known, b"DOUdsux");
        let events: std::collections::HashSet<_> =
            known.into_iter().filter_map(Event::from_byte).collect();
        assert_eq!(events.len(), 7);
    }

    fn fifodir() -> (tempfile::TempDir, FifoDir) {
        let root = tempfile::tempdir().unwrap();
        let fifodir = FifoDir::new(root.path()).unwrap();
        (root, fifodir)
    }

    fn names(root: &tempfile::TempDir) -> Vec<OsString> {
        fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn a_name_is_what_s6_looks_for() {
        let name = fresh_name();
        assert_eq!(Form::of(name.as_bytes()), Some(Form::Listening));
    }

    #[test]
    fn a_subscription_is_one_fifo_that_all_may_write_and_goes_away() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        let (root, fifodir) = fifodir();
        let subscription = fifodir.subscribe().unwrap();
        let meta = fs::metadata(subscription.path()).unwrap();
        assert!(meta.file_type().is_fifo());
        assert_eq!(meta.permissions().mode() & 0o777, 0o622);
        assert_eq!(names(&root).len(), 1);
        drop(subscription);
        assert!(names(&root).is_empty());
    }

    #[test]
    fn what_is_written_is_read_and_nothing_blocks() {
        let (_root, fifodir) = fifodir();
        let subscription = fifodir.subscribe().unwrap();
        let mut buffer = [0; 8];
        assert_eq!(subscription.read(&mut buffer).unwrap(), 0);
        fs::write(subscription.path(), b"su").unwrap();
        assert_eq!(subscription.read(&mut buffer).unwrap(), 2);
        assert_eq!(&buffer[..2], b"su");
    }

    #[test]
    fn abandoned_fifos_go_and_everything_else_stays() {
        let (root, fifodir) = fifodir();
        let live = fifodir.subscribe().unwrap();
        let make = |name: &str| {
            let path = root.path().join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
            path
        };
        let dead = make("ftrig1:@4000000068fcd9a20b532b80:abcdef");
        let old = make(".ftrig1:@4000000068fcd9a20b532b80:abcdef");
        let young = make(&format!(".ftrig1:{}:abcdef", Tai64n::now()));
        let other = make("ftrig1:@4000000068fcd9a20b532b80:abcdefg");
        let file = root.path().join("ftrig1:@4000000068fcd9a20b532b80:regulr");
        fs::write(&file, "").unwrap();
        assert_eq!(fifodir.clean().unwrap(), 2);
        assert!(!dead.exists() && !old.exists());
        assert!(young.exists() && other.exists() && file.exists() && live.path().exists());
    }
}
