//! `with-contenv PROGRAM ARGS…`: a program with the container's environment.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::environment::{self, Variable};
use crate::error::BootError;
use crate::identity::Identity;
use crate::{containment, exec, paths};

/// Becomes a program whose environment is this one's, and over it the container's.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let (program, args) = args
        .split_first()
        .ok_or(BootError::Usage("with-contenv PROGRAM [ARGUMENT…]"))?;
    let mut container = container()?;
    let identity = Identity::of_agent()?;
    for (_, path) in container.iter_mut().filter(|(name, _)| name == "PATH") {
        // Root gets back no directory that its own PATH was kept clear of.
        *path = containment::trusted_path(path, &identity);
    }
    let path = container
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, path)| path.as_os_str());
    let found = path
        .map_or_else(
            || exec::find(program),
            |path| exec::find_on(Some(path), program),
        )
        .ok_or_else(|| BootError::NotFound {
            program: program.into(),
        })?;
    Err(exec::exec(
        Command::new(found).arg0(program).args(args).envs(container),
    ))
}

/// The container's environment; this process' own where no init has kept it,
/// because then the container was entered some other way and that is it.
pub(crate) fn container() -> Result<Vec<Variable>, BootError> {
    match environment::load(Path::new(paths::ENVIRONMENT)) {
        Ok(variables) => Ok(variables),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(std::env::vars_os().collect()),
        Err(source) => Err(BootError::File {
            action: "read the container's environment",
            path: paths::ENVIRONMENT.into(),
            source,
        }),
    }
}
