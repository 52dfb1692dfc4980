//! What the engine says of itself, in the words in which plans ask for it.

use sandbox_core::render::{Inputs, SeccompText};
use sandbox_core::seccomp::{SeccompInput, profile};
use sandbox_core::{
    AgentDelivery, ContainerPlan, Flavour, HostFacts, Limit, MaskedPaths, SandboxSpec,
};

use crate::connect::Engine;
use crate::error::RequestError;

impl Engine {
    /// What this engine's host has. Whether disks can be limited is tried out only where the spec
    /// asks for it.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn host_facts(
        &self,
        spec: &SandboxSpec,
        agent: AgentDelivery,
    ) -> Result<HostFacts, RequestError> {
        let asks_for_disk = matches!(spec.disk, Limit::Set(_));
        let quota_works = if asks_for_disk {
            self.disk_quota_works(&spec.image).await
        } else {
            None
        };
        let info = self.info().await?;
        let options = info.security_options.iter().flatten();
        let has = |word: &str| options.clone().any(|option| option.contains(word));
        let named = |(name, _): (&String, &_)| name.clone();
        // What an engine does not mention is not known to be missing.
        let can = |flag: Option<bool>| flag.unwrap_or(true);
        let mut runtimes: Vec<String> = info.runtimes.iter().flatten().map(named).collect();
        runtimes.sort_unstable();
        Ok(HostFacts {
            storage_driver: info.driver.clone().unwrap_or_default(),
            quota_works,
            memory_limit: can(info.memory_limit),
            swap_limit: can(info.swap_limit),
            cpu_limit: can(info.cpu_cfs_quota),
            pids_limit: can(info.pids_limit),
            cpus: info.ncpu.and_then(|count| u32::try_from(count).ok()),
            runtimes,
            default_runtime: info.default_runtime.clone().filter(|name| !name.is_empty()),
            seccomp: has("seccomp"),
            rootless: has("rootless"),
            masks: self.engine_masks(),
            agent,
        })
    }

    /// What this engine hides by itself, as far as that is known.
    pub(super) fn engine_masks(&self) -> Option<MaskedPaths> {
        (self.flavour() == Flavour::Docker).then(MaskedPaths::docker_20_10)
    }

    /// What a rendering of `plan` needs for this engine.
    #[must_use]
    pub fn render_inputs(&self, plan: &ContainerPlan) -> Inputs {
        let capabilities = plan.capabilities.iter().map(|one| one.name());
        let json = profile(&SeccompInput::new(capabilities)).to_json();
        Inputs {
            flavour: self.flavour(),
            seccomp: SeccompText {
                path: self.profile_path(&json),
                json,
            },
            program: match self.flavour() {
                Flavour::Docker => "docker",
                Flavour::Podman => "podman",
            }
            .to_owned(),
            agent_directory: "agent".to_owned(),
        }
    }
}
