//! Names of services.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::error::NameError;

/// The name of a service in a scandir: `[a-z0-9][a-z0-9_-]*`, at most 251 characters.
///
/// s6 itself takes any file name that does not begin with a dot. This type takes less, so that a
/// name can be a directory, a word of a command line and a part of a log line without quoting. 251
/// is what `s6-svscan` takes by default.
///
/// ```
/// use s6_svc::ServiceName;
/// assert!(ServiceName::new("gateway-coder").is_ok());
/// assert!(ServiceName::new("../etc").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Box<str>);

impl ServiceName {
    /// The most characters in a name.
    pub const MAX_LEN: usize = 251;

    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
        let bytes = name.as_ref();
        let lossy = || String::from_utf8_lossy(bytes).into_owned();
        let Some(first) = bytes.first() else {
            return Err(NameError::Empty);
        };
        if bytes.len() > Self::MAX_LEN {
            return Err(NameError::TooLong {
                length: bytes.len(),
            });
        }
        if !matches!(first, b'a'..=b'z' | b'0'..=b'9') {
            return Err(NameError::FirstCharacter { name: lossy() });
        }
        let name = lossy();
        let stray = name
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'));
        match stray {
            Some(character) => Err(NameError::Character { name, character }),
            None => Ok(Self(name.into_boxed_str())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<std::path::Path> for ServiceName {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&*self.0)
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for ServiceName {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0.into_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty("", NameError::Empty)]
    #[case::long(&"a".repeat(252), NameError::TooLong { length: 252 })]
    #[case::dot(".s6-svscan", NameError::FirstCharacter { name: ".s6-svscan".into() })]
    #[case::parent("..", NameError::FirstCharacter { name: "..".into() })]
    #[case::dash("-rf", NameError::FirstCharacter { name: "-rf".into() })]
    #[case::slash("a/b", NameError::Character { name: "a/b".into(), character: '/' })]
    #[case::newline("a\n", NameError::Character { name: "a\n".into(), character: '\n' })]
    #[case::nul("a\0", NameError::Character { name: "a\0".into(), character: '\0' })]
    #[case::upper("aB", NameError::Character { name: "aB".into(), character: 'B' })]
    #[case::accent("caf\u{e9}", NameError::Character { name: "caf\u{e9}".into(), character: '\u{e9}' })]
    fn a_name_that_breaks_a_rule_is_refused(#[case] name: &str, #[case] error: NameError) {
        assert_eq!(ServiceName::new(name), Err(error));
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_refused() {
        assert!(matches!(
            ServiceName::new(b"a\xff"),
            Err(NameError::Character { .. })
        ));
    }

    #[test]
    fn the_longest_name_is_taken() {
        assert!(ServiceName::new("a".repeat(251)).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_kept_as_they_are(bytes: Vec<u8>) {
            if let Ok(name) = ServiceName::new(&bytes) {
                prop_assert_eq!(name.as_str().as_bytes(), &bytes[..]);
            }
        }

        #[test]
        fn every_name_of_the_grammar_is_taken(name in "[a-z0-9][a-z0-9_-]{0,250}") {
            prop_assert!(ServiceName::new(&name).is_ok());
        }
    }
}
