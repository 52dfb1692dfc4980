//! What root may run: nothing that the agent's user can write.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Stage2Failure;
use crate::exec;
use crate::identity::Identity;

/// Checks a program that is about to be run with this process' rights.
///
/// Started as root, the program and the directory that it is in must be out of
/// the agent's reach; started as the agent's own user there is nothing to guard.
pub(crate) fn check_program(path: &Path, agent: &Identity) -> Result<(), Stage2Failure> {
    let unusable = |error: std::io::Error| Stage2Failure::Unusable(error.to_string());
    let real = path.canonicalize().map_err(unusable)?;
    if agent.is_switch() {
        for place in [path.parent(), real.parent(), Some(&real)]
            .into_iter()
            .flatten()
        {
            let metadata = place.metadata().map_err(unusable)?;
            if agent.could_write(metadata.uid(), metadata.gid(), metadata.mode()) {
                return Err(Stage2Failure::WritableByAgent);
            }
        }
    }
    if exec::is_executable(&real) {
        Ok(())
    } else {
        Err(Stage2Failure::NotExecutable)
    }
}
