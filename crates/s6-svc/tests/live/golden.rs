//! Files as this version of s6 writes them, with what it says of them. With `TALARIA_GOLDEN` naming
//! a directory, they are kept there, for the tests that run everywhere.

use std::fs;
use std::path::PathBuf;

use s6_svc::{Command, Field, Report, Status, Tai64n};

use crate::differential::{as_this_version_has_it, svstat};
use crate::rig::{Rig, package_version};
use crate::support::{Tree, s6, version};

/// The fields that do not depend on when they are asked for.
fn lasting() -> Vec<Field> {
    let all = crate::differential::fields().into_iter();
    all.filter(|field| !matches!(field, Field::UpDownFor | Field::ReadyFor))
        .collect()
}

fn keep(rig: &Rig, state: &str) {
    let fields = lasting();
    let bytes = fs::read(rig.service.path().join("supervise/status")).unwrap();
    let theirs = svstat(&rig.service, &fields).unwrap();
    let report = Report::of(&rig.service).unwrap();
    let lines = fields.iter().zip(&theirs);
    let lines: Vec<_> = lines
        .map(|(field, value)| format!("{} {value}\n", field.name()))
        .collect();
    let text = lines.concat();
    assert_eq!(bytes, report.status.raw().encode(), "{state}");
    assert_eq!(bytes.len(), if version() == "2.13" { 43 } else { 35 });
    for (field, theirs) in fields.iter().zip(theirs) {
        let ours = report.field(*field, Tai64n::now());
        assert_eq!(
            as_this_version_has_it(&report, *field, ours),
            theirs,
            "{state}"
        );
    }
    if let Some(directory) = std::env::var_os("TALARIA_GOLDEN").map(PathBuf::from) {
        let file = |kind: &str| directory.join(format!("{}-{state}.{kind}", package_version()));
        fs::write(file("status"), bytes).unwrap();
        fs::write(file("svstat"), text).unwrap();
    }
}

#[test]
fn the_states_of_a_service_are_kept_as_s6_writes_them() {
    let tree = Tree::start();
    let rig = Rig::register(&tree, "a");
    let control = |command| rig.service.control(&[command]).unwrap();
    keep(&rig, "never-started");
    control(Command::Up);
    rig.until("up", Status::is_up);
    keep(&rig, "up");
    rig.say("ready");
    rig.until("ready", Status::is_ready);
    keep(&rig, "ready");
    control(Command::Pause);
    rig.until("paused", Status::is_paused);
    keep(&rig, "paused");
    control(Command::Continue);
    rig.until("not paused", |status| !status.is_paused());
    control(Command::OnceAtMost);
    rig.until("wanted down", |status| status.want() == s6_svc::Want::Down);
    keep(&rig, "up-wanted-down");
    rig.mode("slow");
    rig.say("exit 3");
    rig.until("finishing", |status| !status.is_up());
    keep(&rig, "finishing");
    rig.release();
    rig.until("down", Status::is_finished);
    keep(&rig, "down-exit-3");
    rig.mode("fast");
    control(Command::Once);
    rig.until("up", Status::is_up);
    control(Command::Kill);
    rig.until("down", Status::is_finished);
    keep(&rig, "down-killed");
    rig.mode("fail");
    control(Command::Up);
    rig.until("up", Status::is_up);
    rig.say("exit 78");
    rig.until("failed for good", |status| {
        status.is_finished() && status.want() == s6_svc::Want::Down
    });
    keep(&rig, "failed-for-good");
    let tally = fs::read(rig.service.path().join("supervise/death_tally")).unwrap();
    assert_eq!(tally, rig.service.death_tally().unwrap().encode());
    if let Some(directory) = std::env::var_os("TALARIA_GOLDEN").map(PathBuf::from) {
        let path = rig.service.path();
        let text = s6("s6-svdt", &[path.to_str().unwrap()]).stdout;
        fs::write(
            directory.join(format!("{}-deaths.tally", package_version())),
            tally,
        )
        .unwrap();
        fs::write(
            directory.join(format!("{}-deaths.svdt", package_version())),
            text,
        )
        .unwrap();
    }
}
