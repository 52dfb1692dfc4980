//! Files that are there whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::folder::{CLOSED, Folder};

/// The files that are written this way: what else ends in `.tmp` is the agent's.
const WRITTEN: [&str; 7] = [
    ".env",
    ".gateway-planned-stop.json",
    ".gateway-port",
    "SOUL.md",
    "auth.json",
    "config.yaml",
    "gateway_state.json",
];

/// Puts a file in the place of whatever is at `path`, with this mode from its
/// first byte on.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = Folder::open(parent)?;
    let staged = staged_name(name);
    let file = stage(&folder, name, bytes, mode)?;
    if let Err(error) = file.sync_all() {
        folder.remove(&staged).ok();
        return Err(error);
    }
    folder.rename(&staged, name)?;
    folder.sync()
}

/// Puts a file into a directory where nothing of its name is. Whether it did.
pub(crate) fn create(folder: &Folder, name: &str, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let created = create_with(folder, name, bytes, mode, File::sync_all)?;
    if created {
        folder.sync()?;
    }
    Ok(created)
}

/// The same, but that nothing of it need be on the disk yet: [`sync`] sees to that.
pub(crate) fn create_unsynced(
    folder: &Folder,
    name: &str,
    bytes: &[u8],
    mode: u32,
) -> io::Result<bool> {
    create_with(folder, name, bytes, mode, |_| Ok(()))
}

fn create_with(
    folder: &Folder,
    name: &str,
    bytes: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<bool> {
    if folder.kind(name)?.is_some() {
        return Ok(false);
    }
    let staged = staged_name(name);
    let file = stage(folder, name, bytes, mode)?;
    // Unlike a rename, a link does not replace what has come there meanwhile.
    let linked = finish(&file).and_then(|()| folder.link(&staged, name));
    folder.remove(&staged)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Brings a file of a directory to the disk, and that it is there.
pub(crate) fn sync(folder: &Folder, name: &str) -> io::Result<()> {
    folder.sync_file(name)?;
    folder.sync()
}

/// Where a file is written before it gets its name.
fn staged_name(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

fn stage(folder: &Folder, name: &str, bytes: &[u8], mode: u32) -> io::Result<File> {
    let staged = staged_name(name);
    let mut file = match folder.make_closed_file(&staged) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove(&staged)?;
            folder.make_closed_file(&staged)?
        }
        fresh => fresh?,
    };
    let mut written = || {
        if mode != CLOSED {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)
    };
    match written() {
        Ok(()) => Ok(file),
        Err(error) => {
            // Where there was no room for it; what stays all the same is swept at a boot.
            folder.remove(&staged).ok();
            Err(error)
        }
    }
}

/// Whether a file's name is one that [`stage`] gives to a file of ours, `.NAME.PID.tmp`: where nobody
/// writes, a writer that was killed left it.
pub(crate) fn is_staged(name: &str) -> bool {
    let inner = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    inner
        .and_then(|inner| inner.rsplit_once('.'))
        .is_some_and(|(name, pid)| WRITTEN.contains(&name) && pid.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_created_once_and_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let folder = Folder::open(directory.path()).unwrap();
        assert!(create(&folder, "f", b"first", 0o640).unwrap());
        assert!(!create(&folder, "f", b"second", 0o640).unwrap());
        assert!(!create_unsynced(&folder, "f", b"second", 0o640).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        write(&path, b"third", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_its_owners_alone_before_anything_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let file = folder.make_closed_file("f").unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(
            (metadata.permissions().mode() & 0o777, metadata.len()),
            (0o600, 0)
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_known_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        stage(&folder, "auth.json", b"secret", 0o600).unwrap();
        for name in [
            ".auth.json.x.tmp",
            ".other.7.tmp",
            "auth.json.7.tmp",
            ".env",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let left = folder.names(Path::new("."), is_staged).unwrap();
        assert_eq!(left, [staged_name("auth.json")]);
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_what_it_leads_to_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("f"), directory.path().join("other"));
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        assert!(!create(&folder, "f", b"x", 0o600).unwrap());
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"kept");
    }
}
