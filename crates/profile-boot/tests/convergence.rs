//! Reconciliation from whatever a home and a scandir can come to hold.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use profile_boot::profile::ProfileName;
use profile_boot::supervisors::Supervisors;
use profile_boot::{reconcile, slot};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use s6_svc::Want;

/// What may stand where a file is expected.
#[derive(Debug, Clone)]
enum Place {
    Nothing,
    File(&'static str),
    Fifo,
    Link,
    Huge,
}

impl Place {
    fn make(&self, path: &Path) {
        match self {
            Self::Nothing => {}
            Self::File(text) => fs::write(path, text).unwrap(),
            Self::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            Self::Link => symlink("/nowhere", path).unwrap(),
            Self::Huge => fs::File::create(path).unwrap().set_len(2 << 30).unwrap(),
        }
    }
}

fn place(texts: Vec<&'static str>) -> impl Strategy<Value = Place> {
    prop_oneof![
        2 => Just(Place::Nothing),
        8 => proptest::sample::select(texts).prop_map(Place::File),
        1 => Just(Place::Fifo),
        1 => Just(Place::Link),
        1 => Just(Place::Huge),
    ]
}

fn state() -> impl Strategy<Value = Place> {
    place(vec![
        "",
        "{",
        "[1]",
        "{}",
        r#"{"gateway_state":"running"}"#,
        r#"{"gateway_state":"draining"}"#,
        r#"{"gateway_state":"starting"}"#,
        r#"{"gateway_state":"running","desired_state":"stopped"}"#,
        r#"{"gateway_state":"startup_failed","desired_state":"running"}"#,
    ])
}

/// A slot as somebody left it.
#[derive(Debug, Clone)]
enum Slot {
    None,
    Ours(Want),
    /// The agent's own command line writes scripts.
    Scripts,
    /// Half of one, by someone who was killed.
    Half,
}

#[derive(Debug, Clone)]
struct One {
    state: Place,
    pid: Place,
    slot: Slot,
    down: Place,
    staging: Place,
}

fn one() -> impl Strategy<Value = One> {
    let slot = prop_oneof![
        Just(Slot::None),
        Just(Slot::Ours(Want::Up)),
        Just(Slot::Ours(Want::Down)),
        Just(Slot::Scripts),
        Just(Slot::Half),
    ];
    let (pid, down, staging) = (place(vec!["1"]), place(vec![""]), place(vec!["x"]));
    (state(), pid, slot, down, staging).prop_map(|(state, pid, slot, down, staging)| One {
        state,
        pid,
        slot,
        down,
        staging,
    })
}

fn make(one: &One, profile: &ProfileName, home: &Path, scandir: &Path) {
    let directory = profile.directory(home);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("SOUL.md"), "").unwrap();
    one.state.make(&directory.join("gateway_state.json"));
    one.pid.make(&directory.join("gateway.pid"));
    let path = scandir.join(slot::name(profile));
    match one.slot {
        Slot::None => {
            return one
                .staging
                .make(&scandir.join(format!(".{}.tmp", slot::name(profile))));
        }
        Slot::Ours(want) => slot::publish(scandir, profile, want, Supervisors::Ours).unwrap(),
        Slot::Scripts => {
            fs::create_dir_all(path.join("log")).unwrap();
            fs::write(path.join("run"), "#!/bin/sh\n").unwrap();
        }
        Slot::Half => fs::create_dir(&path).unwrap(),
    }
    if !path.join("down").exists() {
        one.down.make(&path.join("down"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn it_converges_in_one_pass(
        default in one(),
        profiles in proptest::collection::btree_map("[a-z]{1,8}", one(), 0..5),
        commanded in proptest::option::of("[a-z]{1,2}|default"),
    ) {
        let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (home, scandir) = (home.path(), scandir.path());
        let commanded: Option<ProfileName> = commanded.map(|name| name.parse().unwrap());
        let commanded = commanded.as_ref();
        make(&default, &ProfileName::default_profile(), home, scandir);
        for (name, one) in profiles.iter().filter(|(name, _)| *name != "default") {
            make(one, &name.parse().unwrap(), home, scandir);
        }

        slot::sweep_staging(scandir).unwrap();
        for (slot, result) in slot::normalise(scandir, Supervisors::Ours).unwrap() {
            prop_assert!(result.is_ok(), "{slot}: {result:?}");
        }
        let seen = reconcile::observe(home, scandir).unwrap().profiles;
        let wanted: Vec<_> = seen.iter().map(|one| reconcile::want(one, commanded)).collect();
        let failed = reconcile::execute(&reconcile::plan(&seen, commanded), home, scandir, Supervisors::Ours).unwrap();
        prop_assert!(failed.is_empty(), "{failed:?}");

        let after = reconcile::observe(home, scandir).unwrap().profiles;
        prop_assert_eq!(reconcile::plan(&after, commanded), vec![]);
        prop_assert_eq!(slot::normalise(scandir, Supervisors::Ours).unwrap().len(), 0);
        prop_assert_eq!(slot::sweep_staging(scandir).unwrap(), Vec::<String>::new());
        let after: Vec<_> = after.iter().map(|one| one.slot).collect();
        prop_assert_eq!(wanted.into_iter().map(Some).collect::<Vec<_>>(), after);
    }
}

#[test]
fn a_gateway_that_the_container_is_for_is_recorded_at_its_first_boot() {
    let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (home, scandir) = (home.path(), scandir.path());
    let default = ProfileName::default_profile();
    let pass = || {
        let seen = reconcile::observe(home, scandir).unwrap().profiles;
        let failed = reconcile::execute(
            &reconcile::plan(&seen, Some(&default)),
            home,
            scandir,
            Supervisors::Ours,
        )
        .unwrap();
        assert!(failed.is_empty(), "{failed:?}");
        reconcile::want(&seen[0], Some(&default))
    };
    assert_eq!(Want::Up, pass());
    // The container ends while the gateway says that it is starting.
    let path = home.join("gateway_state.json");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!("{\"desired_state\":\"running\"}\n", text);
    fs::write(
        &path,
        r#"{"desired_state":"running","gateway_state":"starting"}"#,
    )
    .unwrap();
    assert_eq!(Want::Up, pass());
    // What an operator stopped stays stopped, whatever the container is for.
    fs::write(&path, r#"{"desired_state":"stopped"}"#).unwrap();
    assert_eq!(Want::Down, pass());
}
