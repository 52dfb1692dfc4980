//! Ports over whole lives of homes: they never move, never meet, and fill their range.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use profile_boot::port::{self, PortError};
use profile_boot::profile::ProfileName;
use proptest::prelude::*;
use rstest::rstest;

fn name(text: &str) -> ProfileName {
    text.parse().unwrap()
}

fn add(home: &Path, profile: &str) {
    let directory = home.join("profiles").join(profile);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("SOUL.md"), "").unwrap();
}

/// Computed with Python's hashlib: the first eight bytes of the SHA-256, big-endian, modulo 600.
#[rstest]
#[case("0", 9440)]
#[case("a-b", 9473)]
#[case("a_b", 9438)]
#[case("default2", 9735)]
#[case("gateway", 9638)]
#[case("hermes", 9218)]
#[case("x-", 9483)]
#[case("x_", 9541)]
#[case("1-2_3", 9216)]
#[case("profile-with-a-long-name", 9412)]
#[case(&"z".repeat(100), 9245)]
#[case(&"q".repeat(242), 9733)]
fn the_first_choice_follows_from_the_name(#[case] profile: &str, #[case] expected: u16) {
    assert_eq!(expected, port::first_choice(&name(profile)).number());
}

/// These names all have the last port of the range as their first choice, by Python's hashlib.
#[test]
fn names_that_collide_go_on_past_the_end_of_the_range() {
    let home = tempfile::tempdir().unwrap();
    let ports = ["p398", "p1214", "p1476", "p2016", "p2356"].map(|profile| {
        add(home.path(), profile);
        port::assign(home.path(), &name(profile))
            .unwrap()
            .port
            .number()
    });
    assert_eq!([9799, 9200, 9201, 9202, 9203], ports);
}

#[test]
fn all_six_hundred_are_assigned_and_the_next_profile_is_told() {
    let home = tempfile::tempdir().unwrap();
    let mut ports = BTreeSet::new();
    for profile in (0..600).map(|number| format!("p{number}")) {
        add(home.path(), &profile);
        let assigned = port::assign(home.path(), &name(&profile)).unwrap();
        assert!(ports.insert(assigned.port.number()), "{profile}");
    }
    assert_eq!((9200..9800).collect::<BTreeSet<_>>(), ports);

    add(home.path(), "late");
    let refused = port::assign(home.path(), &name("late")).unwrap_err();
    assert!(matches!(refused, PortError::Full { .. }), "{refused}");
    assert_eq!(
        "profile late: all 600 ports from 9200 on are taken by other profiles",
        refused.to_string()
    );
    // Everybody else keeps theirs, and what a deletion frees is the next one's.
    let freed = port::lookup(home.path(), &name("p77")).unwrap().port;
    fs::remove_dir_all(home.path().join("profiles/p77")).unwrap();
    let late = port::assign(home.path(), &name("late")).unwrap();
    assert_eq!(freed, late.port);
}

#[test]
fn a_copy_gives_way_whatever_its_name_is() {
    let home = tempfile::tempdir().unwrap();
    add(home.path(), "m");
    let original = port::assign(home.path(), &name("m")).unwrap();
    for copy in ["a", "z"] {
        add(home.path(), copy);
        let record = |profile: &str| {
            home.path()
                .join(format!("profiles/{profile}/.gateway-port"))
        };
        fs::copy(record("m"), record(copy)).unwrap();
        assert_eq!(original, port::assign(home.path(), &name("m")).unwrap());
        let assigned = port::assign(home.path(), &name(copy)).unwrap();
        assert_eq!(port::first_choice(&name(copy)), assigned.port);
    }
    assert_eq!(original, port::assign(home.path(), &name("m")).unwrap());
}

#[test]
fn a_renamed_profile_keeps_its_port() {
    let home = tempfile::tempdir().unwrap();
    add(home.path(), "old");
    let before = port::assign(home.path(), &name("old")).unwrap();
    let profiles = home.path().join("profiles");
    fs::rename(profiles.join("old"), profiles.join("new")).unwrap();
    assert_eq!(before, port::assign(home.path(), &name("new")).unwrap());
}

/// As a restored backup makes it: both records say that they are their profile's own.
#[test]
fn a_profile_that_comes_back_after_its_port_was_given_away_meets_nobody() {
    let home = tempfile::tempdir().unwrap();
    for (gone, heir) in [("p398", "p1214"), ("p1214", "p398")] {
        let profiles = home.path().join("profiles");
        add(home.path(), gone);
        let port = port::assign(home.path(), &name(gone)).unwrap();
        fs::rename(profiles.join(gone), home.path().join("backup")).unwrap();
        add(home.path(), heir);
        assert_eq!(port, port::assign(home.path(), &name(heir)).unwrap());
        fs::rename(home.path().join("backup"), profiles.join(gone)).unwrap();
        let after = [gone, heir, gone].map(|profile| {
            let assigned = port::assign(home.path(), &name(profile)).unwrap();
            assigned.port.number()
        });
        assert!(after[0] == after[2] && after[0] != after[1], "{after:?}");
        fs::remove_dir_all(profiles).unwrap();
    }
}

/// Hundreds of gateways start at once: what each reads must not grow with their number.
#[test]
fn a_profile_with_a_port_is_not_held_up_by_what_the_others_say() {
    let home = tempfile::tempdir().unwrap();
    add(home.path(), "a");
    let before = port::assign(home.path(), &name("a")).unwrap();
    add(home.path(), "b");
    let says = format!("API_SERVER_PORT={}\n", before.port);
    fs::write(home.path().join("profiles/b/.env"), says).unwrap();
    assert_eq!(before, port::assign(home.path(), &name("a")).unwrap());
    // Once the other has started there, the port is taken.
    assert!(port::assign(home.path(), &name("b")).unwrap().by_profile);
    assert_ne!(before, port::assign(home.path(), &name("a")).unwrap());
}

/// What stands in the place of the lock keeps nobody waiting.
#[rstest]
#[case::fifo("mkfifo")]
#[case::directory("mkdir")]
#[case::link("ln -s /dev/null")]
fn a_lock_that_is_none_is_an_error_that_names_it(#[case] make: &str) {
    let home = tempfile::tempdir().unwrap();
    add(home.path(), "a");
    let lock = home.path().join("profiles/.gateway-ports.lock");
    let script = format!("{make} {}", lock.display());
    let made = std::process::Command::new("sh")
        .args(["-c", &script])
        .status();
    assert!(made.unwrap().success());
    let refused = port::assign(home.path(), &name("a")).unwrap_err();
    assert!(matches!(refused, PortError::Record { path, .. } if path == lock));
}

/// One thing that happens to a home.
#[derive(Debug, Clone)]
enum Act {
    Create(String),
    Delete(String),
    /// `cp -r`, as cloning a profile with all that it has does.
    Clone(String, String),
    /// A start of its gateway, which asks for its port.
    Start(String),
}

fn act() -> impl Strategy<Value = Act> {
    let profile = || "[a-c][a-d]?";
    prop_oneof![
        profile().prop_map(Act::Create),
        profile().prop_map(Act::Delete),
        (profile(), profile()).prop_map(|(from, to)| Act::Clone(from, to)),
        profile().prop_map(Act::Start),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_order_of_lives_makes_two_share_or_one_move(acts in proptest::collection::vec(act(), 1..40)) {
        let home = tempfile::tempdir().unwrap();
        let at = |profile: &str| home.path().join("profiles").join(profile);
        let mut ports: BTreeMap<String, u16> = BTreeMap::new();
        for act in acts {
            match act {
                Act::Create(profile) if !at(&profile).exists() => {
                    add(home.path(), &profile);
                    let port = port::assign(home.path(), &name(&profile)).unwrap().port;
                    ports.insert(profile, port.number());
                }
                Act::Delete(profile) if at(&profile).exists() => {
                    fs::remove_dir_all(at(&profile)).unwrap();
                    ports.remove(&profile);
                }
                Act::Clone(from, to) if at(&from).exists() && !at(&to).exists() => {
                    add(home.path(), &to);
                    let record = |profile| at(profile).join(".gateway-port");
                    if record(&from).exists() {
                        fs::copy(record(&from), record(&to)).unwrap();
                    }
                }
                Act::Start(profile) if at(&profile).exists() => {
                    let port = port::assign(home.path(), &name(&profile)).unwrap().port.number();
                    prop_assert_eq!(*ports.entry(profile).or_insert(port), port);
                }
                _ => {}
            }
            let distinct: BTreeSet<_> = ports.values().collect();
            prop_assert_eq!(distinct.len(), ports.len());
        }
    }
}
