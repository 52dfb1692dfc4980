//! The same question asked of this library and of `s6-svstat`, at random moments of a service's
//! life.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use s6_svc::{Command, Field, Phase, Report, ServiceDir, StatusError, Tai64n};

use crate::rig::Rig;
use crate::support::{Random, Tree, pause, s6, soak, version};

/// What `s6-svstat` of this version is asked.
pub(crate) fn fields() -> Vec<Field> {
    // 2.11 knows no process groups.
    Field::ALL
        .into_iter()
        .filter(|field| *field != Field::Pgid || version() != "2.11")
        .collect()
}

/// What `s6-svstat` says, or its exit code.
pub(crate) fn svstat(service: &ServiceDir, fields: &[Field]) -> Result<Vec<String>, i32> {
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    let path = service.path();
    let output = s6(
        "s6-svstat",
        &["-o", &names.join(","), path.to_str().unwrap()],
    );
    match output.status.code().unwrap() {
        0 => {
            let text = String::from_utf8(output.stdout).unwrap();
            Ok(text.trim_end().split(' ').map(str::to_owned).collect())
        }
        code => Err(code),
    }
}

/// What this version of `s6-svstat` says in a field where it is known to differ from ours.
pub(crate) fn as_this_version_has_it(report: &Report, field: Field, ours: String) -> String {
    let never = report.status.phase() == Phase::NeverStarted;
    // Only 2.15 tells that a service never ran, and only until something is written over it.
    let told = version() == "2.15" && report.status.raw().paused;
    if field == Field::ExitCode && never && !told {
        "0".to_owned()
    } else {
        ours
    }
}

/// One comparison at a moment at which nothing changed; `None` where no such moment was found.
fn compare(service: &ServiceDir, fields: &[Field]) -> Option<Result<Report, ()>> {
    let file = service.path().join("supervise/status");
    let look = || {
        (
            fs::read(&file).ok(),
            service.has_down_file().unwrap(),
            service.is_supervised().unwrap(),
        )
    };
    for _ in 0..20 {
        let before = look();
        let early = Tai64n::now();
        let ours = Report::of(service);
        let theirs = svstat(service, fields);
        let late = Tai64n::now();
        if look() != before {
            continue;
        }
        let report = match (ours, theirs) {
            (Err(StatusError::NotSupervised { .. }), Err(1)) => return Some(Err(())),
            (Ok(report), Ok(theirs)) => {
                for (field, theirs) in fields.iter().zip(theirs) {
                    let ours = [early, late].map(|now| {
                        as_this_version_has_it(&report, *field, report.field(*field, now))
                    });
                    assert!(
                        ours.contains(&theirs),
                        "{}: we {ours:?}, they {theirs}",
                        field.name()
                    );
                }
                report
            }
            (ours, theirs) => panic!("we {ours:?}, they {theirs:?}"),
        };
        return Some(Ok(report));
    }
    None
}

fn act(rig: &Rig, random: &mut Random, may_exit: bool) {
    let commands = [
        Command::Up,
        Command::Up,
        Command::Up,
        Command::UpForGood,
        Command::Down,
        Command::DownForGood,
        Command::Once,
        Command::OnceAtMost,
        Command::OnceAtMostForGood,
        Command::Restart,
        Command::Kill,
        Command::Terminate,
        Command::Pause,
        Command::Pause,
        Command::Continue,
        Command::PauseGroup,
        Command::ContinueGroup,
        Command::KillGroup,
    ];
    match random.below(10) {
        0..5 => {
            let index = usize::try_from(random.below(commands.len() as u64)).unwrap();
            // Nobody may be there to hear it: that is one of the states.
            rig.service.control(&[commands[index]]).ok();
        }
        5 if may_exit && random.below(2) == 0 => {
            // Only one of them ever does: of two that exit within a second, s6-svscan forgets one.
            rig.service.control(&[Command::Exit]).ok();
        }
        5 | 6 => rig.say("ready"),
        7 => match random.below(3) {
            0 => rig.say(&format!("exit {}", random.below(256))),
            1 => rig.say("kill SEGV"),
            _ => rig.say("kill USR1"),
        },
        8 => rig.mode(["fast", "slow", "slow", "fail"][usize::try_from(random.below(4)).unwrap()]),
        _ => rig.release(),
    }
}

/// The kind of state, for counting.
fn kind(seen: &Result<Report, ()>) -> String {
    let Ok(report) = seen else {
        return "unsupervised".to_owned();
    };
    let phase = match report.status.phase() {
        Phase::NeverStarted => "never started",
        Phase::Down => "down",
        Phase::Up { ready: true, .. } => "ready",
        Phase::Up { .. } => "up",
        Phase::Finishing { .. } => "finishing",
        other => panic!("{other:?}"),
    };
    let paused = if report.status.is_paused() {
        ", paused"
    } else {
        ""
    };
    format!(
        "{phase}{paused}, want {:?}, normally up {}",
        report.status.want(),
        report.normally_up
    )
}

/// A kind of state that was not met so far.
fn missing(seen: &BTreeMap<String, u32>) -> Option<&'static str> {
    let kinds = [
        "never started",
        "down, want Up",
        "down, want Down",
        "ready",
        "up,",
        "paused",
        "finishing",
        "unsupervised",
    ];
    kinds
        .into_iter()
        .find(|kind| !seen.keys().any(|seen| seen.contains(kind)))
}

#[test]
fn s6_svstat_and_we_agree_on_every_field_at_every_moment() {
    let goal = if soak() { 4000 } else { 600 };
    let tree = Tree::start();
    let rigs = ["a", "b", "c", "d"].map(|name| Rig::register(&tree, name));
    let fields = fields();
    let mut random = Random::new(20_260_521);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut compared = 0;
    let begin = Instant::now();
    while compared < goal || missing(&seen).is_some() {
        assert!(
            begin.elapsed() < Duration::from_mins(5),
            "{compared} comparisons, none of {:?}",
            missing(&seen)
        );
        let index = usize::try_from(random.below(4)).unwrap();
        act(&rigs[index], &mut random, index == 0);
        for _ in 0..random.below(4) {
            pause();
        }
        for rig in &rigs {
            if let Some(state) = compare(&rig.service, &fields) {
                *seen.entry(kind(&state)).or_default() += 1;
                compared += 1;
            }
        }
    }
    println!(
        "{compared} comparisons of {} kinds of state: {seen:#?}",
        seen.len()
    );
}

#[test]
fn s6_svok_and_we_agree() {
    let tree = Tree::start();
    let rig = Rig::register(&tree, "a");
    let agree = |path: &std::path::Path| {
        let theirs = s6("s6-svok", &[path.to_str().unwrap()]).status.success();
        let ours = ServiceDir::new(path).unwrap().is_supervised().unwrap();
        assert_eq!(ours, theirs, "{}", path.display());
        ours
    };
    assert!(agree(&rig.service.path()));
    fs::create_dir(tree.path().join(".empty")).unwrap();
    assert!(!agree(&tree.path().join(".empty")));
    assert!(!agree(&tree.path().join("none")));
}

#[test]
fn s6_svdt_and_we_agree_on_every_death() {
    let tree = Tree::start();
    let rig = Rig::register(&tree, "a");
    for death in ["exit 0", "exit 3", "kill SEGV", "kill KILL", "exit 255"] {
        rig.service.control(&[Command::Once]).unwrap();
        rig.until("it is up", s6_svc::Status::is_up);
        rig.say(death);
        rig.until("it is down", s6_svc::Status::is_finished);
    }
    let path = rig.service.path();
    let theirs = String::from_utf8(s6("s6-svdt", &[path.to_str().unwrap()]).stdout).unwrap();
    let tally = rig.service.death_tally().unwrap();
    let ours = tally.deaths().iter().map(|death| match death.exit {
        s6_svc::Exit::Code(code) => format!("{} exitcode {code}\n", death.at),
        s6_svc::Exit::Signal(signal) => format!("{} signal {}\n", death.at, s6_svc::Signal(signal)),
    });
    assert_eq!(ours.collect::<String>(), theirs);
    assert_eq!(tally.deaths().len(), 5);
}
