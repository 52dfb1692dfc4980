//! Clients that are written in Python, from its package index.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use docker_harness::Failure;

use crate::sandbox::program;

/// Python with this package, installed once into a folder of that name in the target folder; why
/// not, where it cannot be had.
pub(super) fn python(folder: &str, package: &str) -> Result<Result<PathBuf, String>, Failure> {
    let target = program().ancestors().nth(2).ok_or("no target folder")?;
    let directory = target.join(folder);
    let python = directory.join("bin/python");
    // Tests are processes of their own, and one installs for all.
    let lock = File::create(target.join(format!("{folder}.lock")))?;
    lock.lock()?;
    let is_whole = directory.join(package);
    if is_whole.exists() {
        return Ok(Ok(python));
    }
    let path = directory.to_string_lossy().into_owned();
    let steps: [(&Path, &[&str]); 2] = [
        (Path::new("python3"), &["-m", "venv", "--clear", &path]),
        (
            &python,
            &[
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                package,
            ],
        ),
    ];
    for (program, words) in steps {
        match Command::new(program).args(words).output() {
            Ok(done) if done.status.success() => {}
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                return Ok(Err(format!("{words:?}: {said}")));
            }
            Err(error) => return Ok(Err(format!("{}: {error}", program.display()))),
        }
    }
    fs::write(is_whole, "")?;
    Ok(Ok(python))
}
