//! Unpacking an archive that an enemy wrote.
//!
//! Everything is written below one new directory that only this user can enter. No link is ever
//! made in it, so a path of plain names cannot lead out of it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

/// How much may come out of a sandbox at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            entries: 1_000_000,
        }
    }
}

/// Something that was in the archive and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path in the archive; it can hold anything.
    pub path: String,
    /// What it is: `a symbolic link`.
    pub what: &'static str,
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// An archive that is not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It breaks off, or is no archive.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// A path would lead out of the destination.
    #[error("the archive holds the path {path:?}, which leads elsewhere")]
    Escape {
        /// The path.
        path: String,
    },
    /// A path is there twice.
    #[error("the archive holds the path {path:?} twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// There is more than allowed.
    #[error("the archive holds more than {limit} {what}")]
    TooMuch {
        /// The bound.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A file of this machine could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Unpacks into `directory`, which must be new and this user's alone.
///
/// Regular files and directories come out, with the permission bits of their owner, group and
/// others, and never with setuid, setgid or sticky; links, devices and FIFOs are left out.
///
/// # Errors
///
/// [`UnpackError`]; `directory` then holds a part.
pub fn unpack(
    archive: impl Read,
    directory: &Path,
    bounds: Bounds,
) -> Result<Unpacked, UnpackError> {
    let mut done = Unpacked::default();
    let mut entries = 0;
    let mut modes = Vec::new();
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(UnpackError::Read)?;
        entries += 1;
        if entries > bounds.entries {
            return Err(UnpackError::TooMuch {
                limit: bounds.entries,
                what: "files",
            });
        }
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let relative = plain(&entry.path().map_err(UnpackError::Read)?).ok_or_else(|| {
            UnpackError::Escape {
                path: shown.clone(),
            }
        })?;
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        let kind = entry.header().entry_type();
        let path = directory.join(&relative);
        match kind {
            EntryType::Directory => {
                make_directories(directory, &relative, &shown)?;
                modes.push((path, mode | 0o700));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if relative.as_os_str().is_empty() {
                    return Err(UnpackError::Escape { path: shown });
                }
                let parent = relative.parent().unwrap_or(Path::new(""));
                make_directories(directory, parent, &shown)?;
                let room = bounds.bytes - done.bytes;
                done.bytes += write(&mut entry, &path, &shown, mode, room, bounds.bytes)?;
                done.files += 1;
            }
            other => done.skipped.push(Skipped {
                path: shown,
                what: what(other),
            }),
        }
    }
    // Deepest first, and last of all: a directory may not let its owner write.
    modes.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
    for (path, mode) in modes {
        let set = fs::set_permissions(&path, Permissions::from_mode(mode));
        set.map_err(|source| UnpackError::Write { path, source })?;
    }
    Ok(done)
}

/// The path if it is made of plain names.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(plain)
}

fn make_directories(root: &Path, relative: &Path, shown: &str) -> Result<(), UnpackError> {
    let mut path = root.to_owned();
    for name in relative {
        path.push(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_directory = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
                if !is_directory {
                    let path = shown.to_owned();
                    return Err(UnpackError::Twice { path });
                }
            }
            Err(source) => return Err(UnpackError::Write { path, source }),
        }
    }
    Ok(())
}

fn write(
    content: &mut impl Read,
    path: &Path,
    shown: &str,
    mode: u32,
    room: u64,
    limit: u64,
) -> Result<u64, UnpackError> {
    let failed = |source| UnpackError::Write {
        path: path.to_owned(),
        source,
    };
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = shown.to_owned();
            return Err(UnpackError::Twice { path });
        }
        Err(source) => return Err(failed(source)),
    };
    let mut written = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = content.read(&mut buffer).map_err(UnpackError::Read)?;
        if count == 0 {
            break;
        }
        written += count as u64;
        if written > room {
            return Err(UnpackError::TooMuch {
                limit,
                what: "bytes",
            });
        }
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    file.set_permissions(Permissions::from_mode(mode | 0o400))
        .map_err(failed)?;
    Ok(written)
}

fn what(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a FIFO",
        _ => "neither a file nor a directory",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tar::{Builder, Header};

    use super::*;

    /// An archive of raw entries: the library that writes archives refuses such paths.
    fn archive(entries: &[(&str, EntryType, u32, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, mode, content) in entries {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn into_new(archive: &[u8]) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            bytes: 100,
            entries: 5,
        };
        let done = unpack(archive, directory.path(), bounds);
        (directory, done)
    }

    #[rstest]
    #[case("../out")]
    #[case("a/../../out")]
    #[case("/out")]
    #[case("a/..")]
    fn a_path_that_leads_out_stops_it(#[case] path: &str) {
        let (_directory, done) = into_new(&archive(&[(path, EntryType::Regular, 0o644, b"x")]));
        assert!(matches!(done, Err(UnpackError::Escape { .. })), "{done:?}");
    }

    #[rstest]
    #[case(EntryType::Symlink, "a symbolic link")]
    #[case(EntryType::Link, "a hard link")]
    #[case(EntryType::Char, "a device")]
    #[case(EntryType::Block, "a device")]
    #[case(EntryType::Fifo, "a FIFO")]
    fn links_and_devices_are_left_out(#[case] kind: EntryType, #[case] what: &'static str) {
        let (directory, done) = into_new(&archive(&[("d", kind, 0o777, b"")]));
        let path = "d".to_owned();
        assert_eq!(done.unwrap().skipped, [Skipped { path, what }]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_behind_a_link_does_not_follow_it() {
        let (directory, done) = into_new(&archive(&[
            ("d", EntryType::Symlink, 0o777, b""),
            ("d/x", EntryType::Regular, 0o644, b"x"),
        ]));
        assert_eq!(done.unwrap().files, 1);
        let found = fs::symlink_metadata(directory.path().join("d")).unwrap();
        assert!(found.is_dir());
    }

    #[test]
    fn no_special_bit_comes_out() {
        let (directory, done) = into_new(&archive(&[
            ("d", EntryType::Directory, 0o7555, b""),
            ("d/x", EntryType::Regular, 0o6755, b"x"),
        ]));
        done.unwrap();
        let mode = |path: &str| {
            let found = fs::symlink_metadata(directory.path().join(path)).unwrap();
            found.permissions().mode() & 0o7777
        };
        assert_eq!((mode("d"), mode("d/x")), (0o755, 0o755));
    }

    #[test]
    fn the_same_path_twice_stops_it() {
        let (_directory, done) = into_new(&archive(&[
            ("x", EntryType::Regular, 0o644, b"1"),
            ("x", EntryType::Regular, 0o644, b"2"),
        ]));
        assert!(matches!(done, Err(UnpackError::Twice { .. })), "{done:?}");
    }

    #[test]
    fn a_directory_in_place_of_a_file_stops_it() {
        let (_directory, done) = into_new(&archive(&[
            ("x", EntryType::Regular, 0o644, b"1"),
            ("x/y", EntryType::Regular, 0o644, b"2"),
        ]));
        assert!(matches!(done, Err(UnpackError::Twice { .. })), "{done:?}");
    }

    #[test]
    fn more_than_is_allowed_stops_it() {
        let (_directory, done) = into_new(&archive(&[("x", EntryType::Regular, 0o644, &[0; 101])]));
        assert!(matches!(done, Err(UnpackError::TooMuch { limit: 100, .. })));
        let one = ("x", EntryType::Fifo, 0o644, &b""[..]);
        let (_directory, done) = into_new(&archive(&[one; 6]));
        assert!(matches!(done, Err(UnpackError::TooMuch { limit: 5, .. })));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes_nothing_is_written_elsewhere(
            mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048),
            flips in proptest::collection::vec((0_usize..1536, proptest::num::u8::ANY), 0..8),
            random in proptest::bool::ANY,
        ) {
            if !random {
                bytes = archive(&[
                    ("a/b", EntryType::Regular, 0o644, b"hello"),
                    ("a/c", EntryType::Symlink, 0o777, b""),
                ]);
                for (at, byte) in flips {
                    bytes[at] = byte;
                }
            }
            let outer = tempfile::tempdir().unwrap();
            let inner = outer.path().join("inner");
            fs::create_dir(&inner).unwrap();
            let bounds = Bounds { bytes: 1000, entries: 10 };
            // Whether it can be unpacked is not the question.
            drop(unpack(&bytes[..], &inner, bounds));
            proptest::prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
        }
    }
}
