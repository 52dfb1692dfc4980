//! The agent's word for a stop that is meant: a gateway that ends without it
//! exits as if it had failed, so that its supervisor brings it back.
//!
//! The file is the agent's own, `.gateway-planned-stop.json` in the profile's
//! directory, and holds for a minute: `target_pid`, `target_start_time` (field
//! 22 of `/proc/PID/stat`), `stopper_pid`, and `written_at` in ISO 8601.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::LifecycleError;
use crate::{atomic, read};

/// The file in a profile's directory.
const FILE: &str = ".gateway-planned-stop.json";
/// What a gateway that reads it keeps beside it while it runs.
const PID_FILE: &str = "gateway.pid";

#[derive(Serialize)]
struct Marker {
    target_pid: u32,
    target_start_time: Option<u64>,
    stopper_pid: u32,
    written_at: String,
}

/// Announces to the gateway with this pid that it is about to be stopped, where
/// it is one that reads such announcements.
pub(super) fn announce(directory: &Path, pid: u32) -> Result<(), LifecycleError> {
    if directory.join(PID_FILE).symlink_metadata().is_err() {
        return Ok(());
    }
    let path = directory.join(FILE);
    let marker = Marker {
        target_pid: pid,
        target_start_time: start_time(pid),
        stopper_pid: std::process::id(),
        written_at: Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
            .to_string(),
    };
    serde_json::to_vec(&marker)
        .map_err(Into::into)
        .and_then(|bytes| atomic::write(&path, &bytes, 0o600))
        .map_err(LifecycleError::file("announce the stop", &path))
}

/// When a process began, in clock ticks since the system did.
fn start_time(pid: u32) -> Option<u64> {
    let path = format!("/proc/{pid}/stat");
    let bytes = read::small_file(Path::new(&path)).ok()??;
    parse_start_time(&String::from_utf8_lossy(&bytes))
}

/// The name, in parentheses, may hold anything: what counts follows the last one.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1 1";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time("7 (a"), None);
    }

    #[test]
    fn only_a_gateway_that_reads_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let pid = std::process::id();
        announce(directory.path(), pid).unwrap();
        assert!(!file.exists());
        std::fs::write(directory.path().join(PID_FILE), "1").unwrap();
        announce(directory.path(), pid).unwrap();
        let marker: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(marker["target_pid"], pid);
        assert_eq!(marker["target_start_time"], start_time(pid).unwrap());
        let written: Timestamp = marker["written_at"].as_str().unwrap().parse().unwrap();
        assert!(Timestamp::now().duration_since(written).as_secs() < 60);
    }
}
