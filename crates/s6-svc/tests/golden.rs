//! Files that three versions of s6 wrote, and what their own programs said of them. The names tell
//! version and state; `tests/live/golden.rs` makes them.
#![expect(
    clippy::unwrap_used,
    reason = "a golden file that cannot be read ends the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use s6_svc::{DeathTally, Exit, Field, Phase, Report, Signal, Status, Tai64n};

/// The golden files of one kind: their bytes by name without the extension.
fn golden(kind: &str) -> BTreeMap<String, Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let paths = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == kind))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn every_status_file_decodes_to_what_s6_svstat_said() {
    let (files, texts) = (golden("status"), golden("svstat"));
    assert_eq!(files.len(), 27);
    for (name, bytes) in &files {
        let status = Status::decode(bytes).unwrap();
        assert_eq!(status.raw().encode(), *bytes, "{name}");
        let text = String::from_utf8(texts[name].clone()).unwrap();
        let said: BTreeMap<&str, &str> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .collect();
        let report = Report {
            status,
            normally_up: said["normallyup"] == "true",
        };
        let never = status.phase() == Phase::NeverStarted;
        for (field, theirs) in said {
            let ours = report.field(field.parse::<Field>().unwrap(), Tai64n::now());
            // Only 2.15 tells the exit code of a service that never ran from 0.
            let told = name.starts_with("2.15") || field != "exitcode" || !never;
            assert_eq!(
                if told { ours } else { "0".to_owned() },
                theirs,
                "{name}: {field}"
            );
        }
    }
}

#[test]
fn every_state_has_the_phase_that_its_name_says() {
    for (name, bytes) in golden("status") {
        let (version, state) = name.split_once('-').unwrap();
        assert_eq!(
            bytes.len(),
            if version.starts_with("2.13") { 43 } else { 35 },
            "{name}"
        );
        let status = Status::decode(&bytes).unwrap();
        let phase = match status.phase() {
            Phase::NeverStarted => "never-started",
            Phase::Up { ready: true, .. } => "ready",
            Phase::Up { .. } => "up",
            Phase::Finishing { .. } => "finishing",
            _ => "down",
        };
        let expected = match state {
            "paused" | "up-wanted-down" => "ready",
            "down-exit-3" | "down-killed" | "failed-for-good" => "down",
            other => other,
        };
        assert_eq!(phase, expected, "{name}");
        assert_eq!(status.is_paused(), state == "paused", "{name}");
    }
}

#[test]
fn every_death_tally_decodes_to_what_s6_svdt_said() {
    let (files, texts) = (golden("tally"), golden("svdt"));
    assert_eq!(files.len(), 3);
    for (name, bytes) in &files {
        let tally = DeathTally::decode(bytes).unwrap();
        assert_eq!(tally.encode(), *bytes, "{name}");
        let lines = tally.deaths().iter().map(|death| match death.exit {
            Exit::Code(code) => format!("{} exitcode {code}\n", death.at),
            Exit::Signal(signal) => format!("{} signal {}\n", death.at, Signal(signal)),
        });
        assert_eq!(
            lines.collect::<Vec<_>>().concat().into_bytes(),
            texts[name],
            "{name}"
        );
    }
}

#[test]
fn a_stamp_is_the_systems_time_when_it_was_written() {
    // The tests that made these files ran in 2026.
    for (name, bytes) in golden("status") {
        let since = Status::decode(&bytes)
            .unwrap()
            .since()
            .to_system_time()
            .unwrap();
        let years = since
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
            / 31_556_952
            + 1970;
        assert_eq!(years, 2026, "{name}");
    }
}
