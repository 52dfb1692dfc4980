//! An unprivileged user in a tree that root scans, and in one of its own.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use s6_svc::skeleton::{Identity, Place};
use s6_svc::{
    Command, ControlError, Deadline, FileKind, FsError, Goal, Registration, RegistrationError,
    Scandir, ScandirCommand, ServiceDir, Unregistration,
};

use crate::child::{Call, definition};
use crate::support::{HERMES, Tree, name, until};

/// Registers, uses and unregisters a service.
pub(crate) fn life(scandir: &Scandir) {
    let deadline = Deadline::after(Duration::from_secs(20));
    let web = name("web");
    let definition = definition();
    Registration::new(scandir, &web, &definition)
        .deadline(deadline)
        .execute()
        .unwrap();
    let service = scandir.service(&web);
    for service in [service.log(), service] {
        service
            .control_and_wait(&[Command::Up], Goal::Up, deadline)
            .unwrap();
        let pid = service.status().unwrap().pid().unwrap();
        service
            .control_and_wait(&[Command::Restart], Goal::Restarted, deadline)
            .unwrap();
        assert_ne!(service.status().unwrap().pid().unwrap(), pid);
        service
            .control_and_wait(&[Command::Down], Goal::Finished, deadline)
            .unwrap();
        assert!(service.status().unwrap().is_finished());
        assert!(!service.death_tally().unwrap().deaths().is_empty());
    }
    Unregistration::new(scandir, &web)
        .deadline(deadline)
        .execute()
        .unwrap();
}

/// Fails to control a service whose skeleton is root's, and says why.
pub(crate) fn denied(scandir: &Scandir, argument: &str) {
    let service = scandir.service(&name(argument));
    for service in [service.log(), service] {
        let fifo = service.path().join("supervise/control");
        let is_told = |error: &FsError| match error {
            FsError::Denied {
                path,
                at,
                owner: Some(owner),
                ..
            } => {
                assert!(fifo.starts_with(at), "{}", at.display());
                *path == fifo && owner.uid == 0
            }
            _ => false,
        };
        let result = service.control(&[Command::Up]);
        assert!(
            matches!(&result, Err(ControlError::Fs(error)) if is_told(error)),
            "{result:?}"
        );
        let text = result.unwrap_err().to_string();
        assert!(text.contains("supervise/control: not permitted (") && text.contains("owner 0:0"));
    }
    let service = scandir.service(&name(argument));
    let result = Unregistration::new(scandir, &name(argument)).execute();
    let Err(RegistrationError::Fs(FsError::Denied { .. })) = result else {
        panic!("{result:?}");
    };
    assert!(service.path().exists());
}

/// Whether everything of the skeleton is there, and the owner's.
pub(crate) fn assert_skeleton(service: &Path, owner: Identity) {
    for place in Place::ALL {
        let path = service.join(place.path());
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = if meta.file_type().is_fifo() {
            FileKind::Fifo
        } else {
            FileKind::Directory
        };
        assert_eq!(kind, place.kind(), "{}", path.display());
        assert_eq!(
            (meta.uid(), meta.gid()),
            (owner.uid, owner.gid),
            "{}",
            path.display()
        );
        assert_eq!(
            meta.permissions().mode() & 0o7777,
            place.mode(),
            "{}",
            path.display()
        );
    }
}

fn succeeds(role: &str, tree: &Tree, argument: &str) {
    let call = Call {
        role,
        scandir: &tree.scandir,
        argument,
        fault: None,
        user: Some(HERMES),
    };
    let output = call.run();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn hermes_runs_services_in_a_tree_that_root_scans() {
    let tree = Tree::start_shared();
    succeeds("life", &tree, "");
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}

#[test]
fn hermes_runs_services_in_its_own_tree() {
    let tree = Tree::start_as_hermes();
    succeeds("life", &tree, "");
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}

#[test]
fn root_registers_for_hermes_and_hermes_unregisters() {
    let tree = Tree::start_shared();
    let web = name("web");
    let definition = definition();
    Registration::new(&tree.scandir, &web, &definition)
        .owner(HERMES)
        .execute()
        .unwrap();
    assert_skeleton(&tree.path().join("web"), HERMES);
    assert_skeleton(&tree.path().join("web/log"), HERMES);
    assert_eq!(
        fs::metadata(tree.path().join("web/run")).unwrap().uid(),
        HERMES.uid
    );
    succeeds("unregister", &tree, "web");
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}

#[test]
fn the_skeleton_is_the_same_whatever_the_umask() {
    let tree = Tree::start_shared();
    let call = Call {
        role: "register",
        scandir: &tree.scandir,
        argument: "web",
        fault: None,
        user: Some(HERMES),
    };
    let child = call.command();
    // A process of its own has its own umask.
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(child.get_program())
        .args(child.get_args());
    for (key, value) in child.get_envs() {
        shell.env(key, value.unwrap());
    }
    assert!(
        shell
            .uid(HERMES.uid)
            .gid(HERMES.gid)
            .status()
            .unwrap()
            .success()
    );
    assert_skeleton(&tree.path().join("web"), HERMES);
    assert_skeleton(&tree.path().join("web/log"), HERMES);
    let mode = |name: &str| {
        fs::metadata(tree.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("web"), mode("web/run"), mode("web/log/run")),
        (0o755, 0o755, 0o755)
    );
}

/// A slot such as somebody makes who knows nothing of skeletons.
fn plain_slot(tree: &Tree, name: &str, owner: Identity) -> ServiceDir {
    let slot = tree.path().join(name);
    for dir in [slot.clone(), slot.join("log")] {
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("run"), "#!/bin/sh\nexec sleep 100000\n").unwrap();
        fs::set_permissions(dir.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        chown(dir.join("run"), Some(owner.uid), Some(owner.gid)).unwrap();
        chown(&dir, Some(owner.uid), Some(owner.gid)).unwrap();
    }
    tree.scandir.service(&crate::support::name(name))
}

#[test]
fn without_a_skeleton_hermes_is_told_which_fifo_and_whose() {
    let tree = Tree::start_shared();
    let service = plain_slot(&tree, "web", HERMES);
    tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
    until("it is supervised", || {
        service.is_supervised().unwrap() && service.log().is_supervised().unwrap()
    });
    succeeds("denied", &tree, "web");
    assert!(service.is_supervised().unwrap());
}

#[test]
fn a_seeded_slot_of_somebody_elses_is_hermess_to_control() {
    let tree = Tree::start_shared();
    let service = plain_slot(&tree, "web", HERMES);
    service.seed(HERMES).unwrap();
    service.seed(HERMES).unwrap();
    tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
    until("it is supervised", || {
        service.is_supervised().unwrap() && service.log().is_supervised().unwrap()
    });
    assert_skeleton(&service.path(), HERMES);
    succeeds("unregister", &tree, "web");
    assert_eq!(tree.names(), [] as [String; 0]);
}

#[test]
fn running_services_are_repaired_and_s6s_own_are_not() {
    let tree = Tree::start_shared();
    let services = ["web", "s6rc-fdholder", "s6-linux-init-shutdownd"]
        .map(|name| plain_slot(&tree, name, Identity { uid: 0, gid: 0 }));
    tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
    until("they are supervised", || {
        let supervised = |service: &ServiceDir| {
            service.is_supervised().unwrap() && service.log().is_supervised().unwrap()
        };
        services.iter().all(supervised)
    });
    let repaired = tree.scandir.repair_services(HERMES).unwrap();
    assert_eq!(repaired.len(), 1);
    assert_eq!(repaired[0].name, "web");
    assert_eq!(*repaired[0].result.as_ref().unwrap(), 6);
    let again = tree.scandir.repair_services(HERMES).unwrap();
    assert_eq!(*again[0].result.as_ref().unwrap(), 0);
    for (service, uid) in services.iter().zip([HERMES.uid, 0, 0]) {
        let uid_of = |place| fs::metadata(service.path().join(place)).unwrap().uid();
        assert_eq!(uid_of("supervise/control"), uid);
        assert_eq!(uid_of("log/supervise"), uid);
    }
}

#[test]
fn a_repair_follows_no_links_of_others_and_gives_no_second_names_away() {
    let tree = Tree::start_shared();
    let victim = tempfile::tempdir_in("/run").unwrap();
    let fifo = victim.path().join("fifo");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    let service = plain_slot(&tree, "web", HERMES);
    fs::create_dir(service.path().join("supervise")).unwrap();
    fs::hard_link(&fifo, service.path().join("supervise/control")).unwrap();
    let link = tree.path().join("link");
    std::os::unix::fs::symlink(victim.path(), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(HERMES.uid), Some(HERMES.gid)).unwrap();
    let repaired = tree.scandir.repair_services(HERMES).unwrap();
    assert!(matches!(repaired[0].result, Err(FsError::Symlink { .. })));
    assert!(matches!(repaired[1].result, Err(FsError::Linked { .. })));
    assert_eq!(fs::metadata(&fifo).unwrap().uid(), 0);
}

#[test]
fn root_does_not_work_in_a_workshop_of_hermess() {
    let tree = Tree::start_shared();
    let workshop = tree.path().join(".web.s6");
    fs::create_dir(&workshop).unwrap();
    chown(&workshop, Some(HERMES.uid), Some(HERMES.gid)).unwrap();
    let victim = tempfile::tempdir_in("/run").unwrap();
    fs::write(victim.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink(victim.path(), workshop.join("slot")).unwrap();
    let web = name("web");
    let result = Registration::new(&tree.scandir, &web, &definition()).execute();
    let Err(RegistrationError::Foreign { path, owner }) = result else {
        panic!("{result:?}");
    };
    assert_eq!((path, owner.uid), (workshop, HERMES.uid));
    // Its owner may, and no link is followed.
    succeeds("register", &tree, "web");
    assert!(victim.path().join("file").exists());
}
