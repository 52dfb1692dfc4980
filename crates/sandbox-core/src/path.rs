//! Paths in the container and on the host, checked once.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It does not begin with `/`.
    #[error("is not absolute: `{path}`")]
    Relative {
        /// The path.
        path: String,
    },
    /// It holds a control character.
    #[error("holds the control character U+{:04X}", u32::from(*.character))]
    Control {
        /// The first of them.
        character: char,
    },
    /// It has more than 4095 bytes.
    #[error("has {length} bytes; at most 4095 are allowed")]
    TooLong {
        /// How many bytes it has.
        length: usize,
    },
}

/// Takes out `.`, empty components and, by name, `..`. Symbolic links are not looked at.
fn normalise(path: &str) -> Result<Box<str>, PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if let Some(character) = path.chars().find(|c| c.is_control()) {
        return Err(PathError::Control { character });
    }
    if path.len() > 4095 {
        return Err(PathError::TooLong { length: path.len() });
    }
    if !path.starts_with('/') {
        return Err(PathError::Relative { path: path.into() });
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")).into_boxed_str())
}

macro_rules! path {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a path: absolute, UTF-8, without control characters. `.`, `..` and doubled
            /// slashes are taken out by name.
            ///
            /// # Errors
            /// [`PathError`] says which rule it breaks.
            pub fn new(path: impl AsRef<str>) -> Result<Self, PathError> {
                normalise(path.as_ref()).map(Self)
            }

            /// The path.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The path of something below; `..` leads out as far as `/`.
            ///
            /// # Errors
            /// [`PathError`], as for [`new`](Self::new).
            pub fn join(&self, relative: &str) -> Result<Self, PathError> {
                Self::new(format!("{}/{relative}", self.0))
            }

            /// Whether this path is `other` or lies below it.
            #[must_use]
            pub fn is_within(&self, other: &Self) -> bool {
                let base = other.0.trim_end_matches('/');
                self.0
                    .strip_prefix(base)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }

            /// The last component, or nothing for `/`.
            #[must_use]
            pub fn file_name(&self) -> &str {
                self.0.rsplit('/').next().unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = PathError;

            fn from_str(path: &str) -> Result<Self, PathError> {
                Self::new(path)
            }
        }
    };
}

path! {
    /// An absolute path in the container.
    AbsPath
}
path! {
    /// An absolute path on the engine's host.
    HostPath
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("/a/b", "/a/b")]
    #[case::root("/", "/")]
    #[case::slashes("//a///b/", "/a/b")]
    #[case::dots("/a/./b/../c", "/a/c")]
    #[case::beyond("/../..", "/")]
    fn a_path_is_normalised(#[case] from: &str, #[case] to: &str) {
        assert_eq!(AbsPath::new(from).unwrap().as_str(), to);
    }

    #[rstest]
    #[case::empty("", PathError::Empty)]
    #[case::relative("a/b", PathError::Relative { path: "a/b".into() })]
    #[case::newline("/a\nb", PathError::Control { character: '\n' })]
    fn what_is_no_path_is_refused(#[case] path: &str, #[case] error: PathError) {
        assert_eq!(HostPath::new(path), Err(error));
    }

    #[rstest]
    #[case("/a/b", "/a", true)]
    #[case("/a", "/a", true)]
    #[case("/ab", "/a", false)]
    #[case("/a", "/", true)]
    #[case("/", "/a", false)]
    fn within_goes_by_components(#[case] path: &str, #[case] base: &str, #[case] within: bool) {
        let (path, base) = (AbsPath::new(path).unwrap(), AbsPath::new(base).unwrap());
        assert_eq!(path.is_within(&base), within);
    }
}
