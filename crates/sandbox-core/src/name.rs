//! Who a sandbox belongs to and what it is for.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::hash::FieldHasher;

/// Why a name is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It has more than [`NAME_MAX`] bytes.
    #[error("has {length} bytes; at most {NAME_MAX} are allowed")]
    TooLong {
        /// How many bytes it has.
        length: usize,
    },
    /// It holds a control character.
    #[error("holds the control character U+{:04X}", u32::from(*.character))]
    Control {
        /// The first of them.
        character: char,
    },
}

/// The most bytes in an [`Owner`], a [`TaskId`] or a [`Profile`].
pub const NAME_MAX: usize = 255;

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_MAX {
        return Err(NameError::TooLong { length: name.len() });
    }
    match name.chars().find(|c| c.is_control()) {
        Some(character) => Err(NameError::Control { character }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a name: 1 to 255 bytes without control characters.
            ///
            /// # Errors
            /// [`NameError`] says which rule it breaks.
            pub fn new(name: impl Into<Box<str>>) -> Result<Self, NameError> {
                let name = name.into();
                check(&name).map(|()| Self(name))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}

name! {
    /// Whose a sandbox is: the installation's id plus the user's UID, in whatever form the caller
    /// writes them. Two owners never share a sandbox. It appears in no label, only as a digest.
    Owner
}
name! {
    /// What a sandbox is for: one task or conversation of an agent.
    TaskId
}
name! {
    /// The agent profile that a sandbox serves.
    Profile
}

impl Default for TaskId {
    /// `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for Profile {
    /// `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl Owner {
    /// The digest of the owner, 64 hexadecimal digits, as the label
    /// [`OWNER`](crate::labels::OWNER) holds it.
    #[must_use]
    pub fn digest(&self) -> String {
        FieldHasher::new("talaria sandbox owner 1")
            .field(self.0.as_bytes())
            .hex()
    }
}

/// Which sandbox: owner, task and profile, each in full.
///
/// ```
/// use sandbox_core::{Identity, Owner, Profile, TaskId};
/// let of = |task| -> Result<Identity, sandbox_core::NameError> {
///     Ok(Identity { owner: Owner::new("host-1:1000")?, task: TaskId::new(task)?, profile: Profile::default() })
/// };
/// // Labels would make one of these two; the digest does not.
/// assert_ne!(of("a:b")?.digest(), of("a_b")?.digest());
/// assert!(of("a:b")?.container_name().starts_with("talaria-"));
/// # Ok::<(), sandbox_core::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Whose it is.
    pub owner: Owner,
    /// What it is for.
    pub task: TaskId,
    /// For which profile.
    pub profile: Profile,
}

impl Identity {
    /// The digest that stands for the identity wherever something is decided.
    #[must_use]
    pub fn digest(&self) -> IdentityDigest {
        let hex = FieldHasher::new("talaria sandbox identity 1")
            .field(self.owner.0.as_bytes())
            .field(self.task.0.as_bytes())
            .field(self.profile.0.as_bytes())
            .hex();
        IdentityDigest(hex.into_boxed_str())
    }

    /// The one name that the sandbox's container can have: `talaria-` and 24 hexadecimal digits of
    /// the digest. Since an engine gives a name once, of two creations at a time one wins.
    #[must_use]
    pub fn container_name(&self) -> String {
        self.digest().container_name()
    }
}

/// SHA-256 over an [`Identity`], as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct IdentityDigest(Box<str>);

impl IdentityDigest {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As [`Identity::container_name`].
    #[must_use]
    pub fn container_name(&self) -> String {
        format!("talaria-{}", &self.0[..24])
    }
}

impl fmt::Display for IdentityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_break_a_rule_are_refused() {
        assert_eq!(TaskId::new(""), Err(NameError::Empty));
        assert_eq!(
            TaskId::new("a\nb"),
            Err(NameError::Control { character: '\n' })
        );
        assert_eq!(
            Owner::new("a".repeat(256)),
            Err(NameError::TooLong { length: 256 })
        );
        assert!(Owner::new("a".repeat(255)).is_ok());
    }

    #[test]
    fn the_container_name_stays_what_it_was() -> Result<(), NameError> {
        let identity = Identity {
            owner: Owner::new("0f3a:1000")?,
            task: TaskId::new("default")?,
            profile: Profile::new("coder")?,
        };
        // Worked out with Python's hashlib, over the same fields.
        assert_eq!(
            identity.container_name(),
            "talaria-b3dd9f2283750ee55a3d7656"
        );
        Ok(())
    }

    proptest! {
        #[test]
        fn different_identities_have_different_digests(
            one in prop::array::uniform3("[a-c]{1,3}"),
            other in prop::array::uniform3("[a-c]{1,3}"),
        ) {
            let identity = |[owner, task, profile]: &[String; 3]| Identity {
                owner: Owner::new(owner.as_str()).unwrap(),
                task: TaskId::new(task.as_str()).unwrap(),
                profile: Profile::new(profile.as_str()).unwrap(),
            };
            prop_assert_eq!(
                one == other,
                identity(&one).digest() == identity(&other).digest()
            );
        }
    }
}
