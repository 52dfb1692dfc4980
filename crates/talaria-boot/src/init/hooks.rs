//! The hooks of `/etc/cont-init.d`: run one after the other, in the order of
//! the bytes of their names, as the user that the container was started as.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::stage2::{Ended, wait_for};
use crate::containment;
use crate::error::{BootError, Stage2Failure};
use crate::identity::Identity;
use crate::signals::Signals;
use crate::{paths, report, sys};

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
/// # Errors
/// Where the directory cannot be listed; [`Ended::Stopped`] where the container
/// was told to stop meanwhile.
pub(super) fn run(identity: &Identity, signals: &mut Signals) -> Result<Vec<Failed>, Ended> {
    let mut failed = Vec::new();
    for hook in list(Path::new(paths::HOOKS)).map_err(BootError::file("list it", paths::HOOKS))? {
        report::step(format_args!("{}: running", hook.display()));
        if let Some(failure) = run_one(&hook, identity, signals)? {
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

fn run_one(
    hook: &Path,
    identity: &Identity,
    signals: &mut Signals,
) -> Result<Option<Stage2Failure>, Ended> {
    let program = match containment::check_program(hook, identity) {
        Ok(program) => program,
        Err(failure) => return Ok(Some(failure)),
    };
    let pid = match start(hook, &program, identity) {
        Ok(pid) => pid,
        Err(error) => return Ok(Some(Stage2Failure::Unusable(error.to_string()))),
    };
    Ok(match wait_for(pid, signals)? {
        WaitStatus::Exited(_, 0) => None,
        WaitStatus::Exited(_, code) => Some(Stage2Failure::Exited(code)),
        WaitStatus::Signaled(_, signal, _) => Some(Stage2Failure::Signaled(signal as i32)),
        other => Some(Stage2Failure::Unusable(format!("{other:?}"))),
    })
}

/// Starts a hook in a group of its own, with nothing to read and no signal blocked:
/// what it leaves in the background has to end when the container does.
fn start(hook: &Path, program: &Path, identity: &Identity) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command
        .arg0(hook)
        .stdin(Stdio::null())
        .env("PATH", super::path_with_commands(identity))
        .process_group(0);
    let child = sys::unblocked(&mut command).spawn()?;
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(io::Error::other)
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
