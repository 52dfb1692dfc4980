//! Bringing the program that runs inside a sandbox to the engine.

mod fill;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use sandbox_core::AgentDelivery;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use crate::connect::Engine;
use crate::error::{Doing as _, RequestError};
use crate::kill::hex;

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

impl Engine {
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

    #[test]
    fn the_program_that_is_carried_is_small() {
        // 1.5 MiB with the C library that it was measured with, and some room for another one.
        let size = AgentBinary::embedded().bytes.len();
        assert!(size < 1_700_000, "{size}");
    }
}
