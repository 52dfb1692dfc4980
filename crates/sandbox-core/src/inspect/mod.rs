//! What an engine says of containers and images: the parts of its answers that matter here.
//!
//! The structs take the answers of `GET /containers/X/json` and `GET /images/X/json`, from Docker
//! and from Podman. What is missing or null is empty.

mod image;
mod state;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::env;

pub use image::ImageConfig;
pub use state::ContainerState;

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

// `Debug` is derived by all but `Config`, which has its own.
macro_rules! answer {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(deserialize_with = "or_default")] pub $field: $type,)*
        }
    };
}

answer! {
    #[derive(Debug)]
    /// A container, as `GET /containers/X/json` tells of it.
    Inspected {
        /// Its id, 64 hexadecimal digits.
        id: String,
        /// Its name, with a slash before it.
        name: String,
        /// When it was created, RFC 3339.
        created: String,
        /// The id of its image, with `sha256:` before it (Podman leaves that out).
        image: String,
        /// Its state.
        state: State,
        /// What runs in it.
        config: Config,
        /// What it may do.
        host_config: HostConfig,
        /// The networks it is on.
        network_settings: NetworkSettings,
        /// The execs that run in it.
        #[serde(rename = "ExecIDs")] exec_ids: Vec<String>,
    }
}
answer! {
    #[derive(Debug)]
    /// The state of a container.
    State {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        status: String,
        /// The code it exited with.
        exit_code: i64,
        /// When it was last started, RFC 3339; the year 1 if never.
        started_at: String,
        /// When it last ended, RFC 3339; the year 1 if never.
        finished_at: String,
        /// Whether the kernel killed it for want of memory.
        #[serde(rename = "OOMKilled")] oom_killed: bool,
    }
}
answer! {
    /// What runs in a container. Its `Debug` shows the names of variables and labels and how many
    /// words a command has, since people put secrets into all of these.
    Config {
        /// The user, as it was asked for.
        user: String,
        /// `NAME=value`, the image's own included.
        env: Vec<String>,
        /// The command.
        cmd: Vec<String>,
        /// The image, as it was asked for.
        image: String,
        /// The working directory.
        working_dir: String,
        /// The entrypoint.
        entrypoint: Words,
        /// The labels, the image's own included.
        labels: BTreeMap<String, String>,
    }
}
answer! {
    #[derive(Debug)]
    /// The networks that a container is on.
    NetworkSettings {
        /// Each by its name.
        networks: BTreeMap<String, serde_json::Value>,
    }
}
answer! {
    #[derive(Debug)]
    /// What a container may do.
    HostConfig {
        /// Mounts written as `HOST:CONTAINER:OPTIONS`.
        binds: Vec<String>,
        /// Mounts written in full.
        mounts: Vec<MountPoint>,
        /// Temporary file systems, their options by their paths.
        tmpfs: BTreeMap<String, String>,
        /// The network.
        network_mode: String,
        /// Capabilities that were added.
        cap_add: Vec<String>,
        /// Capabilities that were dropped.
        cap_drop: Vec<String>,
        /// `no-new-privileges`, `seccomp=…`, `apparmor=…`.
        security_opt: Vec<String>,
        /// Whether every protection is off.
        privileged: bool,
        /// The PID namespace; empty for its own.
        pid_mode: String,
        /// The IPC namespace.
        ipc_mode: String,
        /// The user namespace; empty for the engine's default.
        userns_mode: String,
        /// The UTS namespace; empty for its own.
        #[serde(rename = "UTSMode")] uts_mode: String,
        /// The cgroup namespace.
        cgroupns_mode: String,
        /// Whether the root file system is read-only.
        readonly_rootfs: bool,
        /// The runtime.
        runtime: String,
        /// Whether the engine adds an init.
        init: bool,
        /// Whether the engine removes it when it ends.
        auto_remove: bool,
        /// Processors, in billionths.
        nano_cpus: i64,
        /// Memory in bytes; 0 for no limit.
        memory: i64,
        /// Memory and swap in bytes; -1 for no limit.
        memory_swap: i64,
        /// Processes; 0 or -1 for no limit.
        pids_limit: i64,
        /// `/dev/shm`, in bytes.
        shm_size: i64,
        /// Options of the storage driver.
        storage_opt: BTreeMap<String, String>,
        /// Devices of the host.
        devices: Vec<serde_json::Value>,
        /// Devices that are asked for by what they can do, such as graphics processors.
        device_requests: Vec<serde_json::Value>,
        /// Rules for devices that were not there when it was created.
        device_cgroup_rules: Vec<String>,
        /// Ports of the host, by those of the container.
        port_bindings: BTreeMap<String, serde_json::Value>,
        /// Whether every port that the image names is one of the host's.
        publish_all_ports: bool,
        /// Kernel parameters.
        sysctls: BTreeMap<String, String>,
        /// Whether the engine starts it again when it ends.
        restart_policy: RestartPolicy,
        /// Whether it is spared where memory runs out.
        oom_kill_disable: bool,
        /// Groups beside the user's own.
        group_add: Vec<String>,
        /// Containers whose volumes it has.
        volumes_from: Vec<String>,
        /// Paths that are hidden; `None` where the engine does not say.
        masked_paths: Option<Vec<String>>,
        /// Paths that are read-only; `None` where the engine does not say.
        readonly_paths: Option<Vec<String>>,
    }
}
answer! {
    #[derive(Debug)]
    /// Whether the engine starts a container again.
    RestartPolicy {
        /// `no` or empty, `always`, `on-failure` or `unless-stopped`.
        name: String,
    }
}
answer! {
    #[derive(Debug)]
    /// A mount written in full.
    MountPoint {
        /// `bind`, `volume` or `tmpfs`.
        #[serde(rename = "Type")] kind: String,
        /// The path on the host, or the name of the volume.
        source: String,
        /// The path in the container.
        target: String,
        /// Whether it cannot be written.
        read_only: bool,
    }
}
answer! {
    #[derive(Debug)]
    /// The part of an image's answer that [`ImageConfig`] is made from.
    InspectedImage {
        /// Its id, with `sha256:` before it.
        id: String,
        /// Its configuration.
        config: Config,
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("user", &self.user)
            .field("env", &env::names(&self.env))
            .field("cmd", &format_args!("{} words", self.cmd.len()))
            .field("image", &self.image)
            .field("working_dir", &self.working_dir)
            .field("entrypoint", &self.entrypoint)
            .field("labels", &self.labels.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// The words of an entrypoint. Podman writes them as one string. Its `Debug` counts them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WordsAnswer")]
pub struct Words(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum WordsAnswer {
    Many(Vec<String>),
    One(String),
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.0.len())
    }
}

impl From<WordsAnswer> for Words {
    fn from(answer: WordsAnswer) -> Self {
        Self(match answer {
            WordsAnswer::Many(words) => words,
            WordsAnswer::One(text) => text.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl Inspected {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.labels.get(key).map(String::as_str)
    }
}
