//! What a sandbox can reach.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The network of a sandbox: `none`, `isolated`, or `named:NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// None but the loopback interface.
    None,
    /// The bridge that sandboxes have to themselves, on which they do not reach each other.
    #[default]
    Isolated,
    /// A network of the engine's that exists already.
    Named(String),
}

impl Network {
    /// The name of the bridge behind [`Network::Isolated`].
    pub const ISOLATED: &'static str = "talaria-sandbox";

    /// What the engine calls it.
    #[must_use]
    pub fn engine_name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Isolated => Self::ISOLATED,
            Self::Named(name) => name,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Isolated => f.pad("isolated"),
            Self::Named(name) => f.pad(&format!("named:{name}")),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// It is none of the three forms.
    #[error("`{text}` is none of `none`, `isolated` and `named:NAME`")]
    Form {
        /// The text.
        text: String,
    },
    /// It is another's network namespace, and so no network of the engine's.
    #[error("`{name}` would put the sandbox into a network namespace that is not its own")]
    Shared {
        /// The name.
        name: String,
    },
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text {
            "none" => return Ok(Self::None),
            "isolated" => return Ok(Self::Isolated),
            "host" => return Err(NetworkError::Shared { name: text.into() }),
            _ => {}
        }
        let form = || NetworkError::Form { text: text.into() };
        let name = text.strip_prefix("named:").ok_or_else(form)?;
        if name == "host" || name.starts_with("container:") || name.starts_with("ns:") {
            return Err(NetworkError::Shared { name: name.into() });
        }
        let word = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
            && name
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric());
        if !word || ["none", "default", "private"].contains(&name) {
            return Err(form());
        }
        Ok(if name == Self::ISOLATED {
            Self::Isolated
        } else {
            Self::Named(name.into())
        })
    }
}
