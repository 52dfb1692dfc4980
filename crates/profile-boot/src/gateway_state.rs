//! What a profile's `gateway_state.json` says about its gateway.
//!
//! The agent and its gateway write the file; `desired_state` is the operator's
//! word, `gateway_state` the gateway's own. Reading is tolerant: whatever
//! stands in the file's place, the answer is a [`Record`].

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use s6_svc::Want;

/// The name of the file in a profile's directory.
pub const FILE_NAME: &str = "gateway_state.json";

/// The most that is read of it, in bytes. The agent writes less than 4 KiB.
const MAX_BYTES: u64 = 1 << 20;

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

    /// Reads the record of the profile that lives in `directory`.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        match read_file(&directory.join(FILE_NAME)) {
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

/// The whole of a small regular file; `None` where there is nothing. A FIFO, a
/// device or a link in its place is an error, and blocks nobody.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err("a symbolic link".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| error.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
}
