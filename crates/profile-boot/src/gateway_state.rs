//! What a profile's `gateway_state.json` says about its gateway.
//!
//! The agent and its gateway write the file; `desired_state` is the operator's
//! word, `gateway_state` the gateway's own. Reading is tolerant: whatever
//! stands in the file's place, the answer is a [`Record`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use s6_svc::Want;
use serde_json::value::{RawValue, to_raw_value};

use crate::{atomic, read};

/// The name of the file in a profile's directory.
pub const FILE_NAME: &str = "gateway_state.json";

/// What is known of a gateway's state from its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// No file: the gateway never ran.
    None,
    /// Something that is no state file stands there; the text says what.
    Unreadable(String),
    /// A state file.
    State {
        /// `desired_state`: what the operator asked for last.
        desired: Option<String>,
        /// `gateway_state`: what the gateway said of itself last.
        reported: Option<String>,
    },
}

impl Record {
    /// Whether a gateway with this record is to run; `None` where nobody has said yet.
    ///
    /// The operator's word wins. Without one, a gateway that was last seen
    /// serving comes back; one that never came up does not, or a broken one
    /// would be tried again at every boot.
    #[must_use]
    pub fn want(&self) -> Option<Want> {
        let up = match self {
            Self::None => return None,
            Self::Unreadable(_) => false,
            Self::State {
                desired: Some(desired),
                ..
            } => desired == "running",
            Self::State {
                desired: None,
                reported,
            } => {
                matches!(
                    reported.as_deref(),
                    Some("running" | "draining" | "degraded")
                )
            }
        };
        Some(if up { Want::Up } else { Want::Down })
    }

    /// Whether an operator has said what the gateway is to do.
    #[must_use]
    pub fn has_desired(&self) -> bool {
        matches!(
            self,
            Self::State {
                desired: Some(_),
                ..
            }
        )
    }

    /// Reads the record of the profile that lives in `directory`.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        Self::of(read::small_file(&directory.join(FILE_NAME)))
    }

    /// The same of a directory by its path from one that is open.
    pub(crate) fn read_at(open: impl AsFd, directory: &Path) -> Self {
        Self::of(read::small_file_at(open, directory.join(FILE_NAME)))
    }

    fn of(file: Result<Option<Vec<u8>>, String>) -> Self {
        match file {
            Ok(None) => Self::None,
            Ok(Some(bytes)) => Self::parse(&bytes),
            Err(reason) => Self::Unreadable(reason),
        }
    }

    /// Reads the bytes of a state file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let value: serde_json::Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            Err(error) => return Self::Unreadable(error.to_string()),
        };
        let Some(object) = value.as_object() else {
            return Self::Unreadable("not a JSON object".to_owned());
        };
        let text = |key: &str| {
            object
                .get(key)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        Self::State {
            desired: text("desired_state"),
            reported: text("gateway_state"),
        }
    }
}

impl fmt::Display for Record {
    /// The one word that a log line has for it: what was decided on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None
            | Self::State {
                desired: None,
                reported: None,
            } => f.write_str("none"),
            Self::Unreadable(_) => f.write_str("unreadable"),
            Self::State {
                desired: Some(word),
                ..
            }
            | Self::State {
                desired: None,
                reported: Some(word),
            } => {
                write!(f, "{}", word.escape_default())
            }
        }
    }
}

/// Records what the operator wants of a gateway, and keeps all else that the
/// file says. A file that cannot be read is replaced.
///
/// # Errors
/// Where the profile's directory cannot be written.
pub fn record_want(directory: &Path, want: Want) -> io::Result<()> {
    let path = directory.join(FILE_NAME);
    let known = read::small_file(&path).ok().flatten();
    let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // As text, since a number that is read and written again may have become another one.
    let mut state: BTreeMap<String, Box<RawValue>> = known.unwrap_or_default();
    let word = match want {
        Want::Up => "running",
        Want::Down => "stopped",
    };
    state.insert("desired_state".to_owned(), to_raw_value(word)?);
    let mut text = serde_json::to_vec(&state)?;
    text.push(b'\n');
    atomic::write(&path, &text, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use rustix::fs::{FileType, Mode};

    #[rstest]
    #[case::operator_started(
        r#"{"desired_state":"running","gateway_state":"stopped"}"#,
        Want::Up,
        "running"
    )]
    #[case::operator_stopped(
        r#"{"desired_state":"stopped","gateway_state":"running"}"#,
        Want::Down,
        "stopped"
    )]
    #[case::was_running(r#"{"gateway_state":"running"}"#, Want::Up, "running")]
    #[case::was_draining(r#"{"gateway_state":"draining"}"#, Want::Up, "draining")]
    #[case::was_degraded(r#"{"gateway_state":"degraded"}"#, Want::Up, "degraded")]
    #[case::was_stopped(r#"{"gateway_state":"stopped"}"#, Want::Down, "stopped")]
    #[case::never_came_up(r#"{"gateway_state":"starting"}"#, Want::Down, "starting")]
    #[case::failed(r#"{"gateway_state":"startup_failed"}"#, Want::Down, "startup_failed")]
    #[case::empty("{}", Want::Down, "none")]
    #[case::no_json("{", Want::Down, "unreadable")]
    #[case::no_object("[1]", Want::Down, "unreadable")]
    #[case::nothing("", Want::Down, "unreadable")]
    #[case::odd_type(r#"{"desired_state":1}"#, Want::Down, "none")]
    fn the_decision_table(#[case] text: &str, #[case] want: Want, #[case] word: &str) {
        let record = Record::parse(text.as_bytes());
        assert_eq!(record.want(), Some(want));
        assert_eq!(record.to_string(), word);
    }

    #[test]
    fn what_is_no_file_is_unreadable_and_blocks_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        assert_eq!(Record::read(directory.path()), Record::None);
        assert_eq!(Record::None.want(), None);
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(
            Record::read(directory.path()),
            Record::Unreadable("not a regular file".into())
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(
            Record::read(directory.path()),
            Record::Unreadable("a symbolic link".into())
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::File::create(&path)
            .unwrap()
            .set_len(2 << 30)
            .unwrap();
        assert_eq!(
            Record::read(directory.path()),
            Record::Unreadable("larger than 1048576 bytes".into())
        );
    }

    #[rstest]
    #[case::none(None, r#"{"desired_state":"stopped"}"#)]
    #[case::kept(
        Some(r#"{"pid":7,"desired_state":"running","x":{"y":[1]}}"#),
        r#"{"desired_state":"stopped","pid":7,"x":{"y":[1]}}"#
    )]
    #[case::corrupt(Some("{"), r#"{"desired_state":"stopped"}"#)]
    #[case::no_object(Some("[1]"), r#"{"desired_state":"stopped"}"#)]
    fn the_operators_word_is_recorded_and_the_rest_kept(
        #[case] before: Option<&str>,
        #[case] after: &str,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        if let Some(text) = before {
            std::fs::write(&path, text).unwrap();
        }
        record_want(directory.path(), Want::Down).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end(), after);
        assert_eq!(Record::read(directory.path()).want(), Some(Want::Down));
    }
}
