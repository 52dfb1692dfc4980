//! `.talaria-owner` in the home: which ids the agent had there last, so that
//! its files can follow it to others.
//!
//! Root gives files away by what is written here, and the agent owns the
//! directory that it is in. So it counts only where root wrote it: a regular
//! file of root's with one name, which nobody else can write. The agent can
//! remove or rename it, but it cannot make another one.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

/// Its name.
pub(crate) const NAME: &CStr = c".talaria-owner";
/// Where it is made.
const STAGED: &CStr = c".talaria-owner.tmp";
/// No record is longer, in bytes.
const LONGEST: usize = 32;
/// Its mode.
const MODE: u32 = 0o644;

/// The ids of the agent's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The record in a home; `None` where there is none that counts.
pub(crate) fn read(home: &OwnedFd) -> Option<Ids> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(home, NAME, flags, Mode::empty()).ok()?;
    let stat = fstat(&file).ok()?;
    let is_roots = stat.st_uid == 0 && stat.st_nlink == 1 && stat.st_mode & 0o022 == 0;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    if !is_roots || kind != SFlag::S_IFREG {
        return None;
    }
    let mut text = String::new();
    let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    File::from(file)
        .take(longest)
        .read_to_string(&mut text)
        .ok()?;
    parse(&text)
}

/// Puts a record in the place of whatever has its name.
pub(crate) fn write(home: &OwnedFd, ids: Ids) -> io::Result<()> {
    missing_is_fine(unlinkat(home, STAGED, UnlinkatFlags::NoRemoveDir))?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mode = Mode::from_bits_truncate(MODE);
    let staged = openat(home, STAGED, flags | OFlag::O_NOFOLLOW, mode)?;
    fchmod(&staged, mode)?;
    let mut staged = File::from(staged);
    staged.write_all(text(ids).as_bytes())?;
    staged.sync_all()?;
    renameat(home, STAGED, home, NAME)?;
    Ok(fsync(home.as_fd())?)
}

/// Removes the record.
pub(crate) fn remove(home: &OwnedFd) -> io::Result<()> {
    missing_is_fine(unlinkat(home, NAME, UnlinkatFlags::NoRemoveDir))
}

fn missing_is_fine(result: nix::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn text(ids: Ids) -> String {
    format!("{}:{}\n", ids.uid, ids.gid)
}

fn parse(text: &str) -> Option<Ids> {
    let (uid, gid) = text.strip_suffix('\n')?.split_once(':')?;
    let ids = Ids {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    };
    // Root's are nobody's that the agent could have had.
    (ids.uid != 0 && ids.gid != 0).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn what_is_written_is_read() {
        let ids = Ids { uid: 99, gid: 100 };
        assert_eq!(parse(&text(ids)), Some(ids));
        let longest = Ids {
            uid: u32::MAX,
            gid: u32::MAX,
        };
        assert!(text(longest).len() <= LONGEST);
    }

    #[rstest]
    #[case("")]
    #[case("99:100")]
    #[case("0:100\n")]
    #[case("99:0\n")]
    #[case("99:100\n1:1\n")]
    #[case("a:b\n")]
    fn nothing_else_is(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[test]
    fn a_record_of_somebody_elses_does_not_count() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".talaria-owner");
        std::fs::write(&path, "99:100\n").unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(4321), None).unwrap();
        }
        let open = |path: &std::path::Path| OwnedFd::from(File::open(path).unwrap());
        assert_eq!(read(&open(home.path())), None);
    }
}
