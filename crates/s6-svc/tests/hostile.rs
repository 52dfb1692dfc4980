//! What others may put in a slot: nothing is followed, nothing blocks, and each case is an error of
//! its own kind.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made ends the test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rstest::{fixture, rstest};
use rustix::fs::{CWD, Mode, mkfifoat};
use s6_svc::{
    Command, ControlError, DecodeError, Definition, FileKind, FsError, PathError, Program,
    Registration, RegistrationError, Scandir, ScandirCommand, ServiceDir, ServiceName, StatusError,
    Unregistration,
};
use tempfile::TempDir;

struct Slot {
    root: TempDir,
    dir: PathBuf,
}

impl Slot {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn service(&self) -> ServiceDir {
        ServiceDir::new(&self.dir).unwrap()
    }

    fn fifo(&self, name: &str) {
        mkfifoat(CWD, self.path(name), Mode::from_raw_mode(0o600)).unwrap();
    }
}

/// A slot such as a stopped `s6-supervise` leaves behind.
#[fixture]
fn slot() -> Slot {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("svc");
    fs::create_dir_all(dir.join("supervise")).unwrap();
    fs::write(dir.join("supervise/lock"), "").unwrap();
    fs::write(dir.join("supervise/status"), [0; 35]).unwrap();
    let slot = Slot { root, dir };
    slot.fifo("supervise/control");
    slot
}

fn wrong_kind(error: &FsError) -> Option<(&Path, FileKind, FileKind)> {
    match error {
        FsError::WrongKind {
            path,
            expected,
            found,
        } => Some((path, *expected, *found)),
        _ => None,
    }
}

#[rstest]
fn a_stopped_service_is_not_supervised(slot: Slot) {
    assert!(!slot.service().is_supervised().unwrap());
    assert!(matches!(
        slot.service().status(),
        Err(StatusError::NotSupervised { .. })
    ));
    let control = slot.service().control(&[Command::Up]);
    assert!(matches!(control, Err(ControlError::NotSupervised { path }) if path == slot.dir));
}

#[rstest]
fn a_slot_that_is_not_there_is_not_supervised(slot: Slot) {
    let service = ServiceDir::new(slot.root.path().join("none")).unwrap();
    assert!(!service.is_supervised().unwrap());
    assert!(matches!(
        service.status(),
        Err(StatusError::NotSupervised { .. })
    ));
    let control = service.control(&[Command::Up]);
    assert!(matches!(
        control,
        Err(ControlError::Fs(FsError::Missing { .. }))
    ));
}

#[rstest]
fn a_link_in_place_of_a_slot_is_refused_unless_it_is_allowed(slot: Slot) {
    let link = slot.root.path().join("link");
    symlink(&slot.dir, &link).unwrap();
    let service = ServiceDir::new(&link).unwrap();
    let refused = |error: &FsError| matches!(error, FsError::Symlink { path } if *path == link);
    assert!(refused(&service.is_supervised().unwrap_err()));
    assert!(matches!(service.status(), Err(StatusError::Fs(error)) if refused(&error)));
    let control = service.control(&[Command::Up]);
    assert!(matches!(control, Err(ControlError::Fs(error)) if refused(&error)));
    assert!(service.following_links().last_status().is_ok());
}

#[rstest]
#[case::directory("supervise")]
#[case::lock("supervise/lock")]
#[case::status("supervise/status")]
#[case::control("supervise/control")]
fn a_link_inside_a_slot_is_refused_even_where_links_are_allowed(slot: Slot, #[case] name: &str) {
    let elsewhere = slot.root.path().join("elsewhere");
    fs::rename(slot.path(name), &elsewhere).unwrap();
    symlink(&elsewhere, slot.path(name)).unwrap();
    let service = slot.service().following_links();
    let path = slot.path(name);
    let refused = |error: &FsError| matches!(error, FsError::Symlink { path: at } if *at == path);
    match name {
        "supervise/lock" => assert!(refused(&service.is_supervised().unwrap_err())),
        "supervise/status" => {
            assert!(
                matches!(service.last_status(), Err(StatusError::Fs(error)) if refused(&error))
            );
        }
        _ => {
            let control = service.control(&[Command::Up]);
            assert!(matches!(control, Err(ControlError::Fs(error)) if refused(&error)));
        }
    }
}

#[rstest]
fn a_dangling_link_is_refused_like_any_other(slot: Slot) {
    let link = slot.root.path().join("link");
    symlink("/nowhere", &link).unwrap();
    let error = ServiceDir::new(&link).unwrap().is_supervised().unwrap_err();
    assert!(matches!(error, FsError::Symlink { path } if path == link));
}

#[rstest]
fn a_fifo_replaced_by_a_file_is_told_apart_and_not_written(slot: Slot) {
    let control = slot.path("supervise/control");
    fs::remove_file(&control).unwrap();
    fs::write(&control, "").unwrap();
    let Err(ControlError::Fs(error)) = slot.service().control(&[Command::Up]) else {
        panic!("the file was taken for a FIFO");
    };
    assert_eq!(
        wrong_kind(&error),
        Some((&*control, FileKind::Fifo, FileKind::Regular))
    );
    assert_eq!(fs::read(&control).unwrap(), b"");
}

#[rstest]
fn a_fifo_replaced_by_a_directory_is_told_apart(slot: Slot) {
    let control = slot.path("supervise/control");
    fs::remove_file(&control).unwrap();
    fs::create_dir(&control).unwrap();
    let Err(ControlError::Fs(error)) = slot.service().control(&[Command::Up]) else {
        panic!("the directory was taken for a FIFO");
    };
    assert_eq!(
        wrong_kind(&error),
        Some((&*control, FileKind::Fifo, FileKind::Directory))
    );
}

#[rstest]
fn a_fifo_replaced_by_a_socket_is_told_apart(slot: Slot) {
    let control = slot.path("supervise/control");
    fs::remove_file(&control).unwrap();
    let _listener = UnixListener::bind(&control).unwrap();
    let Err(ControlError::Fs(error)) = slot.service().control(&[Command::Up]) else {
        panic!("the socket was taken for a FIFO");
    };
    assert_eq!(
        wrong_kind(&error),
        Some((&*control, FileKind::Fifo, FileKind::Socket))
    );
}

#[rstest]
fn a_status_replaced_by_a_fifo_is_told_apart_without_blocking(slot: Slot) {
    let status = slot.path("supervise/status");
    fs::remove_file(&status).unwrap();
    slot.fifo("supervise/status");
    let Err(StatusError::Fs(error)) = slot.service().last_status() else {
        panic!("the FIFO was taken for a file");
    };
    assert_eq!(
        wrong_kind(&error),
        Some((&*status, FileKind::Regular, FileKind::Fifo))
    );
}

#[rstest]
fn a_slot_that_is_a_file_is_told_apart(slot: Slot) {
    let file = slot.root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = ServiceDir::new(&file).unwrap().is_supervised().unwrap_err();
    assert_eq!(
        wrong_kind(&error),
        Some((&*file, FileKind::Directory, FileKind::Regular))
    );
}

#[rstest]
fn a_status_file_of_any_wrong_length_is_malformed(slot: Slot) {
    for length in (0..100).filter(|length| ![35, 43].contains(length)) {
        fs::write(slot.path("supervise/status"), vec![0; length]).unwrap();
        let error = slot.service().last_status().unwrap_err();
        let StatusError::Malformed { source, .. } = error else {
            panic!("{length} bytes gave {error:?}");
        };
        assert_eq!(
            source,
            DecodeError::StatusLength {
                found: length.min(44)
            }
        );
    }
}

#[rstest]
fn a_huge_death_tally_is_refused_without_reading_it_whole(slot: Slot) {
    let file = fs::File::create(slot.path("supervise/death_tally")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = slot.service().death_tally().unwrap_err();
    assert!(matches!(error, StatusError::Malformed { .. }));
}

#[rstest]
fn commands_reach_whoever_reads_the_fifo(slot: Slot) {
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(slot.path("supervise/control"))
        .unwrap();
    slot.service().control(&Command::ALL).unwrap();
    let mut bytes = [0; 24];
    std::io::Read::read_exact(&mut &reader, &mut bytes).unwrap();
    assert_eq!(&bytes, b"abqhkti12pcyrPCKoduDUxOQ");
}

#[rstest]
fn a_reader_that_does_not_read_is_told_apart(slot: Slot) {
    let _reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(slot.path("supervise/control"))
        .unwrap();
    let service = slot.service();
    let result = std::iter::repeat_with(|| service.control(&[Command::Up; 512]))
        .take(1000)
        .find(Result::is_err);
    assert!(matches!(result, Some(Err(ControlError::Stuck { .. }))));
}

#[rstest]
#[case("run/service")]
#[case("")]
#[case("/run/../etc")]
#[case("/run/\0")]
fn a_path_that_can_be_misread_is_refused(#[case] path: &str) {
    let error = ServiceDir::new(path).unwrap_err();
    match path {
        "/run/../etc" => assert!(matches!(error, PathError::Parent { .. })),
        "/run/\0" => assert!(matches!(error, PathError::Nul { .. })),
        _ => assert!(matches!(error, PathError::NotAbsolute { .. })),
    }
}

#[rstest]
fn a_scandir_without_a_scanner_says_so(slot: Slot) {
    let scandir = Scandir::new(slot.root.path()).unwrap();
    assert!(!scandir.is_scanned().unwrap());
    let control = scandir.control(&[ScandirCommand::Rescan]);
    assert!(matches!(control, Err(ControlError::NotSupervised { .. })));
}

#[rstest]
fn a_scandir_lists_directories_and_links_and_nothing_else(slot: Slot) {
    let root = slot.root.path();
    symlink(&slot.dir, root.join("Linked Service")).unwrap();
    fs::create_dir(root.join(".staged")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    let entries = Scandir::new(root).unwrap().entries().unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name().to_str().unwrap(), entry.is_link()))
        .collect();
    assert_eq!(found, [("Linked Service", true), ("svc", false)]);
    assert!(entries[0].service_name().is_err());
    assert_eq!(entries[1].service_name(), ServiceName::new("svc"));
}

#[rstest]
#[case::file("file")]
#[case::fifo("fifo")]
#[case::link("link")]
#[case::dangling("dangling")]
#[case::socket("socket")]
fn a_registration_touches_nothing_that_stands_in_its_place(#[case] what: &str) {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = root.path().join("web");
    let mut listener = None;
    match what {
        "file" => fs::write(&path, "").unwrap(),
        "fifo" => mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap(),
        "link" => symlink(elsewhere.path(), &path).unwrap(),
        "dangling" => symlink("/nowhere", &path).unwrap(),
        _ => listener = Some(UnixListener::bind(&path).unwrap()),
    }
    let scandir = Scandir::new(root.path()).unwrap();
    let name = ServiceName::new("web").unwrap();
    let definition = Definition::new(Program::Script("#!/bin/sh\n".to_owned()));
    let is_named = |error: &RegistrationError| match error {
        RegistrationError::Fs(FsError::Symlink { path: at }) => *at == path,
        RegistrationError::Fs(FsError::WrongKind {
            path: at, expected, ..
        }) => *at == path && *expected == FileKind::Directory,
        _ => false,
    };
    let result = Registration::new(&scandir, &name, &definition).publish();
    assert!(
        matches!(&result, Err(error) if is_named(error)),
        "{result:?}"
    );
    let result = Unregistration::new(&scandir, &name).execute();
    assert!(
        matches!(&result, Err(error) if is_named(error)),
        "{result:?}"
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    drop(listener);
}

#[test]
fn a_slot_whose_files_are_links_or_fifos_is_another_service() {
    let root = tempfile::tempdir().unwrap();
    let scandir = Scandir::new(root.path()).unwrap();
    let name = ServiceName::new("web").unwrap();
    let run = Program::Script("#!/bin/sh\n".to_owned());
    let definition = Definition::new(run).notification_fd(3).unwrap();
    let publish = || Registration::new(&scandir, &name, &definition).publish();
    publish().unwrap();
    let file = root.path().join("web/notification-fd");
    let different =
        |result| matches!(result, Err(RegistrationError::Different { path }) if path == file);
    fs::remove_file(&file).unwrap();
    mkfifoat(CWD, &file, Mode::from_raw_mode(0o644)).unwrap();
    assert!(different(publish()), "it neither blocks nor counts");
    fs::remove_file(&file).unwrap();
    let same = root.path().join("same");
    fs::write(&same, "3\n").unwrap();
    symlink(&same, &file).unwrap();
    assert!(different(publish()));
    fs::remove_file(&file).unwrap();
    fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert!(different(publish()), "a huge file is not read whole");
}

#[test]
fn a_slot_full_of_surprises_is_removed_and_nothing_else_is() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("file"), "").unwrap();
    let slot = root.path().join("web");
    fs::create_dir_all(slot.join("a/b/c")).unwrap();
    symlink(elsewhere.path(), slot.join("a/b/link")).unwrap();
    symlink(elsewhere.path().join("file"), slot.join("run")).unwrap();
    mkfifoat(CWD, slot.join("a/fifo"), Mode::from_raw_mode(0o600)).unwrap();
    let _listener = UnixListener::bind(slot.join("socket")).unwrap();
    let scandir = Scandir::new(root.path()).unwrap();
    Unregistration::new(&scandir, &ServiceName::new("web").unwrap())
        .execute()
        .unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert!(elsewhere.path().join("file").exists());
}
