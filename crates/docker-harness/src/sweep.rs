//! Removing what earlier runs left behind, because their process was killed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use crate::engine::{Doing as _, Engine, is_gone};
use crate::error::EngineError;
use crate::labels::{self, Creator, Run};

/// Something that tests created.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owned {
    /// A container, by name or id.
    Container(String),
    /// A named volume.
    Volume(String),
    /// A network, by name or id.
    Network(String),
    /// A scratch directory of this machine.
    Scratch(PathBuf),
}

impl Owned {
    /// Removes it, running or not, a container with its anonymous volumes. What is gone already
    /// is no failure.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn remove(&self, engine: &Engine) -> Result<(), EngineError> {
        let docker = engine.docker();
        let removed = match self {
            Self::Container(name) => {
                let how = RemoveContainerOptionsBuilder::new()
                    .force(true)
                    .v(true)
                    .build();
                docker.remove_container(name, Some(how)).await
            }
            Self::Volume(name) => {
                let how = RemoveVolumeOptionsBuilder::new().force(true).build();
                docker.remove_volume(name, Some(how)).await
            }
            Self::Network(name) => docker.remove_network(name).await,
            Self::Scratch(path) => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            },
        };
        match removed {
            Err(error) if is_gone(&error) => Ok(()),
            removed => removed.doing(format_args!("remove {self:?}")),
        }
    }
}

/// Nobody's test run lasts that long: older leftovers go, wherever they come from.
const ANYBODYS: Duration = Duration::from_hours(24);

/// Whether something with these labels, created `age` ago, is a leftover.
///
/// Within one PID namespace the creator is looked up; from elsewhere (another machine on the
/// same engine, a container with the engine's socket) only age tells.
fn is_leftover(
    of: &HashMap<String, String>,
    age: Option<Duration>,
    here: &Run,
    is_alive: impl Fn(Creator) -> io::Result<bool>,
) -> bool {
    let creator = of
        .get(labels::PID)
        .and_then(|text| text.parse::<Creator>().ok());
    let ours = of.get(labels::NAMESPACE) == Some(&here.namespace);
    match creator {
        Some(creator) if ours => matches!(is_alive(creator), Ok(false)),
        _ => age.is_some_and(|age| age > ANYBODYS),
    }
}

/// Finds what runs have left behind whose process is gone: containers first, then what they used.
///
/// # Errors
///
/// When the engine does not tell what there is.
pub async fn leftovers(engine: &Engine) -> Result<Vec<Owned>, EngineError> {
    let docker = engine.docker();
    let run = Run::this();
    let filters = HashMap::from([("label", vec![labels::TEST.to_owned() + "=1"])]);
    let mut found = Vec::new();

    let all = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    for container in docker
        .list_containers(Some(all))
        .await
        .doing("list containers")?
    {
        let labels = container.labels.unwrap_or_default();
        let created = container
            .created
            .and_then(|seconds| u64::try_from(seconds).ok());
        let age = created.and_then(|seconds| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH + Duration::from_secs(seconds))
                .ok()
        });
        if is_leftover(&labels, age, run, Creator::is_alive) {
            found.extend(container.id.map(Owned::Container));
        }
    }
    // A sandbox has its own labels; its test says in the profile whose it is.
    let filters_of_sandboxes = HashMap::from([("label", vec!["talaria.profile".to_owned()])]);
    let all = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters_of_sandboxes)
        .build();
    let sandboxes = docker.list_containers(Some(all)).await;
    for container in sandboxes.doing("list sandboxes")? {
        let labels = container.labels.unwrap_or_default();
        let profile = labels.get("talaria.profile").map_or("", String::as_str);
        if is_orphan(profile, &run.scratch_family()) {
            found.extend(container.id.map(Owned::Container));
        }
    }
    // A volume's or network's age is not asked: it goes when its creator is known to be gone.
    let all = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = docker.list_volumes(Some(all)).await.doing("list volumes")?;
    for volume in volumes.volumes.unwrap_or_default() {
        if is_leftover(&volume.labels, None, run, Creator::is_alive) {
            found.push(Owned::Volume(volume.name));
        }
    }
    let all = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in docker
        .list_networks(Some(all))
        .await
        .doing("list networks")?
    {
        if is_leftover(
            &network.labels.unwrap_or_default(),
            None,
            run,
            Creator::is_alive,
        ) {
            found.extend(network.id.map(Owned::Network));
        }
    }
    found.extend(scratch_leftovers(run).map(Owned::Scratch));
    Ok(found)
}

/// Scratch directories of runs in this PID namespace whose process is gone.
fn scratch_leftovers(here: &Run) -> impl Iterator<Item = PathBuf> {
    let family = here.scratch_family();
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
    entries.filter_map(Result::ok).filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        is_orphan(&name, &family).then(|| entry.path())
    })
}

/// Whether a name that begins as [`Run::scratch_prefix`] is of a process that is gone.
fn is_orphan(name: &str, family: &str) -> bool {
    let creator = || {
        let (creator, _) = name.strip_prefix(family)?.split_once('-')?;
        creator.parse::<Creator>().ok()
    };
    creator().is_some_and(|creator| matches!(creator.is_alive(), Ok(false)))
}

/// Removes what [`leftovers`] finds, and gives what was removed.
///
/// # Errors
///
/// When the engine does not tell or refuses; what could be removed before is removed.
pub async fn sweep(engine: &Engine) -> Result<Vec<Owned>, EngineError> {
    let found = leftovers(engine).await?;
    for owned in &found {
        owned.remove(engine).await?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Creator = Creator { pid: 1, start: 2 };

    fn here() -> Run {
        Run {
            id: "r".to_owned(),
            creator: DEAD,
            namespace: "boot:pid".to_owned(),
        }
    }

    #[test]
    fn a_leftover_is_what_a_dead_process_of_this_namespace_made() {
        let labels = here().labels("t");
        assert!(is_leftover(&labels, None, &here(), |_| Ok(false)));
        assert!(!is_leftover(&labels, Some(ANYBODYS * 2), &here(), |_| Ok(
            true
        )));
    }

    #[test]
    fn what_another_namespace_made_goes_by_age_alone() {
        let labels = Run {
            namespace: "else:where".to_owned(),
            ..here()
        }
        .labels("t");
        assert!(!is_leftover(&labels, None, &here(), |_| Ok(false)));
        assert!(!is_leftover(&labels, Some(ANYBODYS / 2), &here(), |_| Ok(
            false
        )));
        assert!(is_leftover(&labels, Some(ANYBODYS * 2), &here(), |_| Ok(
            false
        )));
    }

    #[test]
    fn a_process_that_cannot_be_looked_up_counts_as_alive() {
        let cannot = |_| Err(io::ErrorKind::PermissionDenied.into());
        assert!(!is_leftover(&here().labels("t"), None, &here(), cannot));
    }
}
