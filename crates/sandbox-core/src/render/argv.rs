//! What the engine's command line takes.

use std::fmt;

use crate::env::EnvValue;
use crate::host::AgentDelivery;
use crate::plan::{AGENT_DIRECTORY, ContainerPlan, Seccomp};
use crate::secret::Secret;

use super::Inputs;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program and its arguments. No secret is among them.
    pub argv: Vec<String>,
    /// Variables to run it with, to which its arguments refer by `-e NAME`.
    pub env: Vec<(String, Secret)>,
}

impl fmt::Display for Step {
    /// As a line of shell. Secrets are left out: their variables have to be set by whoever runs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.argv.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&b);
            if !word.is_empty() && word.bytes().all(plain) {
                f.write_str(word)?;
            } else {
                write!(f, "'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// The commands that make and start a container, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// `create`, `cp` where the agent is uploaded, `start`.
    pub steps: Vec<Step>,
    /// What of the plan a command line cannot say.
    pub unsaid: Vec<&'static str>,
}

/// The commands for a plan.
#[must_use]
pub fn create(plan: &ContainerPlan, inputs: &Inputs) -> Commands {
    let step = |words: &[&str]| Step {
        argv: std::iter::once(inputs.program.as_str())
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect(),
        env: Vec::new(),
    };
    let mut steps = vec![create_step(plan, inputs)];
    if plan.agent == AgentDelivery::Upload {
        let target = format!("{}:{AGENT_DIRECTORY}", plan.name);
        steps.push(step(&["cp", &inputs.agent_directory, &target]));
    }
    steps.push(step(&["start", &plan.name]));
    Commands {
        steps,
        unsaid: super::unsaid(plan, inputs.flavour),
    }
}

fn create_step(plan: &ContainerPlan, inputs: &Inputs) -> Step {
    let mut argv = vec![inputs.program.clone(), "create".to_owned()];
    let mut secrets = Vec::new();
    let mut flag = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
    flag("--name", &plan.name);
    for (key, value) in plan.labels() {
        flag("--label", &format!("{key}={value}"));
    }
    flag("--workdir", plan.cwd.as_str());
    if let Some(user) = &plan.user {
        flag("--user", user);
    }
    flag("--cap-drop", "ALL");
    for capability in super::capabilities(plan, inputs.flavour) {
        flag("--cap-add", capability.name());
    }
    flag("--security-opt", "no-new-privileges");
    match plan.seccomp {
        Seccomp::Talaria { .. } => {
            flag(
                "--security-opt",
                &format!("seccomp={}", inputs.seccomp.path),
            );
        }
        Seccomp::EngineDefault => {}
        Seccomp::Unconfined => flag("--security-opt", "seccomp=unconfined"),
    }
    if let Some(option) = super::mask_option(plan, inputs.flavour) {
        flag("--security-opt", &option);
    }
    flag("--ipc", "private");
    flag("--cgroupns", "private");
    flag("--network", plan.network.engine_name());
    let limits = &plan.limits;
    flag(
        "--pids-limit",
        &limits
            .pids
            .map_or_else(|| "-1".to_owned(), |pids| pids.to_string()),
    );
    if let Some(memory) = limits.memory {
        flag("--memory", &memory.bytes().to_string());
    }
    if let Some(swap) = limits.memory_swap {
        flag("--memory-swap", &swap.bytes().to_string());
    }
    if let Some(cpus) = limits.cpus {
        flag("--cpus", &cpus.to_string());
    }
    flag("--shm-size", &limits.shm.bytes().to_string());
    if let Some(disk) = limits.disk {
        flag("--storage-opt", &format!("size={}", disk.bytes()));
    }
    if let Some(runtime) = &plan.runtime {
        flag("--runtime", runtime);
    }
    for tmpfs in &plan.tmpfs {
        let options = super::tmpfs_options(tmpfs, inputs.flavour);
        flag("--tmpfs", &format!("{}:{options}", tmpfs.target));
    }
    for mount in &plan.mounts {
        match mount.selinux {
            Some(_) => flag("--volume", &mount.bind_string()),
            None => flag("--mount", &mount.mount_string()),
        }
    }
    for (name, value) in &plan.env {
        match value {
            EnvValue::Plain(value) => flag("--env", &format!("{name}={value}")),
            EnvValue::Secret(secret) => {
                flag("--env", name.as_str());
                secrets.push((name.to_string(), secret.clone()));
            }
        }
    }
    let first = plan.entrypoint.as_ref().and_then(|words| words.first());
    if let Some(first) = first {
        flag("--entrypoint", first);
    }
    if plan.engine_init {
        argv.push("--init".to_owned());
    }
    if !plan.persist {
        argv.push("--rm".to_owned());
    }
    argv.extend(plan.extra_args.iter().cloned());
    argv.push(plan.image.clone());
    argv.extend(plan.entrypoint.iter().flatten().skip(1).cloned());
    argv.extend(plan.command.iter().cloned());
    Step { argv, env: secrets }
}
