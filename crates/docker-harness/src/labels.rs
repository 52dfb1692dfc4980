//! The labels that everything a test creates carries, and whose they are.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Marks what tests create: the value is `1`.
pub const TEST: &str = "org.talaria.test";
/// The run that created it: one id for each test process.
pub const RUN: &str = "org.talaria.test.run";
/// The process that created it: `PID+START`, see [`Creator`].
pub const PID: &str = "org.talaria.test.pid";
/// The PID namespace in which [`PID`] counts: boot id and inode of the namespace.
pub const NAMESPACE: &str = "org.talaria.test.pidns";
/// The test that created it.
pub const NAME: &str = "org.talaria.test.name";

/// A process, told from a later one of the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Creator {
    /// The process id.
    pub pid: u32,
    /// Clock ticks between the machine's boot and the process's start (field 22 of `/proc/PID/stat`).
    pub start: u64,
}

impl Creator {
    /// The process that asks.
    ///
    /// # Errors
    ///
    /// When `/proc/self/stat` cannot be read: the harness needs a mounted `/proc`.
    pub fn this() -> io::Result<Self> {
        let pid = std::process::id();
        let start = start_time(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start })
    }

    /// Whether that very process still runs.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read for another reason than the process's absence.
    pub fn is_alive(self) -> io::Result<bool> {
        Ok(start_time(self.pid)? == Some(self.start))
    }
}

impl std::fmt::Display for Creator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.pid, self.start)
    }
}

/// A text that is no `PID+START`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not PID+START")]
pub struct NotACreator(String);

impl FromStr for Creator {
    type Err = NotACreator;

    fn from_str(text: &str) -> Result<Self, NotACreator> {
        let parse = || {
            let (pid, start) = text.split_once('+')?;
            Some(Self {
                pid: pid.parse().ok()?,
                start: start.parse().ok()?,
            })
        };
        parse().ok_or_else(|| NotACreator(text.to_owned()))
    }
}

/// The start time of process `pid`, or nothing where there is none.
fn start_time(pid: u32) -> io::Result<Option<u64>> {
    let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // A process that ends while it is read gives ESRCH.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The command's name is in brackets and may hold anything; the fields after it are plain.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    Ok(fields
        .split_ascii_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok()))
}

/// One test process: its id and the labels that it puts on everything.
#[derive(Debug, Clone)]
pub struct Run {
    /// Unique among the runs of this machine: pid and time.
    pub id: String,
    /// This process.
    pub creator: Creator,
    /// Where `creator.pid` counts.
    pub namespace: String,
}

impl Run {
    /// The run of this process.
    ///
    /// # Panics
    ///
    /// Where `/proc` is not mounted.
    #[must_use]
    pub fn this() -> &'static Self {
        static THIS: LazyLock<Run> = LazyLock::new(|| {
            Run::read().unwrap_or_else(|error| panic!("cannot read /proc: {error}"))
        });
        &THIS
    }

    fn read() -> io::Result<Self> {
        let creator = Creator::this()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::read_link("/proc/self/ns/pid")?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?;
        Ok(Self {
            id: format!("{}-{:x}", creator.pid, now.as_millis()),
            creator,
            namespace: format!("{}:{}", boot.trim(), namespace.display()),
        })
    }

    /// How the names of this run's directories in the system's temporary directory begin.
    #[must_use]
    pub fn scratch_prefix(&self) -> String {
        format!("{}{}-", self.scratch_family(), self.creator)
    }

    /// How those of all runs in this PID namespace begin.
    pub(crate) fn scratch_family(&self) -> String {
        let digits: String = self
            .namespace
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        format!("talaria-test-{digits}-")
    }

    /// The labels of what this run creates for `test`.
    #[must_use]
    pub fn labels(&self, test: &str) -> HashMap<String, String> {
        [
            (TEST, "1".to_owned()),
            (RUN, self.id.clone()),
            (PID, self.creator.to_string()),
            (NAMESPACE, self.namespace.clone()),
            (NAME, test.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creator_reads_back_as_written() {
        let creator = Creator {
            pid: 71,
            start: 99_123,
        };
        assert_eq!("71+99123", creator.to_string());
        assert_eq!(Ok(creator), "71+99123".parse());
        assert_eq!(Err(NotACreator("71".to_owned())), "71".parse::<Creator>());
    }

    #[test]
    fn this_process_is_alive_and_one_of_another_start_time_is_not() {
        let this = Creator::this().unwrap();
        assert!(this.is_alive().unwrap());
        assert!(
            !Creator {
                start: this.start + 1,
                ..this
            }
            .is_alive()
            .unwrap()
        );
    }
}
