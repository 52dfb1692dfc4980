//! What the engine's API takes: the body of `POST /containers/create`, of version 1.41.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::env;
use crate::host::Flavour;
use crate::plan::{ContainerPlan, Masks, Seccomp};

use super::Inputs;

/// The body of `POST /containers/create?name=NAME`. Its JSON holds secrets, its `Debug` does not.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are the API's, by its names")]
#[non_exhaustive]
pub struct CreateBody {
    pub image: String,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub working_dir: String,
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub host_config: HostConfig,
}

impl fmt::Debug for CreateBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateBody")
            .field("image", &self.image)
            .field("user", &self.user)
            .field("working_dir", &self.working_dir)
            .field("env", &env::names(&self.env))
            .field("entrypoint", &self.entrypoint)
            .field("cmd", &self.cmd)
            .field("labels", &self.labels)
            .field("host_config", &self.host_config)
            .finish_non_exhaustive()
    }
}

/// What the container may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are the API's, by its names")]
#[non_exhaustive]
pub struct HostConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountBody>,
    pub tmpfs: BTreeMap<String, String>,
    pub network_mode: String,
    pub auto_remove: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub ipc_mode: String,
    pub cgroupns_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    pub oom_kill_disable: bool,
    pub pids_limit: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nano_cpus: Option<u64>,
    pub shm_size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
}

/// One of [`HostConfig::mounts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the fields are the API's, by its names")]
#[non_exhaustive]
pub struct MountBody {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub source: String,
    pub target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// The body for a plan. It holds no `extra_args`: see [`create`](super::create).
#[must_use]
pub fn create(plan: &ContainerPlan, inputs: &Inputs) -> CreateBody {
    let variables = plan
        .env
        .iter()
        .map(|(name, value)| format!("{name}={}", value.expose()))
        .collect();
    let (masked_paths, readonly_paths) = match &plan.masks {
        Masks::EngineDefault => (None, None),
        Masks::Explicit(paths) => (Some(paths.masked.clone()), Some(paths.readonly.clone())),
    };
    let mut security_opt = vec!["no-new-privileges".to_owned()];
    match plan.seccomp {
        // Its API opens it as a path.
        Seccomp::Talaria { .. } if inputs.flavour == Flavour::Podman => {
            security_opt.push(format!("seccomp={}", inputs.seccomp.path));
        }
        Seccomp::Talaria { .. } => security_opt.push(format!("seccomp={}", inputs.seccomp.json)),
        Seccomp::EngineDefault => {}
        Seccomp::Unconfined => security_opt.push("seccomp=unconfined".to_owned()),
    }
    security_opt.extend(super::mask_option(plan, inputs.flavour));
    let (binds, mounts): (Vec<_>, Vec<_>) = plan
        .mounts
        .iter()
        .partition(|mount| mount.selinux.is_some());
    let limits = &plan.limits;
    CreateBody {
        image: plan.image.clone(),
        // What the command line sends; the two make the same container.
        attach_stdout: true,
        attach_stderr: true,
        user: plan.user.clone(),
        working_dir: plan.cwd.to_string(),
        env: variables,
        entrypoint: plan.entrypoint.clone(),
        cmd: plan.command.clone(),
        labels: plan.labels(),
        host_config: HostConfig {
            binds: binds
                .into_iter()
                .map(crate::mount::Mount::bind_string)
                .collect(),
            mounts: mounts
                .into_iter()
                .map(|mount| MountBody {
                    kind: match mount.source {
                        crate::mount::Source::Bind(_) => "bind",
                        crate::mount::Source::Volume(_) => "volume",
                    },
                    source: mount.source.as_str().to_owned(),
                    target: mount.target.to_string(),
                    read_only: mount.read_only,
                })
                .collect(),
            tmpfs: plan
                .tmpfs
                .iter()
                .map(|tmpfs| {
                    let options = super::tmpfs_options(tmpfs, inputs.flavour);
                    (tmpfs.target.to_string(), options)
                })
                .collect(),
            network_mode: plan.network.engine_name().to_owned(),
            auto_remove: !plan.persist,
            cap_add: super::capabilities(plan, inputs.flavour)
                .iter()
                .map(|cap| cap.name().to_owned())
                .collect(),
            cap_drop: vec!["ALL".to_owned()],
            security_opt,
            ipc_mode: "private".to_owned(),
            cgroupns_mode: "private".to_owned(),
            runtime: plan.runtime.clone(),
            init: plan.engine_init.then_some(true),
            oom_kill_disable: false,
            pids_limit: limits.pids.map_or(-1, i64::from),
            memory: limits.memory.map(crate::limits::Size::bytes),
            memory_swap: limits.memory_swap.map(crate::limits::Size::bytes),
            nano_cpus: limits.cpus.map(crate::limits::Cpus::nanos),
            shm_size: limits.shm.bytes(),
            storage_opt: limits
                .disk
                .map(|disk| ("size".to_owned(), disk.bytes().to_string()))
                .into_iter()
                .collect(),
            masked_paths,
            readonly_paths,
        },
    }
}
