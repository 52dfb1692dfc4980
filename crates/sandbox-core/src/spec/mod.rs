//! What a sandbox is to be, checked.

mod file;
mod parse;
mod read;

use std::collections::BTreeMap;

use serde::Serialize;

pub use file::{EnvFile, FromName, MountFile, MountTable, Scalar, SecretValue, SpecFile};
pub use read::Draft;

use crate::env::{EnvName, EnvValue};
use crate::init::Entrypoint;
use crate::lease::Lease;
use crate::limits::{Cpus, Limit, Size};
use crate::mount::Mount;
use crate::name::{Identity, Owner};
use crate::network::Network;
use crate::path::{AbsPath, HostPath};
use crate::problem::{Gather, Problems};
use crate::reuse::Policy;
use crate::secret::{DigestKey, Secret};

/// Who asks for a sandbox, and what would otherwise be read from the surroundings.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose the sandbox is.
    pub owner: Owner,
    /// The home directory: what `~` stands for in mounts.
    pub home: Option<HostPath>,
    /// The working directory, if it exists: relative mounts begin here, and `mount_cwd` mounts it.
    pub cwd: Option<HostPath>,
    /// Where persistent directories of sandboxes are kept.
    pub data_dir: Option<HostPath>,
    /// The user's id, where the platform has such.
    pub uid: Option<u32>,
    /// The user's group's id.
    pub gid: Option<u32>,
    /// The caller's variables, for `{ from = "NAME" }`.
    pub env: BTreeMap<String, Secret>,
    /// Engines' sockets that are known to be on this host.
    pub engine_sockets: Vec<HostPath>,
    /// What plans' digests are keyed with. Without it the values of secrets do not count in them,
    /// which matters only where there are `extra_args`: there the digest alone tells drift.
    pub digest_key: Option<DigestKey>,
}

impl Caller {
    /// A caller of whom nothing but the owner is known.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            home: None,
            cwd: None,
            data_dir: None,
            uid: None,
            gid: None,
            env: BTreeMap::new(),
            engine_sockets: Vec::new(),
            digest_key: None,
        }
    }
}

/// As whom a container starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// As whom the image says.
    #[default]
    Image,
    /// As this user, and this group.
    Ids {
        /// The user's id.
        uid: u32,
        /// The group's id; the engine takes 0, or what the image's passwd says, where it is left out.
        gid: Option<u32>,
    },
}

/// What `/workspace` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workspace {
    /// A mount that the spec lists.
    Mount,
    /// The caller's working directory.
    HostCwd,
    /// A directory that outlives the container.
    Persistent,
    /// A temporary file system.
    Tmpfs,
}

/// Which system calls a sandbox may make, as the spec says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeccompChoice {
    /// Our own profile.
    #[default]
    Talaria,
    /// The engine's.
    EngineDefault,
    /// All.
    Unconfined,
}

/// What a sandbox is to be. Every value in it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field that people write so"
)]
pub struct SandboxSpec {
    /// The image's reference: no blanks, no leading dash.
    pub image: String,
    /// Whose it is, and what for.
    pub identity: Identity,
    /// The working directory.
    pub cwd: AbsPath,
    /// Processors.
    pub cpus: Limit<Cpus>,
    /// Memory.
    pub memory: Limit<Size>,
    /// The writable layer.
    pub disk: Limit<Size>,
    /// Processes and threads.
    pub pids: Limit<u32>,
    /// `/dev/shm`; never unlimited.
    pub shm: Limit<Size>,
    /// The network.
    pub network: Network,
    /// As whom it starts.
    pub user: User,
    /// All mounts but the agent's, no two at one place.
    pub mounts: Vec<Mount>,
    /// What `/workspace` is.
    pub workspace: Workspace,
    /// Whether `/root` and `/workspace` outlive the container.
    pub persistent_filesystem: bool,
    /// The container's variables.
    pub env: BTreeMap<EnvName, EnvValue>,
    /// Labels of the container, beside ours and in place of those that begin with `hermes-`.
    pub labels: BTreeMap<String, String>,
    /// The caller's variables that each session is given. Not part of the container.
    pub forward: Vec<EnvName>,
    /// Whether it outlives its client.
    pub persist: bool,
    /// What is done with the image's entrypoint.
    pub entrypoint: Entrypoint,
    /// System calls.
    pub seccomp: SeccompChoice,
    /// Whether the engine's own list of hidden paths will do.
    pub engine_masks: bool,
    /// Arguments that nobody looks at.
    pub extra_args: Vec<String>,
    /// The runtime.
    pub runtime: Option<String>,
    /// The lease.
    pub lease: Lease,
    /// What to do on drift.
    pub on_drift: Policy,
    /// Whether limits may be left out where they cannot be enforced.
    pub allow_unenforced: bool,
    /// What the plan's digest is keyed with.
    pub digest_key: Option<DigestKey>,
}

impl SandboxSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong, each with its field.
    pub fn try_from(file: SpecFile, caller: &Caller) -> Result<Self, Problems> {
        parse::spec(file, Gather::default(), caller)
    }
}
