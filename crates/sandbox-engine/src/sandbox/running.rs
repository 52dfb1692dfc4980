//! Attaching to a sandbox that runs and is what is asked for, in one round of questions.

use sandbox_core::drift::drift;
use sandbox_core::inspect::ContainerState;
use sandbox_core::plan::plan;
use sandbox_core::{Difference, HostFacts, SandboxSpec, labels};

use super::plan::image_config;
use super::{Attached, Sandbox, SandboxError, inspected};
use crate::agent::Agent;
use crate::connect::Engine;
use crate::image::Pull;

impl Engine {
    /// The sandbox of that name, where it runs and is what is asked for; nothing where anything at all
    /// is to be done about it, or to be told.
    ///
    /// What the engine says of its host is taken from the sandbox's label, where creation has put it:
    /// to ask again takes Docker longer than all the rest. A sandbox that is down is not attached to
    /// here, so what a reboot or another kernel has changed is not missed.
    pub(super) async fn running(
        &self,
        spec: &SandboxSpec,
        name: &str,
        pull: Pull,
        agent: &Agent,
    ) -> Result<Option<Sandbox>, SandboxError> {
        if pull == Pull::Always {
            return Ok(None);
        }
        let (found, image) = tokio::join!(self.look(name), self.look_for_image(&spec.image));
        let (found, image) = match (found, image?) {
            (Ok(found), Some(image)) => (found, image),
            (Err(error), _) if !error.fault.is_not_found() => return Err(error.into()),
            _ => return Ok(None),
        };
        let seen = inspected(&found)?;
        let facts = seen
            .label(labels::HOST)
            .and_then(|label| HostFacts::from_label(label, self.engine_masks(), agent.delivery()));
        let is_ours = seen.label(labels::IDENTITY) == Some(spec.identity.digest().as_str());
        let runs = ContainerState::from(seen.state.status.as_str()) == ContainerState::Running;
        let Some(facts) = facts.filter(|_| is_ours && runs) else {
            return Ok(None);
        };
        // What is wrong with it is told where the engine has been asked.
        let Ok(plan) = plan(spec, &image_config(&spec.image, &image)?, &facts) else {
            return Ok(None);
        };
        let differences = drift(&plan, &seen);
        if differences.iter().any(Difference::decides) {
            return Ok(None);
        }
        let attached = Attached::Reused;
        Ok(Some(self.got(
            spec,
            &plan,
            agent,
            found,
            attached,
            differences,
        )))
    }
}
