//! From what the profiles want and what the scandir holds to what has to change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use s6_svc::Want;

use crate::atomic::is_staged;
use crate::folder::Folder;
use crate::gateway_state::{self, Record};
use crate::profile::{self, Discovery, ProfileName};
use crate::slot;
use crate::supervisors::Supervisors;

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
    /// The names of files that are being written, or whose writers were killed; or why its directory
    /// cannot be listed.
    pub interrupted: Result<Vec<String>, String>,
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
    /// Record that the gateway is to run, as the container's command says and
    /// nobody has said before: one that is still starting when the container
    /// ends would otherwise stay down for good.
    Record {
        /// Whose gateway.
        profile: ProfileName,
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
#[error("profile {profile}: {path}: cannot {action}", path = .path.display())]
pub struct StepError {
    /// Whose step it was.
    pub profile: ProfileName,
    /// What it was to change.
    pub path: PathBuf,
    /// What it was to do.
    pub action: &'static str,
    /// Why it could not.
    pub source: io::Error,
}

/// Looks at every profile of `home` and its slot in `scandir`.
///
/// # Errors
/// Where `profiles/` is there and cannot be listed, or the scandir cannot be searched.
pub fn observe(home: &Path, scandir: &Path) -> io::Result<Observation> {
    observe_all(profile::discover(home)?, home, scandir)
}

/// The same of the default profile alone, for a home whose `profiles/` cannot
/// be listed: that one needs no directory.
///
/// # Errors
/// Where the home or the scandir cannot be searched.
pub fn observe_default(home: &Path, scandir: &Path) -> io::Result<Observation> {
    let found = Discovery {
        profiles: vec![ProfileName::default_profile()],
        skipped: Vec::new(),
    };
    observe_all(found, home, scandir)
}

fn observe_all(found: Discovery, home: &Path, scandir: &Path) -> io::Result<Observation> {
    let (home, scandir) = (Folder::open(home)?, Folder::open(scandir)?);
    let observed = found
        .profiles
        .into_iter()
        .map(|profile| observe_one(profile, &home, &scandir));
    Ok(Observation {
        profiles: observed.collect(),
        skipped: found.skipped,
    })
}

/// Lists the profile's directory once, which is cheaper than to ask for each file that may be there.
fn observe_one(profile: ProfileName, home: &Folder, scandir: &Folder) -> Observed {
    let directory = profile.directory(Path::new("."));
    let is_ours = |name: &str| {
        name == gateway_state::FILE_NAME || STALE_FILES.contains(&name) || is_staged(name)
    };
    let listed = home.names(&directory, is_ours);
    // A directory that cannot be listed may let those through who know a name.
    let may_have = |name: &str| match &listed {
        Ok(names) => names.iter().any(|listed| listed == name),
        Err(_) => true,
    };
    let is_there =
        |name: &str| may_have(name) && matches!(home.kind(directory.join(name)), Ok(Some(_)));
    Observed {
        record: if may_have(gateway_state::FILE_NAME) {
            Record::read_at(home, &directory)
        } else {
            Record::None
        },
        stale: STALE_FILES
            .into_iter()
            .filter(|file| is_there(file))
            .collect(),
        interrupted: match listed {
            Ok(names) => Ok(names.into_iter().filter(|name| is_staged(name)).collect()),
            Err(error) => Err(error.to_string()),
        },
        slot: slot::want_at(scandir, &profile),
        profile,
    }
}

/// Removes what writers that were killed left. Returns each file that was there, and each directory
/// that could not be listed, with what came of it.
///
/// For a time when nobody writes: at a boot, before anything of the agent's runs.
#[must_use]
pub fn sweep_interrupted(observed: &[Observed], home: &Path) -> Vec<(PathBuf, io::Result<()>)> {
    let mut swept = Vec::new();
    for one in observed {
        let directory = one.profile.directory(home);
        let files = match &one.interrupted {
            Ok(files) => files,
            Err(reason) => {
                swept.push((directory, Err(io::Error::other(reason.clone()))));
                continue;
            }
        };
        for path in files.iter().map(|file| directory.join(file)) {
            match fs::remove_file(&path) {
                // Its name was this process's own as well, which has used and removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => swept.push((path, removed)),
            }
        }
    }
    swept
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
        if want == Want::Up && commanded == Some(profile) && !one.record.has_desired() {
            steps.push(Step::Record {
                profile: profile.clone(),
            });
        }
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

/// Carries the steps out. One that fails does not stop the others: those that did are returned.
///
/// # Errors
/// Where the scandir cannot be searched, and so nothing was done.
pub fn execute(
    steps: &[Step],
    home: &Path,
    scandir: &Path,
    supervisors: Supervisors,
) -> io::Result<Vec<StepError>> {
    let open = Folder::open(scandir)?;
    let mut series = slot::Series::new(&open, supervisors);
    let slot = |profile: &ProfileName| scandir.join(slot::name(profile));
    let carry_out = |step: &Step| {
        let (profile, path, action, result) = match step {
            Step::RemoveStale { profile, file } => {
                let path = profile.directory(home).join(file);
                let removed = fs::remove_file(&path);
                (profile, path, "remove what is stale", removed)
            }
            Step::Record { profile } => {
                let path = profile.directory(home);
                let recorded = gateway_state::record_want(&path, Want::Up);
                (profile, path, "record that it is to run", recorded)
            }
            Step::Publish { profile, want } => {
                let published = series.publish(profile, *want);
                (profile, slot(profile), "make its slot", published)
            }
            Step::SetWant { profile, want } => {
                let set = slot::set_want_at(&open, profile, *want);
                (profile, slot(profile), "change its slot", set)
            }
        };
        result.err().map(|source| StepError {
            profile: profile.clone(),
            path,
            action,
            source,
        })
    };
    Ok(steps.iter().filter_map(carry_out).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else() {
        let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let profile = home.path().join("profiles/a");
        fs::create_dir_all(&profile).unwrap();
        let swept = [
            home.path().join(".auth.json.7.tmp"),
            profile.join(".gateway_state.json.8.tmp"),
        ];
        let kept = ["SOUL.md", "gateway.pid", "gateway_state.json", ".x.7.tmp"];
        let kept = kept.map(|name| profile.join(name));
        for file in swept.iter().chain(&kept) {
            fs::write(file, "{}").unwrap();
        }
        let seen = observe(home.path(), scandir.path()).unwrap().profiles;
        assert_eq!(seen[1].stale, ["gateway.pid"]);
        assert!(matches!(seen[1].record, Record::State { .. }));
        let removed = sweep_interrupted(&seen, home.path());
        assert!(removed.iter().all(|(_, result)| result.is_ok()));
        let paths: Vec<_> = removed.into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, swept);
        assert!(kept.iter().all(|file| file.exists()));
        assert_eq!(sweep_interrupted(&seen, home.path()).len(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_named() {
        let (home, scandir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut seen = observe(home.path(), scandir.path()).unwrap().profiles;
        seen[0].interrupted = Err("no".to_owned());
        let swept = sweep_interrupted(&seen, home.path());
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].0, home.path());
        assert_eq!(swept[0].1.as_ref().unwrap_err().to_string(), "no");
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
        let failed = execute(&steps, home.path(), scandir.path(), Supervisors::Ours).unwrap();
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
