//! The agent's own directory in the sandbox: sessions' FIFOs and state, and spilled output.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, mkfifoat, unlinkat};

use crate::user::Identity;

/// Where there may be room, best first.
const PLACES: [&str; 5] = ["/dev/shm", "/run", "/tmp", "/var/tmp", "/"];
/// The same for files that may be large. Those in memory come first: the agent itself writes there, and
/// a disk that is slow would hold up every command.
const LARGE: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/"];

/// A directory that the agent alone can write.
#[derive(Debug)]
pub(crate) struct Scratch {
    fd: OwnedFd,
    path: PathBuf,
}

/// Whether nobody else can rename what the agent makes in a directory.
fn is_safe(place: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    std::fs::metadata(place).is_ok_and(|place| {
        let (owner, mode) = (place.uid(), place.mode());
        place.is_dir() && (owner == 0 || owner == own) && (mode & 0o022 == 0 || mode & 0o1000 != 0)
    })
}

fn is_in_memory(place: &str) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    statfs(place).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

impl Scratch {
    pub(crate) fn small() -> Result<Self, Errno> {
        Self::make(&PLACES)
    }

    pub(crate) fn large() -> Result<Self, Errno> {
        let (mut places, on_disk): (Vec<_>, Vec<_>) =
            LARGE.into_iter().partition(|place| is_in_memory(place));
        places.extend(on_disk);
        Self::make(&places)
    }

    fn make(places: &[&str]) -> Result<Self, Errno> {
        let name = crate::sys::random_name();
        let mut last = Errno::ENOENT;
        for place in places {
            let path = Path::new(place).join(format!(".talaria-{name}"));
            match Self::at(&path) {
                Ok(scratch) => return Ok(scratch),
                Err(errno) => last = errno,
            }
        }
        Err(last)
    }

    fn at(path: &Path) -> Result<Self, Errno> {
        if !path.parent().is_some_and(is_safe) {
            return Err(Errno::EPERM);
        }
        nix::unistd::mkdir(path, Mode::from_bits_truncate(0o700))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty())?;
        if fstat(&fd)?.st_uid != nix::unistd::geteuid().as_raw() {
            return Err(Errno::EPERM);
        }
        // Others may reach what they know the name of.
        fchmod(&fd, Mode::from_bits_truncate(0o711))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// A directory in it, of the same kind.
    pub(crate) fn directory(&self, name: &str) -> Result<Self, Errno> {
        mkdirat(&self.fd, name, Mode::from_bits_truncate(0o711))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        fchmod(&fd, Mode::from_bits_truncate(0o711))?;
        Ok(Self {
            fd,
            path: self.path.join(name),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A FIFO that `owner` can open, and its reading end; with `both` also open for writing.
    pub(crate) fn fifo(&self, name: &str, owner: &Identity, both: bool) -> Result<OwnedFd, Errno> {
        mkfifoat(&self.fd, name, Mode::from_bits_truncate(0o600))?;
        let access = if both { OFlag::O_RDWR } else { OFlag::O_RDONLY };
        let fd = self.open(name, access)?;
        if SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT != SFlag::S_IFIFO {
            return Err(Errno::EINVAL);
        }
        self.give(name, owner)?;
        Ok(fd)
    }

    /// Opens what is there already, without waiting for another end.
    pub(crate) fn open(&self, name: &str, access: OFlag) -> Result<OwnedFd, Errno> {
        let flags = access | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty())
    }

    /// A new file of `owner`'s, open for writing.
    pub(crate) fn file(&self, name: &str, owner: &Identity) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::from_bits_truncate(0o600))?;
        if owner.switch {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            if fchown(&fd, Some(uid), Some(gid)).is_err() {
                fchmod(&fd, Mode::from_bits_truncate(0o666))?;
            }
        }
        Ok(fd)
    }

    fn give(&self, name: &str, owner: &Identity) -> Result<(), Errno> {
        if !owner.switch {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        if fchownat(self.fd.as_fd(), name, Some(uid), Some(gid), flags).is_err() {
            // Without CAP_CHOWN anybody in the sandbox may open it; its name is no secret for root.
            let mode = Mode::from_bits_truncate(0o666);
            fchmodat(&self.fd, name, mode, FchmodatFlags::FollowSymlink)?;
        }
        Ok(())
    }

    /// Takes a name away, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir).unwrap_or_default();
    }

    /// Takes everything away. Best effort: the sandbox's end takes the rest.
    pub(crate) fn destroy(&self) {
        std::fs::remove_dir_all(Path::new(OsStr::from_bytes(
            self.path.as_os_str().as_bytes(),
        )))
        .unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_place_where_others_can_rename_is_none() {
        let place = tempfile::tempdir().unwrap();
        let set = |mode| {
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (mode, is_one) in [
            (0o755, true),
            (0o1777, true),
            (0o777, false),
            (0o775, false),
        ] {
            set(mode);
            let made = Scratch::at(&place.path().join(format!("{mode}")));
            assert_eq!(made.is_ok(), is_one, "{mode:o}");
        }
    }
}
