//! From a spec, an image and a host to a container.

mod decide;
mod digest;
mod limits;
mod parts;
mod tmpfs;

use std::collections::BTreeMap;

use serde::Serialize;

pub use decide::plan;
pub use parts::{Capability, Known, Masks, Seccomp, Tmpfs, Unenforced};

use crate::env::{EnvName, EnvValue};
use crate::host::AgentDelivery;
use crate::init::Init;
use crate::labels;
use crate::lease::Lease;
use crate::limits::Limits;
use crate::mount::Mount;
use crate::name::IdentityDigest;
use crate::network::Network;
use crate::path::AbsPath;
use crate::secret::DigestKey;
use crate::spec::Workspace;

/// Where our agent is in a container.
pub const AGENT: &str = "/.talaria/sandbox-agent";
/// The option with which it says where its first client may come to.
pub(crate) const DIRECT: &str = "--direct";
/// Where its volume is mounted.
pub const AGENT_DIRECTORY: &str = "/.talaria";

/// A container as it is to be created. Its JSON form is stable within a `version`; of secrets it
/// holds the names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerPlan {
    /// The version of this form: 1.
    pub version: u32,
    /// The container's name.
    pub name: String,
    /// Which sandbox it is.
    pub identity: IdentityDigest,
    /// Whose it is, as a digest.
    pub owner: String,
    /// The task.
    pub task: String,
    /// The profile.
    pub profile: String,
    /// The image's reference.
    pub image: String,
    /// The image's id; empty if it is not known.
    pub image_id: String,
    /// Which program is the first.
    pub init: Init,
    /// The entrypoint; `None` is the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub command: Vec<String>,
    /// Whether the engine adds an init of its own.
    pub engine_init: bool,
    /// How our agent gets there.
    pub agent: AgentDelivery,
    /// `UID` or `UID:GID`; `None` is the image's own.
    pub user: Option<String>,
    /// Whether it starts as root.
    pub starts_as_root: bool,
    /// The working directory.
    pub cwd: AbsPath,
    /// The variables, those of the image left out.
    pub env: BTreeMap<EnvName, EnvValue>,
    /// Labels that are not ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The mounts, the agent's included.
    pub mounts: Vec<Mount>,
    /// The temporary file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// What `/workspace` is.
    pub workspace: Workspace,
    /// The network.
    pub network: Network,
    /// The capabilities that are left.
    pub capabilities: Vec<Capability>,
    /// System calls.
    pub seccomp: Seccomp,
    /// Hidden paths.
    pub masks: Masks,
    /// Limits.
    pub limits: Limits,
    /// The runtime; `None` is the engine's own.
    pub runtime: Option<String>,
    /// Whether it outlives its client. If not, the engine removes it when it ends.
    pub persist: bool,
    /// The lease.
    pub lease: Lease,
    /// Arguments that nobody looked at.
    pub extra_args: Vec<String>,
    /// What was left out. Not part of the container.
    pub unenforced: Vec<Unenforced>,
    /// What the image and the engine bring. Not part of the container's description.
    #[serde(skip)]
    pub known: Known,
    /// What the digest is keyed with.
    #[serde(skip)]
    pub(crate) digest_key: Option<DigestKey>,
}

impl ContainerPlan {
    /// The plan as JSON, in several lines. Of secrets it holds the names.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| unreachable!("a plan has a JSON form: {error}"))
    }

    /// Whether its agent is told to say, on its output, where its first client may come to.
    #[must_use]
    pub fn is_met_directly(&self) -> bool {
        self.command.iter().any(|word| word == DIRECT)
    }

    /// The labels, the digest among them.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        let modified = if self.is_modified() {
            "extra-args"
        } else {
            "no"
        };
        let mut all: BTreeMap<_, _> = [
            (labels::HERMES_AGENT, "1".to_owned()),
            (labels::HERMES_TASK_ID, labels::sanitise(&self.task)),
            (labels::HERMES_PROFILE, labels::sanitise(&self.profile)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        all.extend(self.labels.clone());
        let own = [
            (labels::SANDBOX, labels::VERSION.to_owned()),
            (labels::IDENTITY, self.identity.as_str().to_owned()),
            (labels::OWNER, self.owner.clone()),
            (labels::TASK, self.task.clone()),
            (labels::PROFILE, self.profile.clone()),
            (labels::PLAN, self.digest()),
            (labels::LEASE, self.lease.seconds().to_string()),
            (labels::PERSIST, yes(self.persist)),
            (labels::SECCOMP, self.seccomp.to_string()),
            (labels::MODIFIED, modified.to_owned()),
            (labels::HOST, self.known.host.to_label()),
        ];
        all.extend(own.map(|(key, value)| (key.to_owned(), value)));
        all
    }

    /// Whether arguments that nobody looked at were added.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        !self.extra_args.is_empty()
    }
}
