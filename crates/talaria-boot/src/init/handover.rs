//! From `/init` to s6-svscan, without losing a SIGTERM on the way.
//!
//! A signal that PID 1 has no handler for is dropped by the kernel, unless it is
//! blocked when it comes. So SIGTERM stays blocked until s6-svscan, which first
//! unblocks everything and then sets up its own handling, takes over; and a child
//! of stage 2 looks at what is pending until then, because whatever is dropped at
//! that moment was to be seen before it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getppid};

use crate::error::BootError;
use crate::{paths, report, sys};

/// The most services in root's scandir, loggers counted: the agent's tree and
/// the static ones.
const MAX_SUPERVISED: &str = "512";

/// How often is looked, in nanoseconds. The whole takes a millisecond or two.
const LOOK_EVERY: i64 = 20_000;

/// Becomes s6-svscan, with the signals that are blocked still blocked, which the
/// standard library's own exec would not do.
pub(super) fn become_svscan(scanning: &OwnedFd, path: &OsStr) -> Result<Infallible, BootError> {
    fcntl(scanning, FcntlArg::F_SETFD(FdFlag::empty())).map_err(BootError::system("fcntl"))?;
    let program = Path::new(paths::COMMANDS).join("s6-svscan");
    let descriptor = scanning.as_raw_fd().to_string();
    let args = ["-C", MAX_SUPERVISED, "-d", &descriptor, paths::ROOT_SCANDIR];
    let args = std::iter::once(program.as_os_str()).chain(args.iter().map(OsStr::new));
    let environment = std::env::vars_os()
        .filter(|(name, _)| name != "PATH")
        .chain(std::iter::once((OsString::from("PATH"), path.to_owned())))
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let c_args: Vec<CString> = args
        .filter_map(|word| CString::new(word.as_bytes()).ok())
        .collect();
    let c_environment: Vec<CString> = environment
        .filter_map(|variable| CString::new(variable).ok())
        .collect();
    let c_program = CString::new(program.as_os_str().as_bytes());
    let c_program = c_program.map_err(|_| refused(program.clone(), nix::Error::EINVAL))?;
    nix::unistd::execve(&c_program, &c_args, &c_environment)
        .map_err(|error| refused(program, error))
}

fn refused(program: PathBuf, error: nix::Error) -> BootError {
    BootError::Execute {
        program,
        source: error.into(),
    }
}

/// The process that looks after signals until s6-svscan does.
pub(super) struct Handover {
    watcher: Pid,
}

impl Handover {
    /// In stage 2, which gets the SIGTERM that would have been lost.
    pub(super) fn watch(scanning: &OwnedFd) -> Result<Self, BootError> {
        let (first, stage2) = (getppid(), Pid::this());
        let watcher = sys::fork(|| match wait_until_scanning(first, scanning) {
            Ok(false) => 0,
            Ok(true) => kill(stage2, Signal::SIGTERM).map_or(1, |()| 0),
            Err(error) => {
                report::error(&error);
                error.exit_code()
            }
        })?;
        Ok(Self { watcher })
    }

    /// Waits until s6-svscan has its signals in hand and can be told something.
    pub(super) fn wait(&self) {
        // Waited for already is as good; and what went wrong was said.
        while waitpid(self.watcher, None) == Err(nix::Error::EINTR) {}
    }
}

/// Waits until s6-svscan, as `first`, has its signals in hand. Whether a SIGTERM
/// came on the way there.
fn wait_until_scanning(first: Pid, scanning: &OwnedFd) -> Result<bool, BootError> {
    let path = format!("/proc/{first}/status");
    let status = File::open(&path).map_err(BootError::file("read it", &path))?;
    let mut told = false;
    loop {
        told |= is_pending(&status, Signal::SIGTERM);
        let mut fds = [PollFd::new(scanning.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::new(0, LOOK_EVERY)), None) {
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(told),
            Err(source) => {
                return Err(BootError::System {
                    call: "ppoll",
                    source,
                });
            }
        }
    }
}

/// Whether a signal waits for a process whose `/proc/PID/status` this is.
fn is_pending(status: &File, signal: Signal) -> bool {
    let mut text = [0; 4096];
    let length = status.read_at(&mut text, 0).unwrap_or(0);
    let pending = String::from_utf8_lossy(&text[..length])
        .lines()
        .find_map(|line| line.strip_prefix("ShdPnd:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    pending & (1 << (signal as i32 - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_signal_is_seen_in_the_status_of_its_process() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"SigPnd:\t0000000000000000\nShdPnd:\t0000000000004000\n", 0)
            .unwrap();
        assert!(is_pending(&file, Signal::SIGTERM));
        assert!(!is_pending(&file, Signal::SIGINT));
    }
}
