//! From what the profiles want and what the scandir holds to what has to change.

use std::fs;
use std::io;
use std::path::Path;

use crate::gateway_state::Record;
use s6_svc::Want;

use crate::profile::{self, ProfileName};
use crate::slot;

/// Files that name processes of the last container run.
const STALE_FILES: [&str; 2] = ["gateway.pid", "processes.json"];

/// What reconciliation has to know of one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Whose it is.
    pub profile: ProfileName,
    /// What its state file says.
    pub record: Record,
    /// What its slot will do when s6-supervise starts on it; `None` without a slot.
    pub slot: Option<Want>,
    /// Which of the files that name dead processes are there.
    pub stale: Vec<&'static str>,
}

/// What a look at a home and its scandir found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The profiles, `default` first.
    pub profiles: Vec<Observed>,
    /// Directories that look like profiles and cannot be ones, each with the reason.
    pub skipped: Vec<(String, String)>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Remove a file that names processes of the last run.
    RemoveStale {
        /// Whose file.
        profile: ProfileName,
        /// Its name in the profile's directory.
        file: &'static str,
    },
    /// Make the slot.
    Publish {
        /// Whose slot.
        profile: ProfileName,
        /// How it starts.
        want: Want,
    },
    /// Change how an existing slot starts.
    SetWant {
        /// Whose slot.
        profile: ProfileName,
        /// How it starts from now on.
        want: Want,
    },
}

/// A step that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("profile {profile}: cannot {action}")]
pub struct StepError {
    /// Whose step it was.
    pub profile: ProfileName,
    /// What it was to do.
    pub action: &'static str,
    /// Why it could not.
    pub source: io::Error,
}

/// Looks at every profile of `home` and its slot in `scandir`.
///
/// # Errors
/// Where `profiles/` is there and cannot be listed.
pub fn observe(home: &Path, scandir: &Path) -> io::Result<Observation> {
    let found = profile::discover(home)?;
    let observed = found.profiles.into_iter().map(|profile| {
        let directory = profile.directory(home);
        let slot = scandir.join(slot::name(&profile)).is_dir().then(|| {
            if slot::is_down(scandir, &profile) {
                Want::Down
            } else {
                Want::Up
            }
        });
        Observed {
            record: Record::read(&directory),
            stale: STALE_FILES
                .into_iter()
                .filter(|file| directory.join(file).symlink_metadata().is_ok())
                .collect(),
            profile,
            slot,
        }
    });
    Ok(Observation {
        profiles: observed.collect(),
        skipped: found.skipped,
    })
}

/// What has to change so that every profile has a slot that starts as it is meant to.
///
/// `commanded` is the profile whose gateway the container was asked to run: that
/// decides where no record does yet.
#[must_use]
pub fn plan(observed: &[Observed], commanded: Option<&ProfileName>) -> Vec<Step> {
    let mut steps = Vec::new();
    for one in observed {
        let profile = &one.profile;
        steps.extend(one.stale.iter().map(|file| Step::RemoveStale {
            profile: profile.clone(),
            file,
        }));
        let want = want(one, commanded);
        match one.slot {
            None => steps.push(Step::Publish {
                profile: profile.clone(),
                want,
            }),
            Some(now) if now != want => steps.push(Step::SetWant {
                profile: profile.clone(),
                want,
            }),
            Some(_) => {}
        }
    }
    steps
}

/// Whether this profile's gateway is to run: as its record says; without a
/// record as the container's command says; else as its slot stands.
#[must_use]
pub fn want(one: &Observed, commanded: Option<&ProfileName>) -> Want {
    let command = (commanded == Some(&one.profile)).then_some(Want::Up);
    one.record
        .want()
        .or(command)
        .or(one.slot)
        .unwrap_or(Want::Down)
}

/// Carries the steps out. One that fails does not stop the others.
#[must_use]
pub fn execute(steps: &[Step], home: &Path, scandir: &Path) -> Vec<StepError> {
    steps
        .iter()
        .filter_map(|step| {
            let (profile, action, result) = match step {
                Step::RemoveStale { profile, file } => {
                    let path = profile.directory(home).join(file);
                    (profile, "remove a stale file", fs::remove_file(path))
                }
                Step::Publish { profile, want } => (
                    profile,
                    "make its slot",
                    slot::publish(scandir, profile, *want),
                ),
                Step::SetWant { profile, want } => (
                    profile,
                    "change its slot",
                    slot::set_want(scandir, profile, *want),
                ),
            };
            result.err().map(|source| StepError {
                profile: profile.clone(),
                action,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> impl Strategy<Value = Option<&'static str>> {
        prop_oneof![
            Just(None),
            Just(Some(r#"{"gateway_state":"running"}"#)),
            Just(Some(
                r#"{"gateway_state":"running","desired_state":"stopped"}"#
            )),
            Just(Some(
                r#"{"gateway_state":"startup_failed","desired_state":"running"}"#
            )),
            Just(Some("not json")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_second_pass_finds_nothing_to_do(
            default in state(),
            profiles in proptest::collection::btree_map("[a-z]{1,8}", (state(), any::<bool>(), any::<Option<bool>>()), 0..5),
            commanded in proptest::option::of("[a-z]{1,2}|default"),
        ) {
            let commanded: Option<ProfileName> = commanded.map(|name| name.parse().unwrap());
            let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            if let Some(text) = default {
                fs::write(home.path().join("gateway_state.json"), text).unwrap();
            }
            for (name, (text, stale, slot_up)) in &profiles {
                let profile: ProfileName = name.parse().unwrap();
                let directory = home.path().join("profiles").join(name);
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join("SOUL.md"), "").unwrap();
                if let Some(text) = text {
                    fs::write(directory.join("gateway_state.json"), text).unwrap();
                }
                if *stale {
                    fs::write(directory.join("gateway.pid"), "1").unwrap();
                }
                if let Some(up) = slot_up {
                    let want = if *up { Want::Up } else { Want::Down };
                    slot::publish(scandir.path(), &profile, want).unwrap();
                }
            }
            let before = observe(home.path(), scandir.path()).unwrap().profiles;
            prop_assert!(execute(&plan(&before, commanded.as_ref()), home.path(), scandir.path()).is_empty());
            let after = observe(home.path(), scandir.path()).unwrap().profiles;
            prop_assert_eq!(plan(&after, commanded.as_ref()), vec![]);
            for one in &after {
                prop_assert_eq!(one.slot, Some(want(one, commanded.as_ref())));
            }
        }
    }

    #[test]
    fn one_profile_that_fails_does_not_stop_the_others() {
        let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b): (ProfileName, ProfileName) = ("a".parse().unwrap(), "b".parse().unwrap());
        fs::write(scandir.path().join("gateway-a"), "in the way").unwrap();
        let steps = [
            Step::Publish {
                profile: a.clone(),
                want: Want::Up,
            },
            Step::Publish {
                profile: b.clone(),
                want: Want::Up,
            },
        ];
        let failed = execute(&steps, home.path(), scandir.path());
        assert_eq!(
            failed
                .iter()
                .map(|error| &error.profile)
                .collect::<Vec<_>>(),
            [&a]
        );
        assert!(
            scandir
                .path()
                .join("gateway-b/run")
                .symlink_metadata()
                .is_ok()
        );
    }
}
