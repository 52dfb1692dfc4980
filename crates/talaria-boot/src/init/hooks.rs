//! The hooks of `/etc/cont-init.d`: run one after the other, in the order of
//! the bytes of their names, as the user that the container was started as.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, dup2_stdin, setpgid};

use super::handover::Handover;
use super::stage2::{Ended, wait_for};
use crate::applet::Applet;
use crate::error::{BootError, Stage2Failure};
use crate::identity::Identity;
use crate::signals::{self, Signals};
use crate::{containment, paths, reconcile, report, setup, sys};

/// The hook without which there is nothing to run: its failure always counts.
const SETUP: &str = "01-hermes-setup";

/// A hook that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: BootError,
    pub(super) fatal: bool,
}

/// Runs every hook, and returns those that failed.
///
/// Those that are part of this program run without loading it again, and while
/// PID 1 is still on its way to s6-svscan. Others find that there.
///
/// # Errors
/// Where the directory cannot be listed; [`Ended::Stopped`] where the container
/// was told to stop meanwhile.
pub(super) fn run(
    identity: &Identity,
    handover: &Handover,
    signals: &mut Signals,
) -> Result<Vec<Failed>, Ended> {
    let own = std::env::current_exe().map_err(BootError::file("find it", "/proc/self/exe"))?;
    let mut failed = Vec::new();
    for hook in list(Path::new(paths::HOOKS)).map_err(BootError::file("list it", paths::HOOKS))? {
        report::step(format_args!("{}: running", hook.display()));
        let begun = match containment::check_program(&hook, identity) {
            Ok(program) if program == own => begin(&hook, identity),
            Ok(program) => {
                handover.wait();
                start(&hook, &program, identity).map(Some)
            }
            Err(failure) => Err(failure),
        };
        let failure = match begun {
            Ok(Some(pid)) => ended(wait_for(pid, signals)?),
            Ok(None) => None,
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure {
            let fatal = hook.file_name().is_some_and(|name| name == SETUP);
            failed.push(Failed {
                error: BootError::Stage2 {
                    path: hook,
                    failure,
                },
                fatal,
            });
        }
    }
    Ok(failed)
}

/// The hooks in their order; none where there is no directory.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut hooks = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            hooks.push(path);
        }
    }
    hooks.sort();
    Ok(hooks)
}

/// What a hook came to; `None` is what it should.
fn ended(status: WaitStatus) -> Option<Stage2Failure> {
    match status {
        WaitStatus::Exited(_, 0) => None,
        WaitStatus::Exited(_, code) => Some(Stage2Failure::Exited(code)),
        WaitStatus::Signaled(_, signal, _) => Some(Stage2Failure::Signaled(signal as i32)),
        other => Some(Stage2Failure::Unusable(format!("{other:?}"))),
    }
}

/// Starts a hook that is part of this program, as [`start`] does others; `None`
/// where there is nothing to do.
fn begin(hook: &Path, identity: &Identity) -> Result<Option<Pid>, Stage2Failure> {
    let name = hook.file_name().and_then(Applet::of_name);
    let part = match name {
        Some(Applet::Setup) => setup::prepare,
        Some(Applet::Reconcile) => reconcile::at_boot,
        // Nobody scans the agent's directory yet.
        Some(Applet::SupervisePerms) => return Ok(None),
        _ => {
            let name = hook.file_name().unwrap_or_default().to_string_lossy();
            let unknown = BootError::UnknownApplet(name.into_owned());
            return Err(Stage2Failure::Unusable(unknown.to_string()));
        }
    };
    let begun = sys::fork(|| match alone().and_then(|()| part(identity)) {
        Ok(()) => 0,
        Err(error) => super::failed(&error),
    });
    match begun {
        Ok(pid) => Ok(Some(pid)),
        Err(error) => Err(Stage2Failure::Unusable(report::chain(&error))),
    }
}

/// In a process of its own: a group of its own, nothing to read, no signal blocked.
fn alone() -> Result<(), BootError> {
    let own = Pid::from_raw(0);
    setpgid(own, own).map_err(BootError::system("setpgid"))?;
    let null = File::open("/dev/null").map_err(BootError::file("open it", "/dev/null"))?;
    dup2_stdin(&null).map_err(BootError::system("dup2"))?;
    signals::unblock_all()
}

/// Starts a hook in a group of its own, with nothing to read and no signal blocked:
/// what it leaves in the background has to end when the container does.
fn start(hook: &Path, program: &Path, identity: &Identity) -> Result<Pid, Stage2Failure> {
    let mut command = Command::new(program);
    command
        .arg0(hook)
        .stdin(Stdio::null())
        .env("PATH", super::path_with_commands(identity))
        .process_group(0);
    let started = sys::unblocked(&mut command).spawn().and_then(|child| {
        i32::try_from(child.id())
            .map(Pid::from_raw)
            .map_err(io::Error::other)
    });
    started.map_err(|error| Stage2Failure::Unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_come_in_the_order_of_their_bytes_and_directories_are_none() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["02-b", "015-x", "01-a", "Z", "a"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::create_dir(directory.path().join("00-dir")).unwrap();
        let hooks = list(directory.path()).unwrap();
        let names: Vec<_> = hooks.iter().map(|hook| hook.file_name().unwrap()).collect();
        assert_eq!(names, ["01-a", "015-x", "02-b", "Z", "a"]);
        assert!(list(&directory.path().join("missing")).unwrap().is_empty());
    }
}
