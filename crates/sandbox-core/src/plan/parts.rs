//! What a plan is made of.

use std::fmt;

use serde::Serialize;

use crate::env;
use crate::host::{HostFacts, MaskedPaths};
use crate::path::AbsPath;

/// A capability that a sandbox may be given. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// Give files away: package managers do.
    Chown,
    /// Read and write files whatever their mode.
    DacOverride,
    /// Change the modes of others' files.
    Fowner,
    /// Signal other users' processes: what has dropped to another user.
    Kill,
    /// Change groups.
    Setgid,
    /// Change users.
    Setuid,
}

impl Capability {
    /// The name, without `CAP_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chown => "CHOWN",
            Self::DacOverride => "DAC_OVERRIDE",
            Self::Fowner => "FOWNER",
            Self::Kill => "KILL",
            Self::Setgid => "SETGID",
            Self::Setuid => "SETUID",
        }
    }
}

/// Which system calls a container may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Seccomp {
    /// Those of our profile.
    Talaria {
        /// Its version.
        version: u32,
    },
    /// Those that the engine allows.
    EngineDefault,
    /// All, since the spec says `unconfined`.
    Unconfined,
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Talaria { version } => write!(f, "talaria-{version}"),
            Self::EngineDefault => f.pad("engine-default"),
            Self::Unconfined => f.pad("unconfined"),
        }
    }
}

/// Which paths are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Masks {
    /// What the engine hides anyway, since that is the same or was asked for.
    EngineDefault,
    /// These. A docker command line cannot say so.
    Explicit(MaskedPaths),
}

/// A temporary file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Where it is in the container.
    pub target: AbsPath,
    /// Its options, as `docker run --tmpfs` takes them.
    pub options: String,
}

/// A limit or protection that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unenforced {
    /// The field of the spec.
    pub field: String,
    /// What it should have been.
    pub wanted: String,
    /// Why it is not.
    pub why: String,
    /// Whether it was asked for, or is a default.
    pub explicit: bool,
}

/// What the image and the engine bring by themselves: not asked for, only known, so that
/// [drift](crate::drift) from it can be told.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The image's own variables, `NAME=value`.
    pub image_env: Vec<String>,
    /// The image's own entrypoint; `None` if the image is not known.
    pub image_entrypoint: Option<Vec<String>>,
    /// The image's own user, as its configuration writes it; `None` if the image is not known.
    pub image_user: Option<String>,
    /// What the engine said of itself and its host.
    pub host: HostFacts,
}

impl fmt::Debug for Known {
    /// Of variables the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("image_env", &env::names(&self.image_env))
            .field("image_entrypoint", &self.image_entrypoint)
            .field("image_user", &self.image_user)
            .field("host", &self.host)
            .finish()
    }
}
