//! Bringing the program that runs inside a sandbox to the engine.
//!
//! A volume named by the program's content is filled once per engine, through a container that is
//! created and never started; sandboxes mount it read-only. Since a fill can be interrupted, a
//! second volume, made after the first was filled and read back, says that it is whole.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, Volume, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sandbox_core::AgentDelivery;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use crate::connect::Engine;
use crate::error::{Doing as _, Fault, RequestError, ask, tell};
use crate::kill::{hex, new_mark};

/// The program: a static binary for the engine's architecture.
#[derive(Clone)]
pub struct AgentBinary {
    bytes: Bytes,
    sha256: String,
}

impl std::fmt::Debug for AgentBinary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgentBinary({})", self.sha256)
    }
}

impl AgentBinary {
    /// Takes the content of the file.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = hex(&Sha256::digest(&bytes));
        Self { bytes, sha256 }
    }

    /// The program that this library carries: built from the same sources.
    #[cfg(feature = "embedded-agent")]
    #[must_use]
    pub fn embedded() -> Self {
        let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/sandbox-agent"));
        Self {
            bytes: Bytes::from_static(bytes),
            // Whoever only attaches would wait for it longer than for the engine.
            sha256: env!("SANDBOX_AGENT_SHA256").to_owned(),
        }
    }

    /// The SHA-256 of its content, 64 hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name of its volume.
    #[must_use]
    pub fn volume(&self) -> String {
        format!("{VOLUME_PREFIX}{}", &self.sha256[..16])
    }

    fn archive(&self, path: &str) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(self.bytes.len() as u64);
        let packed = builder
            .append_data(&mut header, path, &self.bytes[..])
            .and_then(|()| builder.into_inner());
        // A fixed path and a vector that grows: nothing of it can fail.
        packed.unwrap_or_default()
    }
}

/// When a volume was made, in whichever type the client holds it.
fn made_at(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).ok();
    let made = value.as_ref().and_then(|value| value.get("CreatedAt"));
    made.map_or_else(String::new, ToString::to_string)
}

/// How the program comes into a sandbox.
#[derive(Debug, Clone, Default)]
pub enum Agent {
    /// Not at all: commands run through the engine's exec API.
    #[default]
    None,
    /// On a volume that all sandboxes share.
    Volume(AgentBinary),
    /// Into each container by itself: slower, and for engines without volumes.
    Upload(AgentBinary),
}

impl Agent {
    /// The same, as plans have it.
    pub(crate) fn delivery(&self) -> AgentDelivery {
        match self {
            Self::None => AgentDelivery::None,
            Self::Upload(_) => AgentDelivery::Upload,
            Self::Volume(binary) => AgentDelivery::Volume {
                name: binary.volume(),
            },
        }
    }

    /// The SHA-256 of the program, where there is one.
    pub(crate) fn sha256(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Volume(program) | Self::Upload(program) => Some(program.sha256()),
        }
    }
}

/// Where the program is in a container.
pub(crate) const DIRECTORY: &str = "/.talaria";
/// How the names of its volumes begin; 16 digits of its SHA-256 follow.
pub(crate) const VOLUME_PREFIX: &str = "talaria-agent-";
const PROGRAM: &str = "sandbox-agent";
/// The same, whole.
pub(crate) const PROGRAM_PATH: &str = "/.talaria/sandbox-agent";
/// The label of volumes and helper containers.
pub(crate) const LABEL: &str = "talaria.agent";
const FILLED: &str = "talaria.agent.created";

impl Engine {
    /// Makes sure that the engine has the program's volume, whole.
    ///
    /// `image` is any image that the engine has: no program of it is run.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn agent_volume(&self, agent: &AgentBinary, image: &str) -> Result<(), RequestError> {
        let name = agent.volume();
        let marker = format!("{name}-whole");
        let labels = HashMap::from([(LABEL.to_owned(), agent.sha256.clone())]);
        let volume = self.make_volume(&name, labels.clone()).await?;
        let made = made_at(&volume);
        if let Some(marker) = self.look_for_volume(&marker).await?
            && marker.labels.get(FILLED) == Some(&made)
        {
            return Ok(());
        }
        self.fill(&name, agent, image).await?;
        // One of an earlier volume of that name; another process may be quicker to remove it.
        let forced = RemoveVolumeOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_volume(&marker, Some(forced)).await;
        crate::error::gone_is_done(removed.doing(|| format!("remove volume {marker}")))?;
        let labels = labels.into_iter().chain([(FILLED.to_owned(), made)]);
        self.make_volume(&marker, labels.collect()).await?;
        Ok(())
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

    async fn look_for_volume(&self, name: &str) -> Result<Option<Volume>, RequestError> {
        let found = ask(self.docker.inspect_volume(name)).await;
        match found.doing(|| format!("inspect volume {name}")) {
            Ok(volume) => Ok(Some(volume)),
            Err(error) if error.fault.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fill(
        &self,
        volume: &str,
        agent: &AgentBinary,
        image: &str,
    ) -> Result<(), RequestError> {
        let name = format!("talaria-fill-{}", &new_mark()[..24]);
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // Never started, but an engine wants a command where the image has none.
            cmd: Some(vec!["/".to_owned()]),
            labels: Some(HashMap::from([(LABEL.to_owned(), agent.sha256.clone())])),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{volume}:{DIRECTORY}")]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let named = CreateContainerOptionsBuilder::new().name(&name).build();
        let made = tell(self.docker.create_container(Some(named), body)).await;
        made.doing(|| format!("create container {name} to fill volume {volume}"))?;
        let filled = self.fill_through(&name, volume, agent).await;
        let forced = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_container(&name, Some(forced)).await;
        // Where that fails, `reap` finds the container by its label.
        filled.and(removed.doing(|| format!("remove container {name}")))
    }

    async fn fill_through(
        &self,
        container: &str,
        volume: &str,
        agent: &AgentBinary,
    ) -> Result<(), RequestError> {
        self.upload_agent_to(container, DIRECTORY, PROGRAM, agent)
            .await?;
        let doing = || format!("read back what was written to volume {volume}");
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
            archive.extend_from_slice(&piece.doing(doing)?);
        }
        let mut archive = tar::Archive::new(&archive[..]);
        let mut sum = Sha256::new();
        let read = archive.entries().and_then(|mut entries| {
            let mut entry = entries.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content)?;
            sum.update(&content);
            Ok(())
        });
        if read.is_ok() && hex(&sum.finalize()) == agent.sha256 {
            return Ok(());
        }
        let field = "program as it was written";
        Err(RequestError::new(doing(), Fault::Incomplete { field }))
    }

    /// Puts the program into a container that is not started yet.
    pub(crate) async fn upload_agent(
        &self,
        container: &str,
        agent: &AgentBinary,
    ) -> Result<(), RequestError> {
        let path = format!("{}/{PROGRAM}", DIRECTORY.trim_start_matches('/'));
        self.upload_agent_to(container, "/", &path, agent).await
    }

    async fn upload_agent_to(
        &self,
        container: &str,
        at: &str,
        path: &str,
        agent: &AgentBinary,
    ) -> Result<(), RequestError> {
        let options = UploadToContainerOptionsBuilder::new().path(at).build();
        let body = bollard::body_full(agent.archive(path).into());
        let put = self
            .docker
            .upload_to_container(container, Some(options), body)
            .await;
        put.doing(|| format!("put the agent into container {container}"))
    }
}

#[cfg(all(test, feature = "embedded-agent"))]
mod tests {
    use super::AgentBinary;

    #[test]
    fn the_hash_of_the_program_that_is_carried_is_its_own() {
        let carried = AgentBinary::embedded();
        let hashed = AgentBinary::new(carried.bytes.clone());
        assert_eq!(carried.sha256(), hashed.sha256());
    }
}
