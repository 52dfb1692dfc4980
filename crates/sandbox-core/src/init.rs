//! Which program is the first in a container: the image's own init, or our agent.

use serde::Serialize;

use crate::inspect::ImageConfig;

/// What is done with an image's entrypoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrypoint {
    /// An init is kept, anything else is replaced by our agent.
    #[default]
    Auto,
    /// It is kept, whatever it is, and told to run our agent.
    Keep,
}

/// The inits that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitKind {
    /// `/init`: s6-overlay's, or one that is like it. It runs programs that it writes to `/run`.
    S6,
    /// tini.
    Tini,
    /// dumb-init.
    DumbInit,
    /// catatonit.
    Catatonit,
    /// docker-init, which is tini under another name.
    DockerInit,
}

/// Which program is the first in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Init {
    /// Our agent.
    Ours,
    /// The image's own init; our agent is its child.
    Image {
        /// Which one.
        kind: InitKind,
    },
    /// An entrypoint of the image's that is not known to be an init, kept because the spec says so.
    Kept,
}

/// Which program is to be the first, from the image's own configuration.
///
/// ```
/// use sandbox_core::{init, inspect::ImageConfig, Entrypoint, Init, InitKind};
/// let image = ImageConfig { entrypoint: vec!["/usr/bin/tini".into(), "--".into()], ..ImageConfig::default() };
/// assert_eq!(init::decide(&image, Entrypoint::Auto), Init::Image { kind: InitKind::Tini });
/// ```
#[must_use]
pub fn decide(image: &ImageConfig, entrypoint: Entrypoint) -> Init {
    let Some(first) = image.entrypoint.first() else {
        return Init::Ours;
    };
    let name = first.rsplit('/').next().unwrap_or(first);
    let kind = match name {
        "init" if ["/init", "/package/admin/s6-overlay/command/init"].contains(&first.as_str()) => {
            Some(InitKind::S6)
        }
        "s6-overlay" | "s6-overlay-init" => Some(InitKind::S6),
        "tini" | "tini-static" => Some(InitKind::Tini),
        "dumb-init" => Some(InitKind::DumbInit),
        "catatonit" => Some(InitKind::Catatonit),
        "docker-init" => Some(InitKind::DockerInit),
        _ => None,
    };
    match (kind, entrypoint) {
        (Some(kind), _) => Init::Image { kind },
        (None, Entrypoint::Auto) => Init::Ours,
        (None, Entrypoint::Keep) => Init::Kept,
    }
}
