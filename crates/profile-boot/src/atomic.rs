//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::profile::ProfileName;

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
    let staged = stage(path, bytes, mode)?;
    fs::rename(&staged, path)?;
    sync_directory(path)
}

/// Puts a file at `path` where nothing is. Whether it did.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let staged = stage(path, bytes, mode)?;
    // Unlike a rename, a link does not replace what has come there meanwhile.
    let linked = fs::hard_link(&staged, path);
    fs::remove_file(&staged)?;
    match linked {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn stage(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let staged = path.with_file_name(name);
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = open_closed(&staged)?;
    let mut written = || {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    match written() {
        Ok(()) => Ok(staged),
        Err(error) => {
            // Where there was no room for it; what stays all the same is swept at a boot.
            fs::remove_file(&staged).ok();
            Err(error)
        }
    }
}

/// Makes a file that is its owner's alone from its first moment: a wider mode
/// comes later, before anything is in it.
fn open_closed(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Removes what writers that were killed left in the directories of these profiles:
/// `.NAME.PID.tmp` of the files that are written here. Returns each file that was to be removed,
/// and each directory that could not be looked into, with what came of it.
///
/// For a time when nobody writes: at a boot, before anything of the agent's runs.
///
/// # Errors
/// Where the home cannot be searched.
pub fn sweep_interrupted<'a>(
    home: &Path,
    profiles: impl IntoIterator<Item = &'a ProfileName>,
) -> io::Result<Vec<(PathBuf, io::Result<()>)>> {
    let open = Folder::open(home)?;
    let mut swept = Vec::new();
    for profile in profiles {
        let relative = profile.directory(Path::new("."));
        let directory = profile.directory(home);
        match open.names(&relative) {
            Ok(names) => swept.extend(names.into_iter().filter(|name| is_staged(name)).map(
                |name| {
                    let path = directory.join(name);
                    let removed = fs::remove_file(&path);
                    (path, removed)
                },
            )),
            Err(error) => swept.push((directory, Err(error))),
        }
    }
    Ok(swept)
}

/// Whether a file's name is one that [`stage`] gives to a file of ours.
fn is_staged(name: &str) -> bool {
    let inner = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    inner
        .and_then(|inner| inner.rsplit_once('.'))
        .is_some_and(|(name, pid)| WRITTEN.contains(&name) && pid.parse::<u32>().is_ok())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_once_and_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        assert!(create(&path, b"first", 0o640).unwrap());
        assert!(!create(&path, b"second", 0o640).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write(&path, b"third", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_its_owners_alone_before_anything_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = open_closed(&directory.path().join("f")).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(
            (metadata.permissions().mode() & 0o777, metadata.len()),
            (0o600, 0)
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        let staged = stage(&path, b"secret", 0o600).unwrap();
        let kept = [
            ".auth.json.x.tmp",
            ".other.7.tmp",
            "auth.json.7.tmp",
            ".env",
        ];
        for name in kept {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let swept = sweep_interrupted(directory.path(), [&ProfileName::default_profile()]).unwrap();
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].0, staged);
        assert!(swept[0].1.is_ok());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), kept.len());
    }

    #[test]
    fn a_link_in_its_place_is_replaced_and_what_it_leads_to_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("f"), directory.path().join("other"));
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(!create(&path, b"x", 0o600).unwrap());
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"kept");
    }
}
