//! The decisions.

use super::limits::{LeftOut, limits, seccomp};
use super::tmpfs::tmpfs;
use super::{AGENT, AGENT_DIRECTORY, Capability, ContainerPlan, DIRECT, Known, Masks, Unenforced};
use crate::host::{AgentDelivery, HostFacts, MaskedPaths};
use crate::init::{self, Init};
use crate::inspect::ImageConfig;
use crate::lease::Lease;
use crate::mount::{Mount, Role, Source};
use crate::network::Network;
use crate::path::AbsPath;
use crate::problem::{Gather, Problem, Problems};
use crate::spec::{SandboxSpec, User};

/// Works out the container for a spec.
///
/// # Errors
/// [`Problems`]: every limit that was asked for and cannot be enforced on this host (unless the spec
/// allows that), and whatever else the host cannot do.
pub fn plan(
    spec: &SandboxSpec,
    image: &ImageConfig,
    host: &HostFacts,
) -> Result<ContainerPlan, Problems> {
    let mut gather = Gather::default();
    let mut unenforced = Vec::new();
    let mut left_out = LeftOut {
        gather: &mut gather,
        list: &mut unenforced,
        allowed: spec.allow_unenforced,
    };
    let limits = limits(spec, host, &mut left_out);
    let seccomp = seccomp(spec, host, &mut left_out);
    if host.agent == AgentDelivery::None && spec.lease != Lease::None {
        left_out.list.push(Unenforced {
            field: "lease".into(),
            wanted: spec.lease.to_string(),
            why: "there is no agent inside that could count it".into(),
            explicit: false,
        });
    }
    runtime(&mut gather, spec, host);

    let (user, starts_as_root) = match spec.user {
        User::Image => (None, is_root(&image.user)),
        User::Ids { uid, gid: None } => (Some(uid.to_string()), uid == 0),
        User::Ids {
            uid,
            gid: Some(gid),
        } => (Some(format!("{uid}:{gid}")), uid == 0),
    };
    let init = init::decide(image, spec.entrypoint);
    let (entrypoint, command) = main_program(init, host, spec);
    let plan = ContainerPlan {
        version: 1,
        name: spec.identity.container_name(),
        identity: spec.identity.digest(),
        owner: spec.identity.owner.digest(),
        task: spec.identity.task.to_string(),
        profile: spec.identity.profile.to_string(),
        image: spec.image.clone(),
        image_id: image.id.clone(),
        init,
        engine_init: host.agent == AgentDelivery::None && init == Init::Ours,
        entrypoint,
        command,
        agent: host.agent.clone(),
        tmpfs: tmpfs(spec, init),
        user,
        starts_as_root,
        cwd: spec.cwd.clone(),
        env: spec.env.clone(),
        labels: spec.labels.clone(),
        mounts: mounts(spec, host),
        workspace: spec.workspace,
        network: spec.network.clone(),
        capabilities: capabilities(starts_as_root),
        seccomp,
        masks: masks(spec, host),
        limits,
        runtime: spec.runtime.clone(),
        persist: spec.persist,
        lease: spec.lease,
        extra_args: spec.extra_args.clone(),
        unenforced,
        known: known(image, host),
        digest_key: spec.digest_key.clone(),
    };
    gather.finish(Some(plan))
}

fn known(image: &ImageConfig, host: &HostFacts) -> Known {
    let looked_at = !image.id.is_empty();
    Known {
        image_env: image.env.clone(),
        image_entrypoint: looked_at.then(|| image.entrypoint.clone()),
        image_user: looked_at.then(|| image.user.clone()),
        host: host.clone(),
    }
}

fn runtime(gather: &mut Gather, spec: &SandboxSpec, host: &HostFacts) {
    if let Some(runtime) = &spec.runtime
        && !host.runtimes.is_empty()
        && !host.runtimes.contains(runtime)
    {
        gather.add(
            Problem::new(
                "runtime",
                format!("the engine knows no runtime `{runtime}`"),
            )
            .hint(format!("it knows: {}", host.runtimes.join(", "))),
        );
    }
}

/// Those of the spec, and our agent's.
fn mounts(spec: &SandboxSpec, host: &HostFacts) -> Vec<Mount> {
    let mut mounts = spec.mounts.clone();
    if let AgentDelivery::Volume { name } = &host.agent {
        mounts.push(Mount {
            source: Source::Volume(name.clone()),
            target: AbsPath::new(AGENT_DIRECTORY)
                .unwrap_or_else(|_| unreachable!("the agent's directory is a path")),
            read_only: true,
            selinux: None,
            role: Role::Agent,
        });
    }
    mounts
}

fn capabilities(starts_as_root: bool) -> Vec<Capability> {
    let mut capabilities = vec![
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
    ];
    if starts_as_root {
        capabilities.extend([Capability::Kill, Capability::Setgid, Capability::Setuid]);
    }
    capabilities
}

fn masks(spec: &SandboxSpec, host: &HostFacts) -> Masks {
    let ours = MaskedPaths::talaria();
    if spec.engine_masks || host.masks.as_ref().is_some_and(|m| m.covers(&ours)) {
        Masks::EngineDefault
    } else {
        Masks::Explicit(ours)
    }
}

fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or(user);
    user.is_empty() || user == "root" || user.parse() == Ok(0_u32)
}

/// The entrypoint, if the image's own is not kept, and the command.
fn main_program(
    init: Init,
    host: &HostFacts,
    spec: &SandboxSpec,
) -> (Option<Vec<String>>, Vec<String>) {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let lease = spec.lease.seconds().to_string();
    let (program, mut arguments) = match host.agent {
        AgentDelivery::None => ("sleep", words(&["infinity"])),
        _ => (AGENT, words(&["serve", "--lease", &lease])),
    };
    // Where nobody else can listen, and nothing but what it says is heard.
    if program == AGENT && init == Init::Ours && spec.network == Network::Isolated {
        arguments.push(DIRECT.to_owned());
    }
    match init {
        Init::Ours => (Some(words(&[program])), arguments),
        Init::Image { .. } | Init::Kept => (None, [words(&[program]), arguments].concat()),
    }
}
