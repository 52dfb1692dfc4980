//! The container's environment, kept for those whom `docker run -e` does not
//! reach: a directory with a file for each variable, its value byte for byte.
//!
//! Hooks may add files and change them, as they do under s6-overlay. A variable
//! whose name cannot be a file name is kept in a file beside the directory.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

/// The longest file name, in bytes.
const NAME_MAX: usize = 255;

/// One variable.
pub(crate) type Variable = (OsString, OsString);

/// Keeps `variables` in `directory`, which must not be there yet, readable for
/// its owner and its group, which are those of this process, and for nobody else.
pub(crate) fn save(directory: &Path, variables: impl Iterator<Item = Variable>) -> io::Result<()> {
    let umask = umask(Mode::from_bits_truncate(0o027));
    let saved = save_with_umask(directory, variables);
    nix::sys::stat::umask(umask);
    saved
}

fn save_with_umask(directory: &Path, variables: impl Iterator<Item = Variable>) -> io::Result<()> {
    DirBuilder::new().mode(0o750).create(directory)?;
    let mut rest = Vec::new();
    for (name, value) in variables {
        if is_file_name(&name) {
            write(&directory.join(&name), value.as_bytes())?;
        } else {
            rest.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
    }
    if rest.is_empty() {
        return Ok(());
    }
    write(&beside(directory), &rest)
}

/// The variables that [`save`] kept, and what hooks made of them since.
pub(crate) fn load(directory: &Path) -> io::Result<Vec<Variable>> {
    let mut variables = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        variables.push((
            entry.file_name(),
            OsString::from_vec(fs::read(entry.path())?),
        ));
    }
    // Few containers have such names, and s6-overlay keeps nothing beside it.
    let rest = match fs::read(beside(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        rest => rest?,
    };
    for record in rest.split(|byte| *byte == 0) {
        // A name is never empty, so an equals sign in front belongs to it.
        if let Some(equals) = record.iter().skip(1).position(|byte| *byte == b'=') {
            let (name, value) = (&record[..=equals], &record[equals + 2..]);
            variables.push((
                OsStr::from_bytes(name).into(),
                OsStr::from_bytes(value).into(),
            ));
        }
    }
    Ok(variables)
}

/// Removes what an earlier run of the container kept.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    missing_is_fine(fs::remove_dir_all(directory))?;
    missing_is_fine(fs::remove_file(beside(directory)))
}

fn beside(directory: &Path) -> PathBuf {
    directory.with_extension("rest")
}

fn is_file_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= NAME_MAX
        && !bytes.contains(&b'/')
        && bytes != b"."
        && bytes != b".."
}

fn write(path: &Path, value: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)?
        .write_all(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_variable_comes_back_byte_for_byte() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("container_environment");
        let variables: Vec<Variable> = [
            (&b"PLAIN"[..], &b"value"[..]),
            (b"EMPTY", b""),
            (b"NEWLINES", b"a\n\nb\n"),
            (b"EQUALS", b"a=b=="),
            (b"BYTES", b"\xff\xfe\x80"),
            (b"a/b", b"odd=name"),
            (b"..", b"dots"),
        ]
        .map(|(name, value)| {
            (
                OsStr::from_bytes(name).into(),
                OsStr::from_bytes(value).into(),
            )
        })
        .into();
        save(&directory, variables.clone().into_iter()).unwrap();
        let mut found = load(&directory).unwrap();
        found.sort();
        let mut expected = variables;
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn nobody_else_can_read_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("container_environment");
        let variables = [("SECRET", "s"), ("a/b", "s")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        save(&directory, variables.into_iter()).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o750);
        assert_eq!(mode(&directory.join("SECRET")), 0o640);
        assert_eq!(mode(&beside(&directory)), 0o640);
        remove(&directory).unwrap();
        remove(&directory).unwrap();
    }
}
