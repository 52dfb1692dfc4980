//! `01-hermes-setup`: the agent's home, there and the agent's own.

use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{AccessFlags, access, fchown};
use profile_boot::provision::{self, Wishes};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::{boot_commands, containment, ownership, paths, report, sys};

/// The hook.
pub(crate) fn run() -> Result<Infallible, BootError> {
    prepare(&Identity::of_agent()?)?;
    std::process::exit(0);
}

/// Makes the home where it is missing, gives it to the agent where it is not
/// the agent's, and fills it with what the agent starts from.
pub(crate) fn prepare(identity: &Identity) -> Result<(), BootError> {
    let home = identity::home();
    let directory = if identity.is_switch() {
        own_home(&home, identity)?
    } else {
        None
    };
    sys::as_agent(identity, || fill_home(&home))?;
    if let Some(directory) = directory {
        // In the background: the boot goes on without waiting.
        sys::fork(|| {
            ownership::heal(&home, &directory, identity);
            0
        })?;
    }
    boot_commands::run(&home, identity)
}

/// Checks that the home can be written, before anything runs.
pub(crate) fn check_writable(path: &Path) -> Result<(), BootError> {
    match access(path, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(Errno::EROFS) => Err(BootError::ReadOnly {
            path: path.to_owned(),
        }),
        Err(Errno::ENOENT) => match path.parent() {
            Some(parent) => check_writable(parent),
            None => Err(BootError::file("find it", path)(Errno::ENOENT.into())),
        },
        Err(errno) => match path.metadata() {
            Ok(metadata) => Err(BootError::NotWritable {
                path: path.to_owned(),
                uid: nix::unistd::geteuid().as_raw(),
                gid: nix::unistd::getegid().as_raw(),
                owner_uid: metadata.uid(),
                owner_gid: metadata.gid(),
            }),
            Err(_) => Err(BootError::file("look at it", path)(errno.into())),
        },
    }
}

/// The home is made where it is missing, and given to the agent's user where it
/// belongs to somebody else. Both are root's work only where the agent cannot
/// have led the way there astray: only then is the home returned, open.
fn own_home(home: &Path, identity: &Identity) -> Result<Option<OwnedFd>, BootError> {
    let above = home.ancestors().skip(1).find(|ancestor| ancestor.is_dir());
    if !above.is_some_and(|above| containment::is_trusted_directory(above, identity)) {
        sys::as_agent(identity, || make_home(home))?;
        return Ok(None);
    }
    make_home(home)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = match open(home, flags, Mode::empty()) {
        Ok(directory) => directory,
        // A link is the image's own arrangement; and what root may not open, the agent may.
        Err(Errno::ELOOP | Errno::ENOTDIR | Errno::EACCES) => return Ok(None),
        Err(error) => return Err(BootError::file("open it", home)(error.into())),
    };
    ownership::follow(home, &directory, identity);
    let owner =
        fstat(&directory).map_err(|error| BootError::file("look at it", home)(error.into()))?;
    if owner.st_uid != identity.uid.as_raw()
        && let Err(error) = fchown(&directory, Some(identity.uid), Some(identity.gid))
    {
        report::warning(format_args!(
            "{}: cannot give it to uid {}: {error}",
            home.display(),
            identity.uid
        ));
    }
    ownership::heal_known(&directory, identity);
    Ok(Some(directory))
}

fn make_home(home: &Path) -> Result<(), BootError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(home)
        .map_err(|error| match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => BootError::ReadOnly {
                path: home.to_owned(),
            },
            _ => BootError::file("make it", home)(error),
        })
}

/// A home that the agent closed to itself is opened again, or no boot would get past it.
fn open_own_home(home: &Path) {
    let Ok(metadata) = home.metadata() else {
        return;
    };
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() == nix::unistd::geteuid().as_raw()
        && mode & 0o700 != 0o700
        && let Err(error) = fs::set_permissions(home, Permissions::from_mode(mode | 0o700))
    {
        report::warning(format_args!(
            "{}: cannot open it for its owner: {error}",
            home.display()
        ));
    }
}

/// As the agent's user: what is missing in the home. What cannot be made is
/// said, and the boot goes on: what needs it will say so again.
fn fill_home(home: &Path) -> Result<(), BootError> {
    open_own_home(home);
    check_writable(home)?;
    let wishes = Wishes {
        auth_json: std::env::var("HERMES_AUTH_JSON_BOOTSTRAP")
            .ok()
            .filter(|text| !text.is_empty()),
        gateway_state: std::env::var("HERMES_GATEWAY_BOOTSTRAP_STATE").ok(),
    };
    for odd in provision::odd(home) {
        report::warning(odd);
    }
    let steps = provision::plan(home, Path::new(paths::SEEDS), &wishes);
    for error in provision::execute(&steps, home) {
        report::warning(report::chain(&error));
    }
    let unsynced = provision::unsynced(&steps);
    if !unsynced.is_empty() {
        // In the background: no boot waits for a disk.
        sys::fork(|| {
            for error in provision::sync(&unsynced, home) {
                report::warning(report::chain(&error));
            }
            0
        })?;
    }
    Ok(())
}
