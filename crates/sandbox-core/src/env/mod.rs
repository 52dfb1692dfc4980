//! Environment variables: names, values, and which of the caller's may be passed on.

mod blocked;
mod forward;

use std::borrow::Borrow;
use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use thiserror::Error;

pub use blocked::is_blocked;
pub use forward::{Forwarded, forward};

use crate::secret::Secret;

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EnvName(Box<str>);

/// A text is not of the form `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}` is not a variable's name")]
pub struct EnvNameError {
    /// The text, up to the first `=`: what follows may be a value, and that a secret.
    pub name: String,
}

impl EnvName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`EnvNameError`] if it is not of the form `[A-Za-z_][A-Za-z0-9_]*`.
    pub fn new(name: &str) -> Result<Self, EnvNameError> {
        let mut bytes = name.bytes();
        let first = bytes.next();
        if first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            Ok(Self(name.into()))
        } else {
            let name = name.split('=').next().unwrap_or_default().into();
            Err(EnvNameError { name })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a value under this name is taken for a secret even where nobody said so: a
    /// [blocked](is_blocked) name, or one with a word such as `KEY`, `TOKEN`, `SECRET`, `PASSWORD`
    /// or `CREDENTIALS` in it.
    #[must_use]
    pub fn looks_secret(&self) -> bool {
        const WORDS: &[&str] = &[
            "COOKIE",
            "CREDENTIAL",
            "CREDENTIALS",
            "CREDS",
            "DSN",
            "JWT",
            "KEY",
            "PASS",
            "PAT",
        ];
        // Also at the end of a word, as in `PGPASSWORD`.
        const ENDS: &[&str] = &[
            "APIKEY",
            "PASSPHRASE",
            "PASSWD",
            "PASSWORD",
            "SECRET",
            "TOKEN",
        ];
        let name = self.0.to_ascii_uppercase();
        is_blocked(&name)
            || name.ends_with("_PWD")
            || name
                .split('_')
                .any(|word| WORDS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end)))
    }
}

/// The names alone, of `NAME=value`.
pub(crate) fn names(env: &[String]) -> Vec<&str> {
    env.iter()
        .map(|var| var.split('=').next().unwrap_or_default())
        .collect()
}

/// Whether a value is an address with a password in it: `SCHEME://USER:PASSWORD@HOST`.
pub(crate) fn holds_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':'))
    })
}

impl Borrow<str> for EnvName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The value of a variable in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// May be seen.
    Plain(String),
    /// Must not be seen.
    Secret(Secret),
}

impl EnvValue {
    /// The value, secret or not.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(value) => value,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl Serialize for EnvValue {
    /// A plain value as a string; a secret as `{"secret": true}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => serializer.serialize_str(value),
            Self::Secret(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("secret", &true)?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("A", true)]
    #[case("_a1", true)]
    #[case("", false)]
    #[case("1A", false)]
    #[case("A-B", false)]
    #[case("A=B", false)]
    #[case("É", false)]
    fn names_follow_the_grammar(#[case] name: &str, #[case] taken: bool) {
        assert_eq!(EnvName::new(name).is_ok(), taken);
    }

    #[rstest]
    #[case("OPENAI_API_KEY", true)]
    #[case("db_password", true)]
    #[case("KEYBOARD", false)]
    #[case("PGPASSWORD", true)]
    #[case("MYSQL_PWD", true)]
    #[case("OLDPWD", false)]
    #[case("COMPASS_HOME", false)]
    #[case("TOKENIZERS_PARALLELISM", false)]
    fn secrets_are_known_by_their_names(#[case] name: &str, #[case] secret: bool) {
        assert_eq!(EnvName::new(name).unwrap().looks_secret(), secret);
    }

    #[rstest]
    #[case("postgres://ann:hunter2@db/x", true)]
    #[case("jdbc:x, https://a:b@c", true)]
    #[case("https://ann@db/x", false)]
    #[case("https://db:80/a@b", false)]
    #[case("ann:b@c", false)]
    fn an_address_with_a_password_is_known(#[case] value: &str, #[case] holds: bool) {
        assert_eq!(holds_password(value), holds);
    }

    #[test]
    fn what_follows_an_equals_sign_is_not_told() {
        let error = EnvName::new("A-B=hunter2").unwrap_err();
        assert_eq!(error.to_string(), "`A-B` is not a variable's name");
    }
}
