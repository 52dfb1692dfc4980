//! Who owns what is in the home: after a remap, what the image's user owned
//! becomes the agent's; at every boot, what root left behind does.
//!
//! The home is the agent's, who may have put anything anywhere in it. So every
//! step goes through a directory descriptor, no link is followed, and only
//! directories and regular files with one name change their owner.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Uid, fchownat};

use crate::identity::Identity;
use crate::report;

/// Directories in each other, at most: each takes two descriptors.
const DEEPEST: usize = 200;

/// The uid that the image gives the agent's user.
const IMAGE_UID: u32 = 10000;

/// Gives the agent what its user of the image owned in `home`, whose `directory`
/// is open: until that has another owner than the image's user, the work is not done.
pub(crate) fn follow(home: &Path, directory: &OwnedFd, identity: &Identity) {
    let owner = fstat(directory).map(|stat| stat.st_uid);
    if identity.uid.as_raw() != IMAGE_UID && owner != Ok(identity.uid.as_raw()) {
        sweep(home, directory, identity, IMAGE_UID);
    }
}

/// Gives the agent what root owns in `home`: what a `docker exec` as root made
/// there would otherwise be out of the agent's reach.
pub(crate) fn heal(home: &Path, directory: &OwnedFd, identity: &Identity) {
    sweep(home, directory, identity, 0);
}

fn sweep(home: &Path, directory: &OwnedFd, identity: &Identity, from: u32) {
    let mut sweep = Sweep {
        identity,
        from,
        odd: 0,
        refused: 0,
    };
    sweep.directory(directory, 0);
    sweep.report(home);
}

struct Sweep<'a> {
    identity: &'a Identity,
    /// Whose files are given away.
    from: u32,
    /// What is neither a directory nor a regular file with one name.
    odd: usize,
    /// What could not be looked into or given away.
    refused: usize,
}

impl Sweep<'_> {
    fn directory(&mut self, at: &OwnedFd, depth: usize) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(mut entries) = Dir::openat(at, ".", flags, Mode::empty()) else {
            self.refused += 1;
            return;
        };
        for entry in entries.iter() {
            match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => self.entry(at, entry.file_name(), depth),
                Err(_) => self.refused += 1,
            }
        }
    }

    fn entry(&mut self, directory: &OwnedFd, name: &CStr, depth: usize) {
        // What is mounted in the home is somebody else's, on whatever file system.
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let found =
            openat2(directory, name, how).and_then(|entry| fstat(&entry).map(|stat| (entry, stat)));
        let (entry, stat) = match found {
            Ok(found) => found,
            Err(Errno::EXDEV) => return,
            Err(_) => {
                self.refused += 1;
                return;
            }
        };
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFDIR {
            if depth < DEEPEST {
                self.directory(&entry, depth + 1);
            } else {
                self.refused += 1;
            }
        }
        if kind == SFlag::S_IFDIR || (kind == SFlag::S_IFREG && stat.st_nlink == 1) {
            self.give(&entry, &stat);
        } else if stat.st_uid == self.from {
            self.odd += 1;
        }
    }

    fn give(&mut self, entry: &OwnedFd, stat: &FileStat) {
        if stat.st_uid != self.from {
            return;
        }
        let (uid, gid) = (Some(self.identity.uid), Some(self.identity.gid));
        if fchownat(entry.as_fd(), c"", uid, gid, AtFlags::AT_EMPTY_PATH).is_err() {
            self.refused += 1;
        }
    }

    fn report(&self, home: &Path) {
        let uid: Uid = self.identity.uid;
        if self.odd > 0 {
            report::warning(format_args!(
                "{}: {} links and special files keep their owner, uid {}",
                home.display(),
                self.odd,
                self.from
            ));
        }
        if self.refused > 0 {
            report::warning(format_args!(
                "{}: {} entries could not be given to uid {uid}",
                home.display(),
                self.refused
            ));
        }
    }
}
