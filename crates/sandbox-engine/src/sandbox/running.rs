//! Attaching to a sandbox that runs and is what is asked for, in one round of questions.

use bollard::models::ImageInspect;
use sandbox_core::drift::drift;
use sandbox_core::inspect::ContainerState;
use sandbox_core::plan::plan;
use sandbox_core::{Difference, HostFacts, SandboxSpec, labels};

use super::plan::image_config;
use super::{Attached, Sandbox, SandboxError, inspected};
use crate::agent::Agent;
use crate::connect::Engine;
use crate::image::Pull;

/// What came of looking for it.
pub(super) enum Running {
    Sandbox(Box<Sandbox>),
    Not(Box<Seen>),
}

/// What has been seen on the way, and need not be looked at again.
pub(super) struct Seen {
    pub(super) image: Option<ImageInspect>,
    /// Whether there is no container of that name.
    pub(super) is_absent: bool,
}

impl Engine {
    /// The sandbox of that name, where it runs and is what is asked for, and nothing at all is to be
    /// done about it, or to be told.
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
    ) -> Result<Running, SandboxError> {
        let not = |image, is_absent| Ok(Running::Not(Box::new(Seen { image, is_absent })));
        if pull == Pull::Always {
            return not(None, false);
        }
        let (found, image) = tokio::join!(self.look(name), self.look_for_image(&spec.image));
        let image = image?;
        let found = match found {
            Ok(found) => found,
            Err(error) if error.fault.is_not_found() => return not(image, true),
            Err(error) => return Err(error.into()),
        };
        let Some(image) = image else {
            return not(None, false);
        };
        let seen = inspected(&found)?;
        let facts = seen
            .label(labels::HOST)
            .and_then(|label| HostFacts::from_label(label, self.engine_masks(), agent.delivery()));
        let is_ours = seen.label(labels::IDENTITY) == Some(spec.identity.digest().as_str());
        let runs = ContainerState::from(seen.state.status.as_str()) == ContainerState::Running;
        let Some(facts) = facts.filter(|_| is_ours && runs) else {
            return not(Some(image), false);
        };
        // What is wrong with it is told where the engine has been asked.
        let Ok(plan) = plan(spec, &image_config(&spec.image, &image)?, &facts) else {
            return not(Some(image), false);
        };
        let differences = drift(&plan, &seen);
        if differences.iter().any(Difference::decides) {
            return not(Some(image), false);
        }
        let attached = Attached::Reused;
        let sandbox = self.got(spec, &plan, agent, seen.id, attached, differences);
        Ok(Running::Sandbox(Box::new(sandbox)))
    }
}
