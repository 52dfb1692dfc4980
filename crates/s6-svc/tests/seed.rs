//! The skeleton made on a real file system, over everything that may be there already.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made ends the test"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use s6_svc::skeleton::{Identity, Place, Refusal};
use s6_svc::{FileKind, FsError, RegistrationError, ServiceDir};
use tempfile::TempDir;

/// What somebody put in a place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Put {
    Nothing,
    Directory,
    Fifo,
    File,
    Link,
}

impl Put {
    fn kind(self) -> Option<FileKind> {
        Some(match self {
            Self::Nothing => return None,
            Self::Directory => FileKind::Directory,
            Self::Fifo => FileKind::Fifo,
            Self::File => FileKind::Regular,
            Self::Link => FileKind::Symlink,
        })
    }
}

fn put(path: &Path, what: Put, elsewhere: &Path) {
    match what {
        Put::Nothing => return,
        Put::Directory => fs::create_dir(path).unwrap(),
        Put::Fifo => mkfifoat(CWD, path, Mode::from_raw_mode(0o600)).unwrap(),
        Put::File => fs::write(path, "").unwrap(),
        Put::Link => return symlink(elsewhere, path).unwrap(),
    }
    // A mode that nobody would make, to see that it is left.
    fs::set_permissions(path, Permissions::from_mode(0o711)).unwrap();
}

fn puts() -> impl Strategy<Value = Put> {
    prop_oneof![
        4 => Just(Put::Nothing),
        4 => Just(Put::Directory),
        4 => Just(Put::Fifo),
        1 => Just(Put::File),
        1 => Just(Put::Link),
    ]
}

struct Slot {
    _root: TempDir,
    dir: PathBuf,
    elsewhere: PathBuf,
}

fn slot(tree: [Put; 4]) -> Slot {
    let root = tempfile::tempdir().unwrap();
    let (dir, elsewhere) = (root.path().join("slot"), root.path().join("elsewhere"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    for (place, what) in Place::ALL.into_iter().zip(tree) {
        let inside = matches!(place, Place::SuperviseEvent | Place::Control);
        if !inside || tree[1] == Put::Directory {
            put(&dir.join(place.path()), what, &elsewhere);
        }
    }
    Slot {
        _root: root,
        dir,
        elsewhere,
    }
}

/// Every path below a directory, with what it is and its mode.
fn listing(dir: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            found.extend(listing(&path));
        }
        found.push((path, meta.mode()));
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_missing_is_made_and_what_is_there_is_left(a in puts(), b in puts(), c in puts(), d in puts()) {
        let slot = slot([a, b, c, d]);
        let before = listing(&slot.dir);
        let service = ServiceDir::new(&slot.dir).unwrap();
        let result = service.seed(Identity::effective());
        let after = listing(&slot.dir);
        prop_assert_eq!(fs::read_dir(&slot.elsewhere).unwrap().count(), 0, "no link is followed");
        let inside = |put: Put| if b == Put::Directory { put } else { Put::Nothing };
        let there = [a, b, inside(c), inside(d)].map(Put::kind);
        let sound = Place::ALL.iter().zip(there).all(|(place, kind)| kind.is_none_or(|kind| kind == place.kind()));
        if !sound {
            let refused = matches!(
                result,
                Err(RegistrationError::Refused { source: Refusal::Occupied { .. }, .. })
            );
            prop_assert!(refused);
            prop_assert_eq!(before, after, "nothing is made in a slot that is refused");
            return Ok(());
        }
        prop_assert!(result.is_ok());
        for (place, kind) in Place::ALL.into_iter().zip(there) {
            let meta = fs::symlink_metadata(slot.dir.join(place.path())).unwrap();
            let mode = if kind.is_some() { 0o711 } else { place.mode() };
            prop_assert_eq!(meta.mode() & 0o7777, mode);
            prop_assert_eq!(meta.file_type().is_fifo(), place == Place::Control);
        }
        prop_assert_eq!(after.len(), 4, "no staging is left");
        service.seed(Identity::effective()).unwrap();
        prop_assert_eq!(after, listing(&slot.dir), "the second time there is nothing to do");
    }
}

#[test]
fn a_logger_is_seeded_with_its_service_and_a_link_to_one_is_refused() {
    let slot = slot([Put::Nothing; 4]);
    fs::create_dir(slot.dir.join("log")).unwrap();
    let service = ServiceDir::new(&slot.dir).unwrap();
    service.seed(Identity::effective()).unwrap();
    assert!(slot.dir.join("log/supervise/control").exists());
    fs::remove_dir_all(slot.dir.join("log")).unwrap();
    symlink(&slot.elsewhere, slot.dir.join("log")).unwrap();
    let result = service.seed(Identity::effective());
    assert!(matches!(
        result,
        Err(RegistrationError::Fs(FsError::Symlink { .. }))
    ));
    assert_eq!(fs::read_dir(&slot.elsewhere).unwrap().count(), 0);
}

#[test]
fn an_interrupted_seeding_is_taken_up_again() {
    let slot = slot([Put::Nothing; 4]);
    fs::create_dir_all(slot.dir.join(".event.s6/left")).unwrap();
    fs::create_dir(slot.dir.join("supervise")).unwrap();
    fs::write(slot.dir.join("supervise/.control.s6"), "").unwrap();
    ServiceDir::new(&slot.dir)
        .unwrap()
        .seed(Identity::effective())
        .unwrap();
    assert_eq!(listing(&slot.dir).len(), 4);
}
