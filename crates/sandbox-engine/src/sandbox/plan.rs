//! Planning a sandbox: what the image and the engine have to say about it.

use bollard::models::ImageInspect;
use sandbox_core::inspect::{ImageConfig, InspectedImage};
use sandbox_core::plan::plan;
use sandbox_core::{ContainerPlan, SandboxSpec};

use super::SandboxError;
use crate::agent::Agent;
use crate::connect::Engine;
use crate::error::{Fault, RequestError};
use crate::image::{Progress, Pull};

impl Engine {
    /// What a sandbox would be, on this engine and with this image, without making it. The image is
    /// there then, and so is the agent's volume.
    ///
    /// # Errors
    ///
    /// As for [`Engine::sandbox`].
    pub async fn plan(
        &self,
        spec: &SandboxSpec,
        pull: Pull,
        agent: &Agent,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ContainerPlan, SandboxError> {
        self.plan_with(None, spec, pull, agent, progress).await
    }

    /// The same where the image may have been looked at already.
    pub(super) async fn plan_with(
        &self,
        image: Option<ImageInspect>,
        spec: &SandboxSpec,
        pull: Pull,
        agent: &Agent,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ContainerPlan, SandboxError> {
        let found = match image {
            Some(found) => found,
            None => Box::pin(self.image(&spec.image, pull, progress)).await?,
        };
        let config = image_config(&spec.image, &found)?;
        // Boxed, so that what callers hold meanwhile stays small.
        let delivery = Box::pin(async {
            if let Agent::Volume(binary) = agent {
                self.agent_volume(binary, &spec.image).await?;
            }
            Ok(())
        });
        let facts = Box::pin(self.host_facts(spec, agent.delivery()));
        let ((), facts) = tokio::try_join!(delivery, facts)?;
        plan(spec, &config, &facts).map_err(SandboxError::Problems)
    }
}

/// What plans ask of an image.
pub(super) fn image_config(image: &str, found: &ImageInspect) -> Result<ImageConfig, RequestError> {
    let value = serde_json::to_value(found).and_then(serde_json::from_value);
    let found: InspectedImage = value.map_err(|err| {
        let source = bollard::errors::Error::JsonSerdeError { err };
        RequestError::new(format!("inspect image {image}"), Fault::Garbled { source })
    })?;
    Ok(ImageConfig::from(found))
}
