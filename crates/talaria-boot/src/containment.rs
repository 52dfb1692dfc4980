//! What root may run: nothing that the agent's user can write.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Stage2Failure;
use crate::exec;
use crate::identity::Identity;

/// Whether a directory is out of the agent's reach: it is there, and the agent's
/// user can write neither it nor any directory on the way to it.
pub(crate) fn is_trusted_directory(directory: &Path, agent: &Identity) -> bool {
    if !agent.is_switch() {
        return true;
    }
    let Ok(real) = directory.canonicalize() else {
        return false;
    };
    real.ancestors().enumerate().all(|(above, place)| {
        place.metadata().is_ok_and(|metadata| {
            // What others own in a sticky directory stays; but anything can be added.
            let sticky = metadata.mode() & 0o1000 != 0 && metadata.uid() != agent.uid.as_raw();
            (above > 0 && sticky)
                || !agent.could_write(metadata.uid(), metadata.gid(), metadata.mode())
        })
    })
}

/// A `PATH` without the directories in which the agent's user could put a program
/// of its own. Relative ones go too: what they mean changes.
pub(crate) fn trusted_path(path: &OsStr, agent: &Identity) -> OsString {
    if !agent.is_switch() {
        return path.to_owned();
    }
    let directories = std::env::split_paths(path)
        .filter(|directory| directory.is_absolute() && is_trusted_directory(directory, agent));
    std::env::join_paths(directories).unwrap_or_default()
}

/// Checks a program that is about to be run with this process' rights.
///
/// Started as root, the program and the directories on the way to it must be
/// out of the agent's reach; started as the agent's own user there is nothing to
/// guard. Returns the program that was checked, which is the one to run: a link
/// on the way there may lead elsewhere later.
pub(crate) fn check_program(path: &Path, agent: &Identity) -> Result<PathBuf, Stage2Failure> {
    let unusable = |error: std::io::Error| Stage2Failure::Unusable(error.to_string());
    let real = path.canonicalize().map_err(unusable)?;
    if agent.is_switch() {
        let metadata = real.metadata().map_err(unusable)?;
        let named = path
            .parent()
            .is_some_and(|parent| is_trusted_directory(parent, agent));
        let held = real
            .parent()
            .is_some_and(|parent| is_trusted_directory(parent, agent));
        if !named || !held || agent.could_write(metadata.uid(), metadata.gid(), metadata.mode()) {
            return Err(Stage2Failure::WritableByAgent);
        }
    }
    if exec::is_executable(&real) {
        Ok(real)
    } else {
        Err(Stage2Failure::NotExecutable)
    }
}
