//! `/run`, made ready: root's part, the agent's part, and nothing of an earlier run.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use nix::unistd::setegid;

use super::SIGNALS;
use crate::error::BootError;
use crate::identity::Identity;
use crate::{environment, paths, report, sys};

/// Where the programs are that s6-svscan starts by themselves.
const PROGRAMS: &str = "/usr/libexec/talaria";

/// Where all of root's part is.
const STATE: &str = "/run/s6";

/// How many directories in each other are opened.
const DEEPEST: usize = 100;

/// Lays out `/run`, as far as s6-svscan needs it. It survives a restart of the
/// container, so what is there already is stale, the agent's slots and all.
pub(super) fn prepare(identity: &Identity) -> Result<(), BootError> {
    let run = Path::new("/run");
    if identity.is_switch() {
        // For a moment, so that the agent's user makes its own directory: root
        // may not be allowed to give one away. Nothing else runs yet.
        set_mode(run, 0o1777)?;
    }
    if Path::new(STATE).exists() {
        clear_stale()?;
    }
    // First what frees space, of which an earlier run may have left none.
    if !make_scandir(identity)? {
        sys::as_agent(identity, clear_scandir)?;
    }
    for directory in [STATE, paths::ROOT_SCANDIR, paths::INIT_STATE] {
        make(directory, 0o755)?;
    }
    if identity.is_switch() {
        set_mode(run, 0o755)?;
    }
    Ok(())
}

/// What whoever runs in the container looks for in `/run`.
pub(super) fn fill(identity: &Identity) -> Result<(), BootError> {
    make(paths::BASEDIR, 0o755)?;
    keep_environment(identity)
}

/// Removes what an earlier run of the container left of root's.
fn clear_stale() -> Result<(), BootError> {
    for stale in [paths::ROOT_SCANDIR, paths::INIT_STATE] {
        absent(fs::remove_dir_all(stale)).map_err(at("clear it", stale))?;
    }
    let environment = Path::new(paths::ENVIRONMENT);
    environment::remove(environment).map_err(at("clear it", environment))
}

/// Makes the agent's scandir, as the agent's user. Whether it did: `false` where
/// something is there.
fn make_scandir(identity: &Identity) -> Result<bool, BootError> {
    let umask = umask(Mode::from_bits_truncate(0o022));
    let made = as_group(identity, || {
        sys::with_uid_of_agent(identity, || fs::create_dir(paths::AGENT_SCANDIR))
    });
    nix::sys::stat::umask(umask);
    match made?? {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made
            .map(|()| true)
            .map_err(at("make it", paths::AGENT_SCANDIR)),
    }
}

/// As the agent's user: empties the scandir. What cannot be removed is put out of
/// the way, since whatever the agent did there must not keep the container down.
fn clear_scandir() -> Result<(), BootError> {
    let scandir = Path::new(paths::AGENT_SCANDIR);
    set_mode(scandir, 0o755)?;
    for entry in scandir.read_dir().map_err(at("list it", scandir))? {
        let path = entry.map_err(at("list it", scandir))?.path();
        let Err(error) = remove(&path) else { continue };
        let aside = scandir.join(format!(
            ".stale-{}",
            path.file_name().unwrap_or_default().display()
        ));
        report::warning(format_args!("{}: cannot clear it: {error}", path.display()));
        if !path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
            && let Err(error) = fs::rename(&path, aside)
        {
            return Err(at("clear it", path)(error));
        }
    }
    Ok(())
}

/// Removes whatever is at `path`, directories that are closed included.
fn remove(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        return fs::remove_file(path);
    }
    fs::remove_dir_all(path).or_else(|_| {
        open_directories(path, 0)?;
        fs::remove_dir_all(path)
    })
}

/// Opens every directory below `path` for its owner.
fn open_directories(path: &Path, depth: usize) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    for entry in path.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && depth < DEEPEST {
            open_directories(&entry.path(), depth + 1)?;
        }
    }
    Ok(())
}

/// The environment, in the agent's group: made with that group in force, since
/// giving it away later may not be allowed.
fn keep_environment(identity: &Identity) -> Result<(), BootError> {
    let kept = as_group(identity, || {
        environment::save(Path::new(paths::ENVIRONMENT), std::env::vars_os())
    });
    kept?.map_err(at("write it", paths::ENVIRONMENT))
}

/// Acts with the agent's group as this process' effective one.
fn as_group<T>(identity: &Identity, act: impl FnOnce() -> T) -> Result<T, BootError> {
    let own = nix::unistd::getegid();
    setegid(identity.gid).map_err(BootError::not_the_agent(identity))?;
    let done = act();
    setegid(own).map_err(BootError::system("setegid"))?;
    Ok(done)
}

/// What s6-svscan runs when it is told to end, when it cannot go on, and for
/// each signal.
pub(super) fn link_programs() -> Result<(), BootError> {
    let control = Path::new(paths::ROOT_SCANDIR).join(".s6-svscan");
    DirBuilder::new()
        .mode(0o700)
        .create(&control)
        .map_err(at("make it", &control))?;
    let link = |name: &str, program: &str| {
        symlink(Path::new(PROGRAMS).join(program), control.join(name))
            .map_err(at("make it", control.join(name)))
    };
    link("finish", "svscan-finish")?;
    link("crash", "svscan-finish")?;
    SIGNALS
        .iter()
        .try_for_each(|signal| link(signal.as_str(), "svscan-signal"))
}

fn make(directory: &str, mode: u32) -> Result<(), BootError> {
    match DirBuilder::new().mode(mode).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(at("make it", directory)),
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), BootError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at("set its mode", path))
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn at(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> BootError {
    let path = path.as_ref().to_owned();
    move |source| match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => BootError::ReadOnly {
            path: "/run".into(),
        },
        _ => BootError::File {
            action,
            path,
            source,
        },
    }
}
