//! What a sandbox is to be, as values: specs, plans, renderings and decisions, without an engine.
//!
//! A *sandbox* is a hardened container in which an agent's commands run. This crate decides what that
//! container is like and what is done with one that is there already. It reads no environment, clock,
//! disk or socket: whatever it has to know is handed to it.
//!
//! # From a spec to a container
//!
//! ```text
//! SpecFile ── SandboxSpec ── ContainerPlan ─┬─ CreateBody   the Engine API's body
//!   TOML,   Caller      ImageConfig,        └─ Commands     docker create, cp, start
//!   JSON,               HostFacts
//!   flags
//! ```
//!
//! ```
//! use sandbox_core::inspect::ImageConfig;
//! use sandbox_core::{Caller, HostFacts, Owner, SandboxSpec, SpecFile, plan};
//!
//! let file = SpecFile::from_toml(r#"
//!     image = "debian:trixie"
//!     memory = "1g"
//!     env.LANG = "C.UTF-8"
//! "#)?;
//! let caller = Caller::new(Owner::new("0f3a:1000")?);
//! let spec = SandboxSpec::try_from(file, &caller)?;
//! let plan = plan::plan(&spec, &ImageConfig::default(), &HostFacts::default())?;
//! assert_eq!(plan.limits.pids, Some(256));
//! assert_eq!(plan.digest().len(), 64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! 1. [`SpecFile`] is what somebody wrote; [`SandboxSpec::try_from`] checks every field and tells
//!    [everything](Problems) that is wrong at once.
//! 2. [`plan::plan`] adds what the [image](inspect::ImageConfig) and the [host](HostFacts) say:
//!    [whose init](init::decide) is the first program, which limits can be enforced. A limit that was
//!    asked for and cannot be enforced is an error; a default that cannot is
//!    [reported](ContainerPlan::unenforced).
//! 3. [`render::create`] gives what the engine is told. Two renderings of one plan make the same
//!    container.
//!
//! # A sandbox that is there already
//!
//! [`drift::drift`] compares what the engine says of it, an [`Inspected`](inspect::Inspected), with a
//! plan, [`reuse::decide`] says whether it is attached to, started, recreated or left alone,
//! [`reuse::choose`] which of several it is, and [`reap::decide`] whether anybody needs it.
//!
//! [`posture`] says what has to hold inside a sandbox, `Posture::of(&plan)` for the one of a plan,
//! and compares it with what its probes found.
//!
//! # Secrets
//!
//! A [`Secret`] is in no `Debug`, argument, label or JSON form of a plan. Values that are written in
//! so many words, `{ secret = "…" }`, that come from the caller's variables, that hold a password in
//! an address, or whose name [looks like a secret's](EnvName::looks_secret) are such.
//!
//! - The [digest](ContainerPlan::digest) of a plan stands on a label that anybody on the engine can
//!   read. Secrets count in it only under a random [`DigestKey`].
//! - A container that is there may hold secrets that its plan knows nothing of. So a [`Difference`]
//!   never shows the value of a variable, a word of a command or a label that is not ours, nor does
//!   the `Debug` of what an engine [says](inspect).
//! - They are in the container's own configuration, where whoever can ask the engine reads them; what
//!   must not be there is [forwarded](env::forward) to each session instead.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod drift;
pub mod env;
mod hash;
mod host;
pub mod init;
pub mod inspect;
pub mod labels;
mod lease;
pub mod limits;
pub mod mount;
mod name;
mod network;
mod outcome;
mod path;
pub mod plan;
mod podman;
pub mod posture;
mod problem;
pub mod reap;
pub mod render;
pub mod reuse;
pub mod seccomp;
mod secret;
mod spec;
pub mod text;

pub use drift::Difference;
pub use env::{EnvName, EnvValue};
pub use host::{AgentDelivery, Flavour, HostFacts, MaskedPaths};
pub use init::{Entrypoint, Init, InitKind};
pub use lease::{Lease, LeaseError};
pub use limits::{Cpus, Limit, Limits, Size};
pub use name::{Identity, IdentityDigest, NAME_MAX, NameError, Owner, Profile, TaskId};
pub use network::{Network, NetworkError};
pub use outcome::{Captured, End, Outcome, Via};
pub use path::{AbsPath, HostPath, PathError};
pub use plan::{Capability, ContainerPlan, Known, Masks, Seccomp, Unenforced};
pub use problem::{Problem, Problems};
pub use secret::{DigestKey, Secret};
pub use spec::{
    Caller, Draft, EnvFile, FromName, MountFile, MountTable, SandboxSpec, Scalar, SeccompChoice,
    SecretValue, SpecFile, User, Workspace,
};
