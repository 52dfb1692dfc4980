//! `logs/container-boot.log`: a line for each profile at each boot, for the
//! question why a gateway is up, or is not.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::OFlags;
use s6_svc::Want;

use crate::profile::ProfileName;
use crate::reconcile::{self, Observed};

/// The file in the home.
pub const FILE: &str = "logs/container-boot.log";
/// What it becomes once it is full.
const ROTATED: &str = "logs/container-boot.log.1";
/// Full is this many bytes.
const FULL: u64 = 256 * 1024;

/// The line of one profile.
#[must_use]
pub fn line(one: &Observed, commanded: Option<&ProfileName>, now: Timestamp) -> String {
    let action = match reconcile::want(one, commanded) {
        Want::Up => "started",
        Want::Down => "registered",
    };
    format!(
        "{} profile={} prior_state={} action={action}\n",
        now.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        one.profile,
        one.record
    )
}

/// Adds a line for each profile, in one write.
///
/// # Errors
/// Where the log cannot be written, or is no regular file.
pub fn append(
    home: &Path,
    profiles: &[Observed],
    commanded: Option<&ProfileName>,
    now: Timestamp,
) -> io::Result<()> {
    let path = home.join(FILE);
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.len() >= FULL)
    {
        fs::rename(&path, home.join(ROTATED))?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(flags.bits().cast_signed())
        .open(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let lines: String = profiles
        .iter()
        .map(|one| line(one, commanded, now))
        .collect();
    file.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway_state::Record;

    fn observed(state: &str) -> Observed {
        let record = Record::parse(format!("{{\"gateway_state\":\"{state}\"}}").as_bytes());
        Observed {
            profile: "coder".parse().unwrap(),
            record,
            slot: None,
            stale: Vec::new(),
            interrupted: Ok(Vec::new()),
        }
    }

    #[test]
    fn a_line_says_what_was_and_what_was_done() {
        let now = "2026-05-21T06:18:05Z".parse().unwrap();
        assert_eq!(
            line(&observed("running"), None, now),
            "2026-05-21T06:18:05+0000 profile=coder prior_state=running action=started\n"
        );
        assert_eq!(
            line(&observed("a\\nb"), None, now),
            "2026-05-21T06:18:05+0000 profile=coder prior_state=a\\nb action=registered\n"
        );
    }

    #[test]
    fn a_full_log_makes_room() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("logs")).unwrap();
        fs::write(home.path().join(FILE), "x".repeat(256 * 1024)).unwrap();
        append(
            home.path(),
            &[observed("running")],
            None,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(fs::metadata(home.path().join(ROTATED)).unwrap().len(), FULL);
        let lines = fs::read_to_string(home.path().join(FILE)).unwrap();
        assert_eq!(lines.lines().count(), 1);
    }

    #[test]
    fn a_fifo_in_its_place_blocks_nobody() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("logs")).unwrap();
        let path = home.path().join(FILE);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(append(home.path(), &[], None, Timestamp::UNIX_EPOCH).is_err());
    }
}
