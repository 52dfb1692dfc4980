//! Each command sent by this library to one service and by `s6-svc` to its twin has the same effect
//! on both.

use std::collections::BTreeSet;
use std::fs;

use s6_svc::{
    Command, Deadline, Goal, Phase, Program, Registration, ScandirCommand, ServiceDir, Want,
};

use crate::support::{Tree, name, s6, script, until, version};

/// Writes the name of each signal that it gets; SIGTERM ends it.
const RUN: &str = r#"for s in ALRM ABRT QUIT HUP INT USR1 USR2 CONT WINCH; do trap "echo $s >>seen" $s; done
trap 'echo TERM >>seen; exit 0' TERM
echo >&3
while :; do sleep 1000 & wait $!; done"#;

/// What a command has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that can be seen"
)]
struct Effect {
    up: bool,
    want: Want,
    paused: bool,
    down_file: bool,
    died: bool,
    supervised_anew: bool,
    seen: BTreeSet<String>,
}

struct Twin {
    service: ServiceDir,
    supervisor: Option<u32>,
}

impl Twin {
    fn register(tree: &Tree, text: &str, up: bool) -> Self {
        let mut definition = script(RUN).notification_fd(3).unwrap();
        definition = definition.finish(Program::Script("#!/bin/sh\n".to_owned()));
        let definition = if up { definition } else { definition.down() };
        Registration::new(&tree.scandir, &name(text), &definition)
            .execute()
            .unwrap();
        let service = tree.service(text);
        if up {
            let deadline = Deadline::after(std::time::Duration::from_secs(20));
            service
                .control_and_wait(&[], Goal::Ready, deadline)
                .unwrap();
            // So that taking it away can be seen.
            fs::write(service.path().join("down"), "").unwrap();
        }
        let supervisor = service.supervisor().unwrap().unwrap().pid();
        Self {
            service,
            supervisor,
        }
    }

    fn effect(&self) -> Option<Effect> {
        let status = self.service.status().ok()?;
        let seen = fs::read_to_string(self.service.path().join("seen")).unwrap_or_default();
        let mut seen: BTreeSet<String> = seen.lines().map(str::to_owned).collect();
        if seen.contains("TERM") {
            // SIGCONT is sent after SIGTERM, to a process that may be gone.
            seen.remove("CONT");
        }
        let died = !self.service.death_tally().ok()?.deaths().is_empty();
        Some(Effect {
            up: matches!(status.phase(), Phase::Up { .. }),
            want: status.want(),
            paused: status.is_paused(),
            down_file: self.service.has_down_file().ok()?,
            died,
            supervised_anew: self.service.supervisor().ok()??.pid() != self.supervisor,
            seen,
        })
    }
}

/// What each command does to a service that is up and wanted up, with a `down` file.
fn expected_up(command: Command) -> Effect {
    let old = version() == "2.11";
    let mut effect = Effect {
        up: true,
        want: Want::Up,
        paused: false,
        down_file: true,
        died: false,
        supervised_anew: false,
        seen: BTreeSet::new(),
    };
    let mut sees = |signal: &str| {
        effect.seen.insert(signal.to_owned());
    };
    match command {
        Command::Alarm => sees("ALRM"),
        Command::Abort => sees("ABRT"),
        Command::Quit => sees("QUIT"),
        Command::Hangup => sees("HUP"),
        Command::Interrupt => sees("INT"),
        Command::User1 => sees("USR1"),
        Command::User2 => sees("USR2"),
        Command::Continue => sees("CONT"),
        Command::WindowChange => sees("WINCH"),
        Command::ContinueGroup if !old => sees("CONT"),
        Command::Terminate | Command::Restart => {
            sees("TERM");
            effect.died = true;
        }
        Command::Kill => effect.died = true,
        Command::KillGroup => effect.died = !old,
        Command::Pause => effect.paused = true,
        Command::PauseGroup => effect.paused = !old,
        Command::Down | Command::DownForGood => {
            sees("TERM");
            (effect.up, effect.want, effect.died) = (false, Want::Down, true);
        }
        // s6-supervise 2.15.1.0 reads one letter too few of its list, and Q is the last.
        Command::OnceAtMostForGood if crate::rig::package_version() == "2.15.1.0" => {}
        Command::Once | Command::OnceAtMost | Command::OnceAtMostForGood => {
            effect.want = Want::Down;
        }
        Command::UpForGood => effect.down_file = false,
        Command::Up | Command::Exit | Command::ContinueGroup => {}
    }
    effect
}

/// What each command does to a service that never ran and has a `down` file.
fn expected_down(command: Command) -> Effect {
    let mut effect = Effect {
        up: false,
        want: Want::Down,
        paused: false,
        down_file: true,
        died: false,
        supervised_anew: false,
        seen: BTreeSet::new(),
    };
    match command {
        Command::Once => effect.up = true,
        Command::Up => (effect.up, effect.want) = (true, Want::Up),
        Command::UpForGood => (effect.up, effect.want, effect.down_file) = (true, Want::Up, false),
        Command::Exit => effect.supervised_anew = true,
        _ => {}
    }
    effect
}

fn each_command_has_the_same_effect(up: bool) {
    let tree = Tree::start_with(|_| {}, crate::support::many());
    let twins: Vec<_> = Command::ALL
        .iter()
        .enumerate()
        .map(|(index, command)| {
            let ours = Twin::register(&tree, &format!("ours-{index}"), up);
            let theirs = Twin::register(&tree, &format!("theirs-{index}"), up);
            (*command, ours, theirs)
        })
        .collect();
    for (command, ours, theirs) in &twins {
        ours.service.control(&[*command]).unwrap();
        if *command == Command::Exit && !up {
            // s6-svscan forgets one of two supervisors that exit within a second.
            until("its supervisor is another", || {
                ours.effect().is_some_and(|effect| effect.supervised_anew)
            });
        }
        let path = theirs.service.path();
        let output = s6("s6-svc", &[&format!("-{command}"), path.to_str().unwrap()]);
        // An s6-svc that does not know it yet says so; the byte has no effect either.
        let unknown = version() == "2.11" && "PCK".contains(&command.to_string());
        assert_eq!(output.status.success(), !unknown, "{command}");
    }
    for (command, ours, theirs) in &twins {
        let expected = if up {
            expected_up(*command)
        } else {
            expected_down(*command)
        };
        let mut last = (None, None);
        until(
            &format!("{command} has its effect on both: {expected:?}"),
            || {
                let effects = (ours.effect(), theirs.effect());
                let reached =
                    effects.0.as_ref() == Some(&expected) && effects.1.as_ref() == Some(&expected);
                if !reached && effects != last {
                    eprintln!("{command}: {effects:?}");
                    last = effects;
                }
                reached
            },
        );
        if *command == Command::Exit {
            continue;
        }
        // A FIFO is read in order: what follows has an effect only after what went before.
        let before = expected.clone();
        for twin in [ours, theirs] {
            let mark = if before.want == Want::Up {
                Command::OnceAtMost
            } else {
                Command::Up
            };
            if !before.paused {
                twin.service.control(&[mark]).unwrap();
                let want = if mark == Command::Up {
                    Want::Up
                } else {
                    Want::Down
                };
                until("what followed has its effect", || {
                    twin.effect().is_some_and(|effect| effect.want == want)
                });
                let now = twin.effect().unwrap();
                assert_eq!(
                    (now.down_file, now.paused),
                    (before.down_file, before.paused),
                    "{command}"
                );
                assert!(now.seen.is_superset(&before.seen), "{command}");
            }
        }
    }
}

#[test]
fn each_command_has_s6_svcs_effect_on_a_service_that_is_up() {
    each_command_has_the_same_effect(true);
}

#[test]
fn each_command_has_s6_svcs_effect_on_a_service_that_is_down() {
    each_command_has_the_same_effect(false);
}

#[test]
fn commands_to_the_scanner_have_s6_svscanctls_effect() {
    for command in [
        ScandirCommand::Terminate,
        ScandirCommand::Interrupt,
        ScandirCommand::Quit,
    ] {
        let tree = Tree::start();
        Registration::new(&tree.scandir, &name("a"), &crate::support::sleeper())
            .execute()
            .unwrap();
        tree.scandir.control(&[command]).unwrap();
        until("everything is down", || {
            !tree.scandir.is_scanned().unwrap() && tree.supervisors().is_empty()
        });
    }
    let tree = Tree::start();
    Registration::new(&tree.scandir, &name("a"), &crate::support::sleeper())
        .execute()
        .unwrap();
    fs::rename(tree.path().join("a"), tree.path().join(".a")).unwrap();
    tree.scandir
        .control(&[ScandirCommand::Reap, ScandirCommand::RescanAndPrune])
        .unwrap();
    until("what is gone is ended", || tree.supervisors().is_empty());
    assert!(tree.scandir.is_scanned().unwrap());
    tree.scandir.control(&[ScandirCommand::Abort]).unwrap();
    until("the scanner is gone", || {
        !tree.scandir.is_scanned().unwrap()
    });
}
