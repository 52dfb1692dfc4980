//! Profile names, and which profiles a home holds.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, Mode, OFlags, statat};

/// The name of a profile: `[a-z0-9][a-z0-9_-]*`, at most [`ProfileName::MAX_LEN`] bytes.
///
/// `default` is the profile at the root of the home.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

/// Why a text is no profile name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileNameError {
    /// It is empty.
    #[error("a profile name cannot be empty")]
    Empty,
    /// It is longer than a slot's name can be.
    #[error("a profile name has at most {max} characters, this one has {length}", max = ProfileName::MAX_LEN)]
    TooLong {
        /// How many bytes it has.
        length: usize,
    },
    /// It holds something else than `a-z`, `0-9`, `_`, `-`, or begins with one of the last two.
    #[error(
        "{0:?} is no profile name: lower-case letters, digits, _ and -, beginning with a letter or digit"
    )]
    Character(String),
}

impl ProfileName {
    /// The longest name: `.gateway-NAME.tmp`, where a slot is staged, has to
    /// fit into the 255 bytes of a file name.
    pub const MAX_LEN: usize = 255 - ".gateway-.tmp".len();

    /// The profile at the root of the home.
    #[must_use]
    pub fn default_profile() -> Self {
        Self("default".to_owned())
    }

    /// Whether this is the profile at the root of the home.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where this profile keeps its files, below `home`.
    #[must_use]
    pub fn directory(&self, home: &Path) -> PathBuf {
        if self.is_default() {
            home.to_owned()
        } else {
            home.join("profiles").join(&self.0)
        }
    }
}

impl FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(name: &str) -> Result<Self, ProfileNameError> {
        if name.is_empty() {
            return Err(ProfileNameError::Empty);
        }
        if name.len() > Self::MAX_LEN {
            return Err(ProfileNameError::TooLong { length: name.len() });
        }
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let tail = |byte: u8| word(byte) || byte == b'_' || byte == b'-';
        if !name.bytes().next().is_some_and(word) || !name.bytes().all(tail) {
            return Err(ProfileNameError::Character(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a look at a home found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The profiles, `default` first, the rest by name.
    pub profiles: Vec<ProfileName>,
    /// Directories in `profiles/` that look like profiles and cannot be ones, each with the reason.
    pub skipped: Vec<(String, String)>,
}

/// Finds the profiles of a home: `default`, and every directory in `profiles/`
/// that holds `SOUL.md`, the file that creating a profile always writes.
///
/// # Errors
/// Where `profiles/` is there and cannot be listed.
pub fn discover(home: &Path) -> io::Result<Discovery> {
    let mut found = Discovery {
        profiles: vec![ProfileName::default_profile()],
        skipped: Vec::new(),
    };
    let path = home.join("profiles");
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(&path, flags, Mode::empty())?;
    let mut named = Vec::new();
    for entry in entries {
        let entry = entry?;
        let soul = Path::new(&entry.file_name()).join("SOUL.md");
        if statat(&directory, soul, AtFlags::empty()).is_err() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.parse::<ProfileName>() {
            Ok(name) if name.is_default() => found.skipped.push((
                name.to_string(),
                "the name is reserved for the profile at the root".into(),
            )),
            Ok(name) => named.push(name),
            Err(error) => found.skipped.push((name, error.to_string())),
        }
    }
    named.sort();
    found.skipped.sort();
    found.profiles.append(&mut named);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty("", ProfileNameError::Empty)]
    #[case::upper("Coder", ProfileNameError::Character("Coder".into()))]
    #[case::dash("-x", ProfileNameError::Character("-x".into()))]
    #[case::slash("a/b", ProfileNameError::Character("a/b".into()))]
    #[case::dots("..", ProfileNameError::Character("..".into()))]
    #[case::newline("a\n", ProfileNameError::Character("a\n".into()))]
    #[case::nul("a\0", ProfileNameError::Character("a\0".into()))]
    fn a_wrong_name_says_what_is_wrong(#[case] name: &str, #[case] error: ProfileNameError) {
        assert_eq!(name.parse::<ProfileName>(), Err(error));
    }

    #[test]
    fn the_longest_name_still_fits_its_staging_directory() {
        let longest = "a".repeat(ProfileName::MAX_LEN);
        assert_eq!(longest.parse::<ProfileName>().unwrap().as_str(), longest);
        assert_eq!(format!(".gateway-{longest}.tmp").len(), 255);
        let longer = "a".repeat(ProfileName::MAX_LEN + 1);
        assert_eq!(
            longer.parse::<ProfileName>(),
            Err(ProfileNameError::TooLong {
                length: longer.len()
            })
        );
    }

    #[test]
    fn only_directories_with_a_soul_are_profiles() {
        let home = tempfile::tempdir().unwrap();
        for name in ["zoe", "adam", "default", "Bad"] {
            std::fs::create_dir_all(home.path().join("profiles").join(name)).unwrap();
            std::fs::write(home.path().join("profiles").join(name).join("SOUL.md"), "").unwrap();
        }
        std::fs::create_dir(home.path().join("profiles/backup")).unwrap();
        let found = discover(home.path()).unwrap();
        let names: Vec<_> = found.profiles.iter().map(ProfileName::as_str).collect();
        assert_eq!(names, ["default", "adam", "zoe"]);
        let skipped: Vec<_> = found
            .skipped
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(skipped, ["Bad", "default"]);
    }

    proptest! {
        #[test]
        fn a_valid_name_comes_back_as_it_was(name in "[a-z0-9][a-z0-9_-]{0,60}") {
            prop_assert_eq!(name.parse::<ProfileName>().unwrap().to_string(), name);
        }

        #[test]
        fn no_text_makes_a_name_that_leaves_its_directory(name in "\\PC*") {
            if let Ok(name) = name.parse::<ProfileName>() {
                prop_assert!(!name.as_str().contains(['/', '.']));
            }
        }
    }
}
