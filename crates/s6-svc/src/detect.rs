//! Whether this container is supervised by s6, as any user in it can tell.
//!
//! `/proc/1/exe` is unreadable for unprivileged users, and `/proc/1/comm` alone can be the name of
//! anything: both the name and the directory that s6's inits make must be there. What cannot be
//! read counts as not there.

use std::io::Read;
use std::path::Path;

/// The name of the first process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Comm {
    /// `s6-svscan`.
    Svscan,
    /// Another one.
    Other(String),
    /// It could not be read.
    Unreadable,
}

impl Comm {
    fn parse(bytes: &[u8]) -> Self {
        match bytes.strip_suffix(b"\n").unwrap_or(bytes) {
            b"s6-svscan" => Self::Svscan,
            other => Self::Other(String::from_utf8_lossy(other).into_owned()),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// The first process's name.
    pub comm: Comm,
    /// Whether `/run/s6/basedir` is a directory.
    pub has_basedir: bool,
}

impl Evidence {
    /// Looks in this container.
    #[must_use]
    pub fn gather() -> Self {
        Self::gather_from(Path::new("/"))
    }

    /// Looks below another root directory.
    #[must_use]
    pub fn gather_from(root: &Path) -> Self {
        let mut comm = Vec::new();
        let read = std::fs::File::open(root.join("proc/1/comm"))
            .and_then(|file| file.take(64).read_to_end(&mut comm));
        Self {
            comm: if read.is_ok() {
                Comm::parse(&comm)
            } else {
                Comm::Unreadable
            },
            has_basedir: root.join("run/s6/basedir").is_dir(),
        }
    }

    /// Whether s6 supervises: only where everything says so.
    ///
    /// ```
    /// use s6_svc::detect::{Comm, Evidence};
    /// let found = Evidence { comm: Comm::Svscan, has_basedir: true };
    /// assert!(found.is_s6());
    /// ```
    #[must_use]
    pub fn is_s6(&self) -> bool {
        self.comm == Comm::Svscan && self.has_basedir
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_name_and_only_one_is_the_scanners(bytes: Vec<u8>) {
            let bare = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let is_svscan = bare == b"s6-svscan";
            prop_assert_eq!(Comm::parse(&bytes) == Comm::Svscan, is_svscan);
        }
    }

    #[rstest]
    #[case::both(Some("s6-svscan\n"), true, true)]
    #[case::other_comm(Some("docker-init\n"), true, false)]
    #[case::prefix(Some("s6-svscan-x\n"), true, false)]
    #[case::empty(Some(""), true, false)]
    #[case::no_basedir(Some("s6-svscan\n"), false, false)]
    #[case::neither(Some("bash\n"), false, false)]
    #[case::no_proc(None, true, false)]
    #[case::nothing(None, false, false)]
    fn only_both_signs_together_mean_s6(
        #[case] comm: Option<&str>,
        #[case] basedir: bool,
        #[case] is_s6: bool,
    ) {
        let root = tempfile::tempdir().unwrap();
        if let Some(comm) = comm {
            fs::create_dir_all(root.path().join("proc/1")).unwrap();
            fs::write(root.path().join("proc/1/comm"), comm).unwrap();
        }
        if basedir {
            fs::create_dir_all(root.path().join("run/s6/basedir")).unwrap();
        }
        assert_eq!(Evidence::gather_from(root.path()).is_s6(), is_s6);
    }

    #[test]
    fn an_unreadable_name_counts_as_none() {
        let root = tempfile::tempdir().unwrap();
        // A directory cannot be read, whoever asks.
        fs::create_dir_all(root.path().join("proc/1/comm")).unwrap();
        fs::create_dir_all(root.path().join("run/s6/basedir")).unwrap();
        let found = Evidence::gather_from(root.path());
        assert_eq!(found.comm, Comm::Unreadable);
        assert!(!found.is_s6());
    }

    #[test]
    fn a_file_in_place_of_the_directory_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/1")).unwrap();
        fs::write(root.path().join("proc/1/comm"), "s6-svscan\n").unwrap();
        fs::create_dir_all(root.path().join("run/s6")).unwrap();
        fs::write(root.path().join("run/s6/basedir"), "").unwrap();
        assert!(!Evidence::gather_from(root.path()).is_s6());
    }
}
