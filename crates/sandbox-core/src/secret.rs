//! Values that must not be seen.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A value that is never shown: it has no `Display`, its `Debug` is `Secret(..)`, and it cannot be
/// serialized.
///
/// It reaches a container through [`body::create`](crate::render::body::create) or the environment
/// of a [`Step`](crate::render::argv::Step), and nothing else.
///
/// ```
/// use sandbox_core::Secret;
/// let token = Secret::new("hunter2");
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// assert_eq!(token.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// What plans' [digests](crate::ContainerPlan::digest) are keyed with: 32 bytes from the system's
/// random source, made once for an installation and kept where only its user can read them.
///
/// It is shown as little as a [`Secret`].
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// Takes random bytes. Anything that can be guessed, such as a hash of a name, makes the key
    /// worse than none: then leave it out.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}
