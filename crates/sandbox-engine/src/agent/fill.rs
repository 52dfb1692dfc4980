//! Filling the agent's volume: once per engine, whoever asks and however many at once.
//!
//! The volume is named by the program's content, and sandboxes mount it read-only. It is written
//! through a container that is created and never started. While a file is written, whoever reads it
//! finds it torn; so that container has one name for all, and an engine gives a name to one alone.
//! Since a fill can be interrupted, a second volume, made after the first was read back, says that it
//! is whole: nobody writes it from then on.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Volume, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::{AgentBinary, DIRECTORY, LABEL, PROGRAM};
use crate::connect::Engine;
use crate::error::{Doing as _, Fault, PATIENCE, RequestError, ask, gone_is_done, tell};
use crate::kill::hex;

/// The label that says when the volume was made that is whole.
const FILLED: &str = "talaria.agent.created";

/// How long one who fills is believed to be alive. To be wrong does no harm: a fill that was taken
/// over fails, and is tried again.
const HELD: Duration = Duration::from_secs(10);

/// How often those who wait look.
const INTERVAL: Duration = Duration::from_millis(100);

impl Engine {
    /// Makes sure that the engine has the program's volume, whole.
    ///
    /// `image` is any image that the engine has: no program of it is run.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn agent_volume(&self, agent: &AgentBinary, image: &str) -> Result<(), RequestError> {
        let volume = agent.volume();
        let begun = Instant::now();
        let mut holder = (String::new(), begun);
        while begun.elapsed() < PATIENCE {
            let made = made_at(&self.make_volume(&volume, labels(agent)).await?);
            if self.is_marked(&volume, &made).await? {
                return Ok(());
            }
            if let Some(id) = self.lock(agent, image).await? {
                let filled = match self.fill(&id, agent).await {
                    Ok(true) => self.mark(agent).await.map(|()| true),
                    other => other,
                };
                // Where that fails, another takes it over, or `reap` finds it by its label.
                let unlocked = self.remove(&id, &lock_name(agent)).await;
                if filled? {
                    return unlocked.map(drop);
                }
                continue;
            }
            match self.look(&lock_name(agent)).await {
                Ok(found) if found.id.as_ref() != Some(&holder.0) => {
                    holder = (found.id.unwrap_or_default(), Instant::now());
                }
                Ok(_) if holder.1.elapsed() >= HELD => {
                    self.remove(&holder.0, &lock_name(agent)).await?;
                }
                Ok(_) => sleep(INTERVAL).await,
                Err(error) if error.fault.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let within = PATIENCE;
        let doing = format!("fill volume {volume}, which others were filling all the time");
        Err(RequestError::new(doing, Fault::Silent { within }))
    }

    async fn make_volume(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<Volume, RequestError> {
        let wanted = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let made = tell(self.docker.create_volume(wanted)).await;
        made.doing(|| format!("create volume {name}"))
    }

    /// Whether it is said that the volume which was made then is whole.
    async fn is_marked(&self, volume: &str, made: &str) -> Result<bool, RequestError> {
        let marker = marker(volume);
        let found = ask(|| self.docker.inspect_volume(&marker)).await;
        match found.doing(|| format!("inspect volume {marker}")) {
            Ok(found) => Ok(found.labels.get(FILLED).is_some_and(|at| at == made)),
            Err(error) if error.fault.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says that the volume is whole. No other can have taken its place: the container to fill it
    /// through still has it.
    async fn mark(&self, agent: &AgentBinary) -> Result<(), RequestError> {
        let volume = agent.volume();
        let marker = marker(&volume);
        // Asked for only now: an engine may take the last change for when a volume was made.
        let made = made_at(&self.make_volume(&volume, labels(agent)).await?);
        // One of an earlier volume of that name.
        let forced = RemoveVolumeOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_volume(&marker, Some(forced)).await;
        gone_is_done(removed.doing(|| format!("remove volume {marker}")))?;
        let filled = [(FILLED.to_owned(), made)];
        let labels = labels(agent).into_iter().chain(filled);
        self.make_volume(&marker, labels.collect()).await?;
        Ok(())
    }

    /// The id of the container to fill through; nothing while another has it.
    async fn lock(&self, agent: &AgentBinary, image: &str) -> Result<Option<String>, RequestError> {
        let (name, volume) = (lock_name(agent), agent.volume());
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // Never started, but an engine wants a command where the image has none.
            cmd: Some(vec!["/".to_owned()]),
            labels: Some(labels(agent)),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{volume}:{DIRECTORY}")]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let named = CreateContainerOptionsBuilder::new().name(&name).build();
        match tell(self.docker.create_container(Some(named), body)).await {
            Ok(created) => Ok(Some(created.id)),
            Err(fault) if fault.is_conflict() => Ok(None),
            Err(fault) => {
                let doing = format!("create container {name} to fill volume {volume}");
                Err(RequestError::new(doing, fault))
            }
        }
    }

    /// Whether the volume is whole now; not where another has taken the container away.
    async fn fill(&self, container: &str, agent: &AgentBinary) -> Result<bool, RequestError> {
        // Another may have been quicker, or have been killed when all but the mark was there.
        if self.holds(container, agent).await? {
            return Ok(true);
        }
        let put = self.upload_agent_to(container, DIRECTORY, PROGRAM, agent);
        if !gone_is_done(put.await)? {
            return Ok(false);
        }
        if self.holds(container, agent).await? {
            return Ok(true);
        }
        match self.look(container).await {
            Err(error) if error.fault.is_not_found() => Ok(false),
            Err(error) => Err(error),
            Ok(_) => {
                let doing = format!("read back what was written to volume {}", agent.volume());
                let field = "program as it was written";
                Err(RequestError::new(doing, Fault::Incomplete { field }))
            }
        }
    }

    /// Whether what the volume holds is the program.
    async fn holds(&self, container: &str, agent: &AgentBinary) -> Result<bool, RequestError> {
        let path = format!("{DIRECTORY}/{PROGRAM}");
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(&path)
            .build();
        let pieces = self
            .docker
            .download_from_container(container, Some(options));
        let mut pieces = std::pin::pin!(pieces);
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece.doing(|| format!("read volume {}", agent.volume())) {
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(error) if error.fault.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(sum_of_first(&archive).is_ok_and(|sum| sum == agent.sha256))
    }
}

/// The SHA-256 of the first file of an archive.
fn sum_of_first(archive: &[u8]) -> std::io::Result<String> {
    let mut archive = tar::Archive::new(archive);
    let first = archive.entries()?.next();
    let mut content = Vec::new();
    first
        .ok_or(std::io::ErrorKind::UnexpectedEof)??
        .read_to_end(&mut content)?;
    Ok(hex(&Sha256::digest(&content)))
}

fn labels(agent: &AgentBinary) -> HashMap<String, String> {
    HashMap::from([(LABEL.to_owned(), agent.sha256.clone())])
}

/// The volume that says that another is whole.
fn marker(volume: &str) -> String {
    format!("{volume}-whole")
}

/// The container that only one can have.
fn lock_name(agent: &AgentBinary) -> String {
    format!("talaria-fill-{}", &agent.sha256[..16])
}

/// When a volume was made, in whichever type the client holds it.
fn made_at(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).ok();
    let made = value.as_ref().and_then(|value| value.get("CreatedAt"));
    made.map_or_else(String::new, ToString::to_string)
}
