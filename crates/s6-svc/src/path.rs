//! Paths that cannot be misread.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::error::PathError;

/// An absolute path without `..` and without a NUL byte.
///
/// ```
/// use s6_svc::AbsPath;
/// assert!(AbsPath::new("/run/service").is_ok());
/// assert!(AbsPath::new("run/service").is_err());
/// assert!(AbsPath::new("/run/../etc").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// Checks a path. Doubled and trailing slashes and `.` components are dropped.
    ///
    /// # Errors
    /// [`PathError`] says which rule it breaks.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, PathError> {
        let path = path.into();
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(PathError::Nul { path });
        }
        if !path.is_absolute() {
            return Err(PathError::NotAbsolute { path });
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(PathError::Parent { path });
        }
        Ok(Self(path.components().collect()))
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The path of an entry of this directory.
    pub(crate) fn join(&self, entry: impl AsRef<Path>) -> PathBuf {
        self.0.join(entry)
    }

    /// An entry of a directory, whose name is known to be one component.
    pub(crate) fn joined(&self, entry: &OsStr) -> Self {
        Self(self.0.join(entry))
    }
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<AbsPath> for PathBuf {
    fn from(path: AbsPath) -> Self {
        path.0
    }
}

impl TryFrom<&str> for AbsPath {
    type Error = PathError;

    fn try_from(path: &str) -> Result<Self, PathError> {
        Self::new(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/run/service", "/run/service")]
    #[case("/run//service/./x/", "/run/service/x")]
    #[case("/", "/")]
    fn slashes_and_dots_are_tidied(#[case] given: &str, #[case] kept: &str) {
        assert_eq!(AbsPath::new(given).unwrap().as_path(), Path::new(kept));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_give_an_absolute_path(bytes: Vec<u8>) {
            if let Ok(path) = AbsPath::new(OsStr::from_bytes(&bytes)) {
                prop_assert!(path.as_path().is_absolute());
                prop_assert!(!path.as_path().as_os_str().as_bytes().contains(&0));
                prop_assert!(path.as_path().components().all(|part| part != Component::ParentDir));
            }
        }
    }
}
