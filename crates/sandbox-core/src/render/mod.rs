//! From a plan to what an engine is told.
//!
//! There are two ways to tell it: [`body`] is what its API takes, [`argv`] what its command line
//! takes. Both make the same container, but for what the command line cannot say
//! ([`argv::Commands::unsaid`]) and what the API cannot take (`extra_args`).

pub mod argv;
pub mod body;

use crate::host::Flavour;
use crate::plan::{Capability, ContainerPlan, Masks, Tmpfs};
use crate::podman;
use crate::seccomp::{self, SeccompInput};

/// Our seccomp profile, in the two forms in which engines take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeccompText {
    /// The profile as compact JSON, which Docker's API takes.
    pub json: String,
    /// The path of a file that holds it: for command lines, and for Podman.
    pub path: String,
}

impl SeccompText {
    /// Our profile for a plan's capabilities; `path` is where the caller keeps it as a file, with
    /// [`json`](Self::json) as its content.
    #[must_use]
    pub fn of(plan: &ContainerPlan, path: impl Into<String>) -> Self {
        let capabilities = plan.capabilities.iter().map(|capability| capability.name());
        Self {
            json: seccomp::profile(&SeccompInput::new(capabilities)).to_json(),
            path: path.into(),
        }
    }
}

/// What a rendering needs beside the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Whose words are used.
    pub flavour: Flavour,
    /// Our seccomp profile. Not looked at where the plan does not use it.
    pub seccomp: SeccompText,
    /// The engine's command line program.
    pub program: String,
    /// A directory on the client that holds `sandbox-agent` and nothing else, for uploads.
    pub agent_directory: String,
}

/// How a container is to be created.
#[derive(Clone, Debug)]
pub enum Rendering {
    /// Over the engine's API.
    Api(Box<body::CreateBody>),
    /// By the engine's command line, since there are arguments that only it can read.
    NeedsCli(argv::Commands),
}

/// How this container is to be created.
#[must_use]
pub fn create(plan: &ContainerPlan, inputs: &Inputs) -> Rendering {
    if plan.is_modified() {
        Rendering::NeedsCli(argv::create(plan, inputs))
    } else {
        Rendering::Api(Box::new(body::create(plan, inputs)))
    }
}

/// What a command line leaves unsaid.
pub(crate) fn unsaid(plan: &ContainerPlan, flavour: Flavour) -> Vec<&'static str> {
    match (&plan.masks, flavour) {
        (Masks::Explicit(_), Flavour::Docker) => vec!["masked paths"],
        (Masks::EngineDefault, _) | (Masks::Explicit(_), Flavour::Podman) => Vec::new(),
    }
}

/// The options of a tmpfs in the engine's words.
pub(crate) fn tmpfs_options(tmpfs: &Tmpfs, flavour: Flavour) -> String {
    match flavour {
        Flavour::Docker => tmpfs.options.clone(),
        Flavour::Podman => podman::tmpfs_options(&tmpfs.options),
    }
}

/// The capabilities that are given. Podman gives a user who is not root what is added at once, where
/// Docker only leaves it to programs that could raise it again; of these `no-new-privileges` leaves none.
pub(crate) fn capabilities(plan: &ContainerPlan, flavour: Flavour) -> &[Capability] {
    match flavour {
        Flavour::Podman if !plan.starts_as_root => &[],
        Flavour::Docker | Flavour::Podman => &plan.capabilities,
    }
}

/// The option by which Podman hides paths beside those that it hides by itself; it has none for paths
/// that are read-only. Docker has a field for both.
fn mask_option(plan: &ContainerPlan, flavour: Flavour) -> Option<String> {
    match (&plan.masks, flavour) {
        (Masks::Explicit(paths), Flavour::Podman) => {
            Some(format!("mask={}", paths.masked.join(":")))
        }
        (Masks::EngineDefault, _) | (Masks::Explicit(_), Flavour::Docker) => None,
    }
}
