//! Registering, using and unregistering a service.

use std::time::Duration;

use s6_svc::{
    Command, Deadline, Goal, Phase, Registered, Registration, RegistrationError, Scandir,
    Unregistered, Unregistration, Want,
};

use crate::support::{Tree, logger, name, script, sleeper};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn a_service_is_registered_used_and_unregistered() {
    let tree = Tree::start();
    let web = name("web");
    let definition = sleeper().log(logger()).unwrap();
    let register = || Registration::new(&tree.scandir, &web, &definition).deadline(soon());
    assert_eq!(register().execute().unwrap(), Registered::New);
    let service = tree.service("web");
    assert!(service.is_supervised().unwrap());
    assert!(service.log().is_supervised().unwrap());
    assert!(service.supervisor().unwrap().unwrap().pid().is_some());
    service
        .control_and_wait(&[Command::Up], Goal::Up, soon())
        .unwrap();
    let first = service.status().unwrap().pid().unwrap();
    service
        .control_and_wait(&[Command::Restart], Goal::Restarted, soon())
        .unwrap();
    assert_ne!(service.status().unwrap().pid(), Some(first));
    service
        .control_and_wait(&[Command::Down], Goal::Finished, soon())
        .unwrap();
    let status = service.status().unwrap();
    assert_eq!((status.phase(), status.want()), (Phase::Down, Want::Down));
    assert_eq!(service.death_tally().unwrap().deaths().len(), 2);
    assert_eq!(register().execute().unwrap(), Registered::Already);
    let unregister = || {
        Unregistration::new(&tree.scandir, &web)
            .deadline(soon())
            .execute()
    };
    assert_eq!(unregister().unwrap(), Unregistered::Removed);
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
    assert_eq!(unregister().unwrap(), Unregistered::Absent);
}

#[test]
fn a_service_registered_down_is_not_started() {
    let tree = Tree::start();
    let web = name("web");
    Registration::new(&tree.scandir, &web, &sleeper().down())
        .deadline(soon())
        .execute()
        .unwrap();
    let status = tree.service("web").status().unwrap();
    assert_eq!(
        (status.phase(), status.want()),
        (Phase::NeverStarted, Want::Down)
    );
}

#[test]
fn another_service_of_the_same_name_is_refused() {
    let tree = Tree::start();
    let web = name("web");
    Registration::new(&tree.scandir, &web, &sleeper())
        .execute()
        .unwrap();
    let result = Registration::new(&tree.scandir, &web, &script("exec cat")).execute();
    let run = tree.path().join("web/run");
    assert!(matches!(result, Err(RegistrationError::Different { path }) if path == run));
    let finish = sleeper().finish(s6_svc::Program::Script("#!/bin/sh\n".to_owned()));
    let result = Registration::new(&tree.scandir, &web, &finish).execute();
    let finish = tree.path().join("web/finish");
    assert!(matches!(result, Err(RegistrationError::Different { path }) if path == finish));
    assert!(tree.service("web").is_supervised().unwrap());
}

#[test]
fn a_service_that_ignores_the_signal_is_killed() {
    let tree = Tree::start();
    let web = name("web");
    let stubborn = script("trap '' TERM HUP INT; while :; do sleep 1000; done");
    Registration::new(&tree.scandir, &web, &stubborn)
        .execute()
        .unwrap();
    tree.service("web")
        .control_and_wait(&[Command::Up], Goal::Up, soon())
        .unwrap();
    Unregistration::new(&tree.scandir, &web)
        .grace(Duration::from_millis(50))
        .deadline(soon())
        .execute()
        .unwrap();
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}

#[test]
fn a_child_that_holds_the_log_pipe_does_not_hold_the_unregistration() {
    let tree = Tree::start();
    let web = name("web");
    // It leaves its session and keeps the pipe to the logger open.
    let leaky = script("setsid sleep 100000 & exec sleep 100000")
        .log(logger())
        .unwrap();
    Registration::new(&tree.scandir, &web, &leaky)
        .execute()
        .unwrap();
    tree.service("web")
        .control_and_wait(&[Command::Up], Goal::Up, soon())
        .unwrap();
    Unregistration::new(&tree.scandir, &web)
        .deadline(soon())
        .execute()
        .unwrap();
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}

#[test]
fn a_service_without_a_scanner_is_unregistered_all_the_same() {
    let mut tree = Tree::start();
    let web = name("web");
    let definition = sleeper().log(logger()).unwrap();
    Registration::new(&tree.scandir, &web, &definition)
        .execute()
        .unwrap();
    tree.kill_scanner();
    Unregistration::new(&tree.scandir, &web)
        .deadline(soon())
        .execute()
        .unwrap();
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
    let result = Registration::new(&tree.scandir, &web, &definition).execute();
    assert!(matches!(result, Err(RegistrationError::NotScanned { .. })));
    assert_eq!(tree.names(), [] as [String; 0]);
}

#[test]
fn a_registration_that_the_scanner_has_no_room_for_leaves_nothing() {
    // s6-svscan takes four services at least: two with loggers.
    let limit = if crate::support::version() == "2.11" {
        ["-c", "2"]
    } else {
        ["-C", "4"]
    };
    let tree = Tree::start_with(|_| {}, &limit);
    let definition = sleeper().log(logger()).unwrap();
    let register = |text: &str, time| {
        let deadline = Deadline::after(Duration::from_millis(time));
        Registration::new(&tree.scandir, &name(text), &definition)
            .deadline(deadline)
            .execute()
    };
    register("a", 10000).unwrap();
    register("b", 10000).unwrap();
    let result = register("c", 500);
    assert!(
        matches!(result, Err(RegistrationError::NotStarted { .. })),
        "{result:?}"
    );
    assert_eq!(tree.names(), ["a", "b"]);
}

#[test]
fn a_published_slot_waits_for_the_scanner() {
    let tree = Tree::start();
    let web = name("web");
    Registration::new(&tree.scandir, &web, &sleeper())
        .publish()
        .unwrap();
    assert!(!tree.service("web").is_supervised().unwrap());
    let registered = Registration::new(&tree.scandir, &web, &sleeper())
        .execute()
        .unwrap();
    assert_eq!(registered, Registered::Already);
    assert!(tree.service("web").is_supervised().unwrap());
}

#[test]
fn a_slot_that_is_a_link_is_refused() {
    let tree = Tree::start();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), tree.path().join("web")).unwrap();
    let web = name("web");
    let result = Registration::new(&tree.scandir, &web, &sleeper()).execute();
    assert!(matches!(
        result,
        Err(RegistrationError::Fs(s6_svc::FsError::Symlink { .. }))
    ));
    let result = Unregistration::new(&tree.scandir, &web).execute();
    assert!(matches!(
        result,
        Err(RegistrationError::Fs(s6_svc::FsError::Symlink { .. }))
    ));
    assert_eq!(tree.names(), ["web"]);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_scanner_is_told_apart_from_none() {
    let tree = Tree::start();
    assert!(tree.scandir.scanner().unwrap().unwrap().pid().is_some());
    let other = tempfile::tempdir().unwrap();
    assert!(!Scandir::new(other.path()).unwrap().is_scanned().unwrap());
}
