//! Whether a supervisor is alive: it holds an fcntl lock for as long as it runs.

use rustix::process::{Flock, FlockType};

use crate::dir::Dir;
use crate::error::{FileKind, FsError};

/// A running `s6-supervise` or `s6-svscan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    pid: Option<u32>,
}

impl Supervisor {
    /// Its process id; `None` where it is in a pid namespace that the caller does not see, or where
    /// its lock file may not be read and its FIFO told that it is there.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The effective user id that it runs as, from `/proc`; `None` where its process id is not
    /// known or it has ended.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        // Real, effective, saved, and that of the file system.
        uids.split_whitespace().nth(1)?.parse().ok()
    }
}

/// Who holds `lock` in a control directory; where that may not be read, whether somebody reads
/// `control`.
pub(crate) fn of(control_dir: &Dir) -> Result<Option<Supervisor>, FsError> {
    let lock = match control_dir.open_regular("lock") {
        Ok(lock) => lock,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) if error.is_denied() => {
            let listening = control_dir
                .open_fifo("control")
                .map_err(|_| error)?
                .is_some();
            return Ok(listening.then_some(Supervisor { pid: None }));
        }
        Err(error) => return Err(error),
    };
    let question = Flock::from(FlockType::ReadLock);
    let holder = rustix::process::fcntl_getlk(&lock, &question)
        .map_err(|errno| control_dir.fail("read the lock of", "lock", FileKind::Regular, errno))?;
    Ok(holder.map(|holder| Supervisor {
        pid: holder
            .pid
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs()),
    }))
}
