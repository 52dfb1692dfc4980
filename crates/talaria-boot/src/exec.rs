//! Becoming another program.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{AccessFlags, access};

use crate::error::BootError;

/// Becomes `command`. Comes back only with the reason why not.
///
/// The program starts with no signal blocked and SIGPIPE at its default.
pub(crate) fn exec(command: &mut Command) -> BootError {
    let source = command.exec();
    let program = PathBuf::from(command.get_program());
    match source.kind() {
        io::ErrorKind::NotFound if !program.exists() => BootError::NotFound { program },
        _ => BootError::Execute { program, source },
    }
}

/// Becomes the program that the first word names, as a shell would find it on `path`.
pub(crate) fn exec_words(words: &[OsString], path: &OsStr) -> Result<Infallible, BootError> {
    let (program, args) = words.split_first().ok_or(BootError::NoArguments)?;
    let found = find_on(Some(path), program).ok_or_else(|| BootError::NotFound {
        program: program.into(),
    })?;
    Err(exec(Command::new(found).arg0(program).args(args)))
}

/// The file that a shell would run for `program`: itself where it has a slash,
/// otherwise the first executable of that name on `PATH`.
pub(crate) fn find(program: &OsStr) -> Option<PathBuf> {
    find_on(std::env::var_os("PATH").as_deref(), program)
}

/// As [`find`], with another `PATH`.
pub(crate) fn find_on(path: Option<&OsStr>, program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        let path = PathBuf::from(program);
        return path.exists().then_some(path);
    }
    if program.is_empty() {
        return None;
    }
    std::env::split_paths(path?)
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

/// Whether this is a file that this process may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}
