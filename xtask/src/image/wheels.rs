//! The agent's wheels: fetched against the lock's hashes, once for each lock.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use bollard::Docker;

use super::context::{FileError, Tree};
use super::throwaway::{self, Job};
use crate::digest::Sum;
use crate::engine::EngineError;
use crate::paths::Checkout;
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// Debian trixie's Python.
pub(crate) const PYTHON: &str = "3.13";
/// Debian trixie's C library, 2.41: the newest that a wheel may ask for.
const GLIBC_MINOR: u32 = 41;

/// Why there are no wheels.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WheelsError {
    /// A file of the cache or the lock could not be read or written.
    #[error("cannot keep wheels")]
    File(#[from] FileError),
    /// pip failed on this machine.
    #[error("cannot fetch wheels")]
    Pip(#[from] ProcessError),
    /// The throwaway container failed.
    #[error("cannot run pip in a container")]
    Engine(#[from] EngineError),
    /// pip fetched something else than the lock names.
    #[error("{} names {locked} packages, {found} wheels were fetched", lock.display())]
    Count {
        /// The lock.
        lock: PathBuf,
        /// Packages in it.
        locked: usize,
        /// Files fetched.
        found: usize,
    },
}

/// How many packages a lock names.
pub(crate) fn locked(lock: &str) -> usize {
    lock.lines()
        .filter(|line| line.contains("==") && !line.starts_with(['#', ' ']))
        .count()
}

/// The folder of a cache in which a lock's wheels are kept.
pub(crate) fn folder(checkout: &Checkout, lock: &str) -> PathBuf {
    checkout
        .cache()
        .join("wheels")
        .join(Sum::of(lock.as_bytes()).short())
}

/// Arguments of pip that fetch for the image's Python, whatever Python runs pip.
fn pip_arguments(lock: &str, into: &str) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "download",
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--python-version={PYTHON}"));
    let machine = env::consts::ARCH;
    let modern = (5..=GLIBC_MINOR)
        .rev()
        .map(|minor| format!("manylinux_2_{minor}_{machine}"));
    let legacy = ["manylinux2014", "manylinux2010", "manylinux1", "linux"];
    let legacy = legacy.map(|name| format!("{name}_{machine}"));
    for platform in modern.chain(legacy) {
        arguments.push(format!("--platform={platform}"));
    }
    arguments.push(format!("--requirement={lock}"));
    arguments.push(format!("--dest={into}"));
    arguments
}

/// The wheels of `image/hermes.lock`: from the cache, or fetched. `base` is the image of the
/// throwaway container, for a machine without pip.
pub(crate) async fn load(
    docker: &Docker,
    checkout: &Checkout,
    base: &str,
) -> Result<Tree, WheelsError> {
    let lock_path = checkout.image().join("hermes.lock");
    let lock = fs::read_to_string(&lock_path).map_err(FileError::on(&lock_path))?;
    let folder = folder(checkout, &lock);
    if !folder.is_dir() {
        fetch(docker, checkout, &lock_path, &folder, base).await?;
    }
    let tree = Tree::read(&folder)?;
    let (locked, found) = (locked(&lock), tree.len());
    if locked == found {
        Ok(tree)
    } else {
        Err(WheelsError::Count {
            lock: lock_path,
            locked,
            found,
        })
    }
}

async fn fetch(
    docker: &Docker,
    checkout: &Checkout,
    lock: &Path,
    folder: &Path,
    base: &str,
) -> Result<(), WheelsError> {
    let step = Step::begin("wheels");
    let partial = folder.with_extension("part");
    remove_dir(&partial)?;
    fs::create_dir_all(&partial).map_err(FileError::on(&partial))?;
    let arguments = pip_arguments(&lock.to_string_lossy(), &partial.to_string_lossy());
    let how = match pip_on_host(&arguments, &step) {
        Ok(()) => "with this machine's pip",
        Err(error) if error.is_missing() => {
            step.note("no pip here; a throwaway container fetches them");
            let archive = pip_in_container(docker, checkout, lock, base, &step).await?;
            unpack(&archive, &partial)?;
            "in a throwaway container"
        }
        Err(error) => return Err(error.into()),
    };
    fs::rename(&partial, folder).map_err(FileError::on(folder))?;
    step.done(format!("fetched {how}"));
    Ok(())
}

/// pip as a module of python3, where that has it; `is_missing` otherwise.
fn pip_on_host(arguments: &[String], step: &Step) -> Result<(), ProcessError> {
    for pip in [["python3", "-m", "pip"].as_slice(), &["pip3"], &["pip"]] {
        let command = || {
            let mut command = Command::new(pip[0]);
            command.args(&pip[1..]);
            command
        };
        if process::output(command().arg("--version")).is_ok() {
            return process::run(command().args(arguments), step);
        }
    }
    let source = io::Error::new(io::ErrorKind::NotFound, "not on this machine");
    Err(ProcessError::Run {
        program: "pip".to_owned(),
        source,
    })
}

async fn pip_in_container(
    docker: &Docker,
    checkout: &Checkout,
    lock: &Path,
    base: &str,
    step: &Step,
) -> Result<Vec<u8>, WheelsError> {
    let mut files = Tree::new();
    let bytes = fs::read(lock).map_err(FileError::on(lock))?;
    files.file("hermes.lock", bytes, false);
    let arguments = pip_arguments("/work/hermes.lock", "/work/out").join(" ");
    pip_job(
        docker,
        checkout,
        base,
        files,
        &format!("pip {arguments}"),
        step,
    )
    .await
}

/// Runs a pip command line in a throwaway container, which is lent this machine's CA file.
pub(crate) async fn pip_job(
    docker: &Docker,
    checkout: &Checkout,
    base: &str,
    mut files: Tree,
    pip: &str,
    step: &Step,
) -> Result<Vec<u8>, WheelsError> {
    let list = checkout.image().join("packages/wheelhouse.txt");
    files.file(
        "packages",
        fs::read(&list).map_err(FileError::on(&list))?,
        false,
    );
    let mut env = Vec::new();
    if let Some(bundle) = ca_file(|name| env::var(name).ok()) {
        files.file(
            "ca.crt",
            fs::read(&bundle).map_err(FileError::on(&bundle))?,
            false,
        );
        env.push("PIP_CERT=/work/ca.crt".to_owned());
    }
    env.extend(
        env::var("PIP_INDEX_URL")
            .ok()
            .map(|url| format!("PIP_INDEX_URL={url}")),
    );
    let script = format!(
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -q; \
         apt-get install -q -y --no-install-recommends $(sed 's/#.*//' packages); \
         mkdir -p out; {pip}"
    );
    let job = Job {
        image: base,
        script: &script,
        env,
        files,
    };
    Ok(throwaway::run(docker, job, step).await?)
}

/// This machine's CA bundle: as its environment says, or where distributions keep it.
fn ca_file(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
    let usual = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    named
        .iter()
        .filter_map(|name| variable(name))
        .chain(usual.map(str::to_owned))
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

/// Unpacks the regular files of an archive into one flat folder.
pub(crate) fn unpack(archive: &[u8], into: &Path) -> Result<(), FileError> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(FileError::on(into))? {
        let mut entry = entry.map_err(FileError::on(into))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry
            .path()
            .map_err(FileError::on(into))?
            .file_name()
            .map(PathBuf::from);
        if let Some(name) = name {
            let path = into.join(name);
            let mut file = fs::File::create(&path).map_err(FileError::on(&path))?;
            io::copy(&mut entry, &mut file).map_err(FileError::on(&path))?;
        }
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::on(dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_and_hashes_are_not() {
        let lock = "# a==1\na==1 \\\n    --hash=sha256:00\nb[c]==2 \\\n    --hash=sha256:11\n";
        assert_eq!(locked(lock), 2);
    }

    #[test]
    fn pip_is_asked_for_the_images_python_and_for_wheels_alone() {
        let arguments = pip_arguments("a.lock", "out");
        for needed in [
            "--python-version=3.13",
            "--only-binary=:all:",
            "--require-hashes",
        ] {
            assert!(
                arguments.iter().any(|argument| argument == needed),
                "{needed}"
            );
        }
    }

    #[test]
    fn a_ca_file_that_the_environment_names_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("ca.pem");
        fs::write(&bundle, "").unwrap();
        let named = bundle.to_str().unwrap().to_owned();
        let found = ca_file(|name| (name == "SSL_CERT_FILE").then(|| named.clone()));
        assert_eq!(found, Some(bundle));
    }

    #[test]
    fn an_archive_cannot_write_outside_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::new();
        tree.file("out/deep/a.whl", "wheel", false);
        tree.link("out/link", "/etc/passwd");
        unpack(&tree.to_tar().unwrap(), dir.path()).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.whl"]);
    }
}
