//! Processes killed before each step that changes something.

use std::os::unix::process::ExitStatusExt;

use s6_svc::skeleton::Identity;
use s6_svc::{Deadline, Registration, ScandirCommand};

use crate::child::Call;
use crate::support::{HERMES, Tree, name, sleeper};

/// Has the scanner scan, and waits until it has: a service that was not there before is supervised
/// then.
fn scan(tree: &Tree, round: usize) {
    tree.scandir.control(&[ScandirCommand::Rescan]).unwrap();
    let sentinel = format!("sentinel-{round}");
    Registration::new(&tree.scandir, &name(&sentinel), &sleeper().down())
        .execute()
        .unwrap();
}

/// What is supervised is a whole service, with its whole skeleton, in the owner's hands.
fn nothing_half_made_is_supervised(tree: &Tree, owner: Identity) {
    for pid in tree.supervisors() {
        let Ok(cwd) = std::fs::read_link(format!("/proc/{pid}/cwd")) else {
            continue;
        };
        let text = cwd.display().to_string();
        assert!(
            !text.contains(".s6/slot"),
            "supervised in the workshop: {text}"
        );
        // It has been forked and has not come to its slot yet.
        let is_passing = ["sentinel", ".s6/gone", "s6-svc-wake-"]
            .iter()
            .any(|part| text.contains(part));
        if cwd == tree.path() || is_passing {
            continue;
        }
        assert!(cwd.join("run").exists(), "{text}");
        crate::unprivileged::assert_skeleton(&cwd, owner);
    }
}

fn kill_at_every_step(tree: &Tree, user: Option<Identity>) -> (usize, usize) {
    let owner = user.unwrap_or(Identity { uid: 0, gid: 0 });
    let call = |role, fault| Call {
        role,
        scandir: &tree.scandir,
        argument: "web",
        fault,
        user,
    };
    let succeed = |role| {
        let output = call(role, None).run();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let mut counts = Vec::new();
    for role in ["register", "unregister"] {
        let mut fault = 0;
        loop {
            if role == "unregister" {
                succeed("register");
            }
            let output = call(role, Some(fault)).run();
            let killed = output.status.signal() == Some(9);
            assert!(killed || output.status.success(), "{:?}", output.status);
            scan(tree, 1000 * counts.len() + fault);
            nothing_half_made_is_supervised(tree, owner);
            // The same call again.
            succeed(role);
            let service = tree.service("web");
            assert_eq!(
                service.is_supervised().unwrap(),
                role == "register",
                "step {fault}"
            );
            if role == "register" {
                assert!(service.log().is_supervised().unwrap());
                nothing_half_made_is_supervised(tree, owner);
                succeed("unregister");
            }
            let left: Vec<_> = tree
                .names()
                .into_iter()
                .filter(|name| !name.starts_with("sentinel"))
                .collect();
            assert_eq!(left, [] as [String; 0], "after {role}, step {fault}");
            if !killed {
                break;
            }
            fault += 1;
        }
        counts.push(fault);
    }
    (counts[0], counts[1])
}

#[test]
fn killed_at_any_step_as_root_the_same_call_again_succeeds() {
    let tree = Tree::start_with(|_| {}, crate::support::many());
    let (register, unregister) = kill_at_every_step(&tree, None);
    println!("killed at {register} steps of a registration, {unregister} of an unregistration");
    assert!(register > 30 && unregister > 20);
}

#[test]
fn killed_at_any_step_as_hermes_under_root_the_same_call_again_succeeds() {
    let tree = Tree::start_shared();
    let (register, unregister) = kill_at_every_step(&tree, Some(HERMES));
    assert!(register > 30 && unregister > 20);
}

#[test]
fn a_sweep_completes_what_was_killed() {
    let tree = Tree::start();
    for (role, faults) in [("register", 40), ("unregister", 20)] {
        for fault in (0..faults).step_by(3) {
            let call = |role, fault| {
                Call {
                    role,
                    scandir: &tree.scandir,
                    argument: "web",
                    fault,
                    user: None,
                }
                .run()
            };
            if role == "unregister" {
                assert!(call("register", None).status.success());
            }
            call(role, Some(fault));
            let swept = tree
                .scandir
                .sweep(Deadline::after(std::time::Duration::from_secs(20)));
            assert!(swept.unwrap().iter().all(|swept| swept.result.is_ok()));
            let hidden = tree.names().into_iter().find(|name| name.starts_with('.'));
            assert_eq!(hidden, None, "{role}, step {fault}");
            assert!(call("unregister", None).status.success());
        }
    }
    assert_eq!(tree.supervisors(), []);
}
