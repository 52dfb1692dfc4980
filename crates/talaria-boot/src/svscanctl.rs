//! `s6-svscanctl`, with one thing done before: gateway slots in the agent's
//! scandir become links to the image's programs.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

use profile_boot::slot;
use profile_boot::supervisors::Supervisors;
use s6_svc::Scandir;

use crate::error::BootError;
use crate::identity::Identity;
use crate::{exec, paths, report};

/// Normalises the slots of the agent's scandir, if that is the one that is
/// meant, and becomes s6's own program.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let scandir = args.last().map(Path::new);
    if scandir.is_some_and(|scandir| {
        scandir
            .canonicalize()
            .is_ok_and(|scandir| scandir == Path::new(paths::AGENT_SCANDIR))
    }) {
        // Root has nothing to do among what the agent's user can write.
        Identity::of_agent()?.assume()?;
        normalise(supervisors()?)?;
    }
    Err(exec::exec(Command::new(paths::SVSCANCTL).args(args)))
}

/// Whose supervisors work in the agent's scandir.
pub(crate) fn supervisors() -> Result<Supervisors, BootError> {
    let scandir = agent_scandir()?;
    Ok(Supervisors::of(&scandir))
}

/// The agent's scandir.
pub(crate) fn agent_scandir() -> Result<Scandir, BootError> {
    Scandir::new(paths::AGENT_SCANDIR)
        .map_err(|error| BootError::file("list it", paths::AGENT_SCANDIR)(io::Error::other(error)))
}

/// Normalises every gateway slot, and says which could not be.
pub(crate) fn normalise(supervisors: Supervisors) -> Result<(), BootError> {
    let scandir = Path::new(paths::AGENT_SCANDIR);
    let changed =
        slot::normalise(scandir, supervisors).map_err(BootError::file("list it", scandir))?;
    for (slot, result) in changed {
        match result {
            Ok(()) => {
                report::step(format_args!("{slot}: its programs are the image's now"));
            }
            Err(error) => {
                report::warning(format_args!("{slot}: cannot link its programs: {error}"));
            }
        }
    }
    Ok(())
}
