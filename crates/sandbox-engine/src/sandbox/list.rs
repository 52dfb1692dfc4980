//! Which sandboxes there are.

use std::collections::HashMap;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use sandbox_core::inspect::ContainerState;
use sandbox_core::{Lease, Owner, labels};

use super::{Attached, Sandbox};
use crate::agent::{DIRECTORY, PROGRAM_PATH, VOLUME_PREFIX};
use crate::connect::Engine;
use crate::error::{Doing as _, RequestError, ask};
use crate::inside::Line;

/// A sandbox in a listing. Texts come from labels, which anybody can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id of its container.
    pub id: String,
    /// The name of its container.
    pub name: String,
    /// The task.
    pub task: String,
    /// The profile.
    pub profile: String,
    /// The image.
    pub image: String,
    /// Its state.
    pub state: ContainerState,
    /// What the engine says of its state: `Up 3 minutes`.
    pub status: String,
    /// When it was created, seconds since 1970.
    pub created: Option<i64>,
    /// All its labels.
    pub labels: HashMap<String, String>,
    /// The digest of its identity.
    pub identity: String,
    /// Whether it is one of the owner that was asked about.
    pub own: bool,
    /// Whether arguments that nobody checked were added to it.
    pub modified: bool,
    /// Whether it is to outlive its client.
    pub persistent: bool,
    /// For how long it outlives the last use of it; nothing where it does not say.
    pub lease: Option<Lease>,
    /// The beginning of the SHA-256 of the agent that it was given, empty where that is not known;
    /// nothing where it has none.
    pub agent: Option<String>,
}

impl Engine {
    /// All sandboxes, or those of one owner, by task and profile.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn list(&self, owner: &Owner, everybodys: bool) -> Result<Vec<Listed>, RequestError> {
        let digest = owner.digest();
        let mut wanted = vec![format!("{}={}", labels::SANDBOX, labels::VERSION)];
        if !everybodys {
            wanted.push(format!("{}={digest}", labels::OWNER));
        }
        let found = self.list_by_labels(wanted).await?;
        let mut found: Vec<_> = found
            .into_iter()
            .map(|container| listed(container, &digest))
            .collect();
        found.sort_by(|a, b| (&a.task, &a.profile, &a.name).cmp(&(&b.task, &b.profile, &b.name)));
        Ok(found)
    }

    pub(crate) async fn list_by_labels(
        &self,
        wanted: Vec<String>,
    ) -> Result<Vec<ContainerSummary>, RequestError> {
        let filters = HashMap::from([("label", wanted)]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let found = ask(|| self.docker.list_containers(Some(options.clone()))).await;
        found.doing(|| "list sandboxes".to_owned())
    }

    /// The sandbox whose container has that name or id, or the beginning of one; nothing where
    /// there is none, and the error names all where there are several.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn by_name(&self, owner: &Owner, name: &str) -> Result<Vec<Sandbox>, RequestError> {
        let found = self.list(owner, true).await?;
        let exact = |listed: &&Listed| listed.name == name || listed.id == name;
        let chosen: Vec<&Listed> = match found.iter().find(exact) {
            Some(one) => vec![one],
            None => found
                .iter()
                .filter(|one| {
                    let short = one.name.strip_prefix("talaria-").unwrap_or(&one.name);
                    [&one.name, short, &one.id]
                        .iter()
                        .any(|known| known.starts_with(name))
                })
                .collect(),
        };
        Ok(chosen.into_iter().map(|one| self.handle(one)).collect())
    }

    /// A handle on a sandbox of a listing.
    #[must_use]
    pub fn handle(&self, listed: &Listed) -> Sandbox {
        Sandbox {
            engine: self.clone(),
            id: listed.id.clone(),
            name: listed.name.clone(),
            asked: None,
            agent: listed.agent.clone(),
            line: Line::default(),
            attached: Attached::Reused,
            differences: Vec::new(),
        }
    }
}

fn listed(container: ContainerSummary, owner: &str) -> Listed {
    let labels = container.labels.unwrap_or_default();
    let names = container.names.unwrap_or_default();
    let name = names
        .first()
        .map(|name| name.trim_start_matches('/').to_owned());
    let own = labels
        .get(labels::OWNER)
        .is_some_and(|digest| digest == owner);
    let modified = labels
        .get(labels::MODIFIED)
        .is_some_and(|value| value != "no");
    let persistent = labels
        .get(labels::PERSIST)
        .is_some_and(|value| value == "yes");
    let lease = labels.get(labels::LEASE);
    let lease = lease.and_then(|seconds| seconds.parse().ok());
    // Podman leaves the entrypoint out, and lists the arguments alone.
    let has_agent = container.command.is_some_and(|command| {
        command.contains(PROGRAM_PATH) || command.starts_with("serve --lease ")
    });
    let volumes = container.mounts.into_iter().flatten();
    let volume = volumes
        .filter(|mount| mount.destination.as_deref() == Some(DIRECTORY))
        .find_map(|mount| mount.name);
    let said = |key: &str| labels.get(key).cloned().unwrap_or_default();
    let state = container
        .state
        .map(|state| state.to_string())
        .unwrap_or_default();
    Listed {
        id: container.id.unwrap_or_default(),
        name: name.unwrap_or_default(),
        task: said(labels::TASK),
        profile: said(labels::PROFILE),
        identity: said(labels::IDENTITY),
        labels,
        image: container.image.unwrap_or_default(),
        state: ContainerState::from(state.as_str()),
        status: container.status.unwrap_or_default(),
        created: container.created,
        own,
        modified,
        persistent,
        lease,
        agent: has_agent.then(|| given(volume.as_deref())),
    }
}

/// The beginning of an agent's SHA-256 in the name of its volume.
pub(super) fn given(volume: Option<&str>) -> String {
    volume
        .and_then(|name| name.strip_prefix(VOLUME_PREFIX))
        .unwrap_or_default()
        .to_owned()
}
