//! Giving services that are already supervised to an unprivileged user.
//!
//! Where the supervisors run as root and have started, their `supervise/` and `event/` are root's.
//! A boot hook repairs that once, after the fact; for new services,
//! [`Registration`](crate::Registration) makes it right from the start.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::dir::{self, Dir, Links};
use crate::error::{FileKind, FsError, Owner};
use crate::scandir::{Entry, Scandir};
use crate::skeleton::{Identity, Place};

/// The services of s6 itself stay root's: `s6rc-oneshot-runner` and `s6rc-fdholder` of s6-rc,
/// `s6-linux-init-shutdownd` and its like of s6-linux-init, and its catch-all logger,
/// `s6-svscan-log`.
const OWN: [&[u8]; 2] = [b"s6rc-", b"s6-"];

/// What is at a place of a service that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// What it is.
    pub kind: FileKind,
    /// Whose it is.
    pub owner: Owner,
}

/// What to change at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    /// Where.
    pub place: Place,
    /// The permission bits to set.
    pub mode: Option<u32>,
    /// The owner to set.
    pub owner: Option<Identity>,
}

/// What to change so that `owner` controls the service: only what is wrong, and only what is what
/// it should be.
///
/// ```
/// use s6_svc::repair::{Found, plan};
/// use s6_svc::skeleton::{Identity, Place};
/// use s6_svc::{FileKind, Owner};
/// let hermes = Identity { uid: 10000, gid: 10000 };
/// let root = Owner { uid: 0, gid: 0, mode: 0o600 };
/// let found = Found { place: Place::Control, kind: FileKind::Fifo, owner: root };
/// let fixes = plan(&[found], hermes);
/// assert_eq!((fixes[0].mode, fixes[0].owner), (Some(0o660), Some(hermes)));
/// ```
#[must_use]
pub fn plan(found: &[Found], owner: Identity) -> Vec<Fix> {
    let sound = found
        .iter()
        .filter(|found| found.kind == found.place.kind());
    let fix = sound.map(
        |Found {
             place, owner: now, ..
         }| Fix {
            place: *place,
            mode: (now.mode != place.mode()).then_some(place.mode()),
            owner: ((now.uid, now.gid) != (owner.uid, owner.gid)).then_some(owner),
        },
    );
    fix.filter(|fix| fix.mode.is_some() || fix.owner.is_some())
        .collect()
}

/// Whether a service is s6's own, and not to be given away.
#[must_use]
pub fn is_own(name: &OsStr) -> bool {
    OWN.iter().any(|prefix| name.as_bytes().starts_with(prefix))
}

/// A service that was repaired, or would have been.
#[derive(Debug)]
pub struct Repaired {
    /// The name of its slot.
    pub name: std::ffi::OsString,
    /// The number of things that were changed.
    pub result: Result<usize, FsError>,
}

impl Scandir {
    /// Gives the services that are there, and their loggers, to `owner`. s6's own are skipped.
    ///
    /// A slot that is a symbolic link is followed only where the link is the caller's own, as s6-rc
    /// makes them.
    ///
    /// # Errors
    /// [`FsError`] where the scandir cannot be listed; a service that cannot be repaired is among
    /// the results.
    pub fn repair_services(&self, owner: Identity) -> Result<Vec<Repaired>, FsError> {
        let scandir = self.open()?;
        let entries = self
            .entries()?
            .into_iter()
            .filter(|entry| !is_own(entry.name()));
        let repair = |entry: Entry| {
            let result = repair_entry(&scandir, &entry, owner);
            Repaired {
                name: entry.name().to_owned(),
                result,
            }
        };
        Ok(entries.map(repair).collect())
    }

    /// Lets `owner` control `s6-svscan`: its FIFO and its lock become the owner's, and its
    /// directory can be entered.
    ///
    /// Whoever controls an `s6-svscan` that runs as root, and can write its scandir, is root.
    ///
    /// # Errors
    /// [`FsError`]: they are not there, are something else, or may not be changed.
    pub fn repair_control(&self, owner: Identity) -> Result<(), FsError> {
        let scandir = self.open()?;
        set(
            &scandir,
            ".s6-svscan",
            FileKind::Directory,
            Some(0o755),
            None,
        )?;
        let control_dir = scandir.below(".s6-svscan", Links::Refuse)?;
        set(
            &control_dir,
            "control",
            FileKind::Fifo,
            Some(0o600),
            Some(owner),
        )?;
        set(
            &control_dir,
            "lock",
            FileKind::Regular,
            Some(0o644),
            Some(owner),
        )
    }
}

fn repair_entry(scandir: &Dir, entry: &Entry, owner: Identity) -> Result<usize, FsError> {
    let mine = |stat: &rustix::fs::Stat| stat.st_uid == Identity::effective().uid;
    let links = match scandir.stat(entry.name())? {
        Some(stat) if dir::kind(&stat) == FileKind::Symlink && mine(&stat) => Links::Follow,
        _ => Links::Refuse,
    };
    let service = scandir.below(entry.name(), links)?;
    let mut changed = repair_dir(&service, owner)?;
    if service
        .stat("log")?
        .is_some_and(|stat| dir::kind(&stat) == FileKind::Directory)
    {
        changed += repair_dir(&service.below("log", Links::Refuse)?, owner)?;
    }
    Ok(changed)
}

fn repair_dir(service: &Dir, owner: Identity) -> Result<usize, FsError> {
    let mut found = Vec::new();
    for place in Place::ALL {
        let (parent, name) = open_parent(service, place)?;
        let Some(parent) = parent else { continue };
        if let Some(stat) = parent.as_ref().unwrap_or(service).stat(name)? {
            found.push(Found {
                place,
                kind: dir::kind(&stat),
                owner: dir::owner_of(&stat),
            });
        }
    }
    let fixes = plan(&found, owner);
    for fix in &fixes {
        let (parent, name) = open_parent(service, fix.place)?;
        let Some(parent) = parent else { continue };
        let parent = parent.as_ref().unwrap_or(service);
        set(parent, name, fix.place.kind(), fix.mode, fix.owner)?;
    }
    Ok(fixes.len())
}

/// The directory of a place, `Some(None)` for the service's own; `None` where it is not there.
#[expect(
    clippy::option_option,
    reason = "a place is in the service itself, in a directory, or nowhere"
)]
fn open_parent(
    service: &Dir,
    place: Place,
) -> Result<(Option<Option<Dir>>, &'static str), FsError> {
    match place.path().split_once('/') {
        None => Ok((Some(None), place.path())),
        Some((parent, name)) => match service.below(parent, Links::Refuse) {
            Ok(parent) => Ok((Some(Some(parent)), name)),
            Err(error) if error.is_missing() => Ok((None, name)),
            Err(error) => Err(error),
        },
    }
}

/// Sets mode and owner of what is there, if it is what it should be and has no second name.
fn set(
    parent: &Dir,
    name: &str,
    kind: FileKind,
    mode: Option<u32>,
    owner: Option<Identity>,
) -> Result<(), FsError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = |operation, errno| parent.fail(operation, name, kind, errno);
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(|errno| fail("open", errno))?;
    let stat = parent.expect(&fd, name, kind)?;
    if kind != FileKind::Directory && stat.st_nlink > 1 {
        return Err(FsError::Linked {
            path: parent.join(name),
        });
    }
    if let Some(mode) = mode {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
            .map_err(|errno| fail("set the mode of", errno))?;
    }
    if let Some(Identity { uid, gid }) = owner {
        rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| fail("set the owner of", errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found() -> impl Strategy<Value = Vec<Found>> {
        let kinds = [
            FileKind::Directory,
            FileKind::Fifo,
            FileKind::Regular,
            FileKind::Symlink,
        ];
        let one = move |place| {
            let owner = (0_u32..2, 0_u32..2, 0_u32..0o10000);
            (proptest::sample::select(kinds.to_vec()), owner).prop_map(
                move |(kind, (uid, gid, mode))| Found {
                    place,
                    kind,
                    owner: Owner { uid, gid, mode },
                },
            )
        };
        Place::ALL.map(one).prop_map(Vec::from)
    }

    proptest! {
        #[test]
        fn a_carried_out_plan_leaves_nothing_to_do(mut found in found(), uid in 0_u32..2, gid in 0_u32..2) {
            let owner = Identity { uid, gid };
            for fix in plan(&found, owner) {
                let at = found.iter_mut().find(|found| found.place == fix.place).unwrap();
                prop_assert_eq!(at.kind, fix.place.kind(), "what is something else is not touched");
                at.owner.mode = fix.mode.unwrap_or(at.owner.mode);
                if let Some(Identity { uid, gid }) = fix.owner {
                    (at.owner.uid, at.owner.gid) = (uid, gid);
                }
            }
            prop_assert_eq!(plan(&found, owner), []);
        }
    }

    #[test]
    fn the_services_of_s6_itself_are_told_by_their_names() {
        assert!(is_own("s6rc-oneshot-runner".as_ref()));
        assert!(is_own("s6-linux-init-shutdownd".as_ref()));
        assert!(is_own("s6-svscan-log".as_ref()));
        assert!(!is_own("gateway-s6rc".as_ref()));
    }
}
