//! Services that `s6-svscan` has found and does not start, however often it scans: see the module
//! `wake` of the library. 2.11 starts them all with the next scan.

use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use s6_svc::skeleton::Identity;
use s6_svc::{
    Action, Deadline, Definition, Registered, Registration, Scandir, ScandirCommand, Unregistration,
};

use crate::child::{Call, definition};
use crate::support::{HERMES, Tree, kill, logger, name, pause, sleeper, soak, until, version};

fn soon() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

fn register(scandir: &Scandir, text: &str, definition: &Definition) -> Registered {
    Registration::new(scandir, &name(text), definition)
        .deadline(soon())
        .execute()
        .unwrap()
}

/// Has the scanner scan once, and waits until it has read the directory.
fn scan(tree: &Tree) {
    let closes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&closes, tree.path(), WatchFlags::CLOSE_NOWRITE).unwrap();
    tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
    until("the directory has been read", || {
        rustix::io::read(&closes, &mut [0; 256]).is_ok()
    });
}

/// Whether what was made last is read first.
fn reads_backwards(tree: &Tree) -> bool {
    let files = ["1", "2"].map(|name| tree.path().join(name));
    for file in &files {
        std::fs::write(file, "").unwrap();
    }
    let names = std::fs::read_dir(tree.path()).unwrap();
    let first = names
        .map(|entry| entry.unwrap().path())
        .find(|path| files.contains(path));
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    first.as_ref() == files.last()
}

/// Publishes slots and has a scan meet them all and give up afterwards: a link that leads nowhere
/// is to it what a slot is that somebody takes away meanwhile. From 2.12 on, they have no
/// supervisor then, and the next scans do not change that.
fn forget(tree: &Tree, names: &[String], definition: &Definition, user: Option<Identity>) {
    // 2.15 listens before it has removed the links that lead nowhere, and then scans by itself.
    let first = name("first");
    register(&tree.scandir, "first", &sleeper().down());
    Unregistration::new(&tree.scandir, &first)
        .execute()
        .unwrap();
    let link = tree.path().join("link");
    let backwards = reads_backwards(tree);
    if backwards {
        symlink("nowhere", &link).unwrap();
    }
    for text in names {
        let service = name(text);
        let call = Registration::new(&tree.scandir, &service, definition);
        match user {
            None => call.publish().unwrap(),
            Some(user) => call.owner(user).publish().unwrap(),
        };
    }
    if !backwards {
        symlink("nowhere", &link).unwrap();
    }
    scan(tree);
    std::fs::remove_file(link).unwrap();
    for _ in 0..2 {
        scan(tree);
    }
    if version() != "2.11" {
        assert_eq!(tree.supervisors(), [], "s6-svscan has become better");
    }
}

fn assert_whole(tree: &Tree, names: &[String], parts: usize) {
    assert_eq!(tree.names(), names);
    for text in names {
        assert!(tree.service(text).is_supervised().unwrap(), "{text}");
    }
    // A lock goes a moment before its process.
    until("no supervisor is left over", || {
        tree.supervisors().len() == parts * names.len()
    });
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("svc-{number}")).collect()
}

#[test]
fn what_a_disturbed_scan_has_forgotten_is_registered_all_the_same() {
    let alone = sleeper().down();
    let logged = sleeper().down().log(logger().down()).unwrap();
    for (definition, parts) in [(alone, 1), (logged, 2)] {
        let tree = Tree::start();
        let names = numbered(10);
        forget(&tree, &names, &definition, None);
        let mut wakes = 0;
        for text in &names {
            let service = name(text);
            let call = Registration::new(&tree.scandir, &service, &definition)
                .deadline(soon())
                .on_step(|step| {
                    let file = step.path.file_name().unwrap().to_str().unwrap();
                    let is_wake = file.starts_with("s6-svc-wake-");
                    wakes += u32::from(is_wake && step.action == Action::Rename);
                });
            assert_eq!(call.execute().unwrap(), Registered::Already);
        }
        // The first wakes them all.
        assert_eq!(wakes > 0, version() != "2.11", "{wakes} wakes");
        assert_whole(&tree, &names, parts);
    }
}

#[test]
fn what_died_young_is_supervised_again_when_it_is_registered_again() {
    let tree = Tree::start();
    let names = numbered(3);
    for text in &names {
        register(&tree.scandir, text, &sleeper().down());
        // Their seconds do not end together.
        for _ in 0..10 {
            pause();
        }
    }
    // All at once, as an unprivileged `kill -9 -1` would.
    let killed = tree.supervisors();
    for pid in &killed {
        kill(*pid);
    }
    // Until the kernel has ended it, a killed process still holds its lock.
    until("the killed are gone", || {
        let left = tree.supervisors();
        !killed.iter().any(|pid| left.contains(pid))
    });
    for text in &names {
        let registered = register(&tree.scandir, text, &sleeper().down());
        assert_eq!(registered, Registered::Already);
        assert!(tree.service(text).is_supervised().unwrap());
    }
    until("nothing is left over", || {
        tree.names() == names && tree.supervisors().len() == names.len()
    });
}

fn killed_at_every_step(user: Option<Identity>) -> usize {
    let web = ["web".to_owned()];
    let mut fault = 0;
    loop {
        let tree = match user {
            None => Tree::start(),
            Some(_) => Tree::start_shared(),
        };
        forget(&tree, &web, &definition(), user);
        let call = |fault| {
            let call = Call {
                role: "register",
                scandir: &tree.scandir,
                argument: "web",
                fault,
                user,
            };
            call.run()
        };
        let killed = call(Some(fault)).status.signal() == Some(9);
        let output = call(None);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "step {fault}: {errors}");
        assert_whole(&tree, &web, 2);
        let entries = tree.scandir.entries().unwrap();
        assert_eq!(entries.len(), 1, "step {fault}");
        if !killed {
            return fault;
        }
        fault += if soak() { 1 } else { 7 };
    }
}

#[test]
fn killed_at_any_step_of_waking_the_same_call_again_succeeds() {
    let least = if version() == "2.11" { 3 } else { 20 };
    for user in [None, Some(HERMES)] {
        let steps = killed_at_every_step(user);
        assert!(steps > least, "{steps}");
    }
}
