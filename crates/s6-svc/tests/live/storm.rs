//! Many processes at once on the same names.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use s6_svc::skeleton::Place;
use s6_svc::{Deadline, Registration, RegistrationError, Scandir, ScandirCommand, Unregistration};

use crate::child::{Call, definition};
use crate::support::{HERMES, Random, Tree, many, name, pause, soak};

const PROCESSES: u64 = 32;
const NAMES: u64 = 200;

/// Registers and unregisters at random for as long as it is told.
pub(crate) fn child(scandir: &Scandir, argument: &str) {
    let (seed, seconds) = argument.split_once(' ').unwrap();
    let mut random = Random::new(seed.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let definition = definition().down();
    let (mut calls, mut busy) = (0, 0);
    while Instant::now() < end {
        let name = name(&format!("svc-{}", random.below(NAMES)));
        let deadline = Deadline::after(Duration::from_mins(1));
        let result = if random.below(2) == 0 {
            Registration::new(scandir, &name, &definition)
                .deadline(deadline)
                .execute()
                .map(drop)
        } else {
            Unregistration::new(scandir, &name)
                .deadline(deadline)
                .execute()
                .map(drop)
        };
        calls += 1;
        match result {
            Ok(()) => {}
            Err(RegistrationError::Busy { .. }) => busy += 1,
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
    println!("calls {calls} busy {busy}");
}

#[test]
fn many_processes_on_the_same_names_lose_nothing() {
    let seconds = if soak() { 60 } else { 6 };
    let tree = Tree::start_shared_with(many());
    let children: Vec<_> = (0..PROCESSES)
        .map(|seed| {
            let argument = format!("{seed} {seconds}");
            let call = Call {
                role: "storm",
                scandir: &tree.scandir,
                argument: &argument,
                fault: None,
                user: Some(HERMES),
            };
            let mut command = call.command();
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut rescans, mut seen) = (0_u32, 0_u32);
    while Instant::now() < end {
        tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
        rescans += 1;
        for entry in tree.scandir.entries().unwrap() {
            for service in [entry.service().clone(), entry.service().log()] {
                for place in Place::ALL {
                    let path = service.path().join(place.path());
                    // It may be unregistered meanwhile; if it is there, it is hermes's.
                    if let Ok(meta) = fs::symlink_metadata(&path) {
                        assert_eq!(meta.uid(), HERMES.uid, "{}", path.display());
                        seen += 1;
                    }
                }
            }
        }
        pause();
    }
    let mut calls = 0_u32;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        let after = text.split("calls ").nth(1).unwrap();
        calls += after.split(' ').next().unwrap().parse::<u32>().unwrap();
    }
    println!("{calls} calls, {rescans} rescans, {seen} places seen");
    // What is there is supervised and whole, what is not there has left nothing.
    let entries = tree.scandir.entries().unwrap();
    assert_eq!(tree.names().len(), entries.len(), "{:?}", tree.names());
    for entry in &entries {
        assert!(entry.service().is_supervised().unwrap());
        assert!(entry.service().log().is_supervised().unwrap());
        crate::unprivileged::assert_skeleton(&entry.service().path(), HERMES);
        crate::unprivileged::assert_skeleton(&entry.service().log().path(), HERMES);
    }
    assert_eq!(tree.supervisors().len(), 2 * entries.len());
    for entry in &entries {
        let name = entry.service_name().unwrap();
        Unregistration::new(&tree.scandir, &name).execute().unwrap();
    }
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);
}
