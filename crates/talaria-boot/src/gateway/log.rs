//! `log/run` of a gateway's slot: its lines, raw on the container's standard
//! output, and timestamped and rotated in the agent's home.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::path::Path;
use std::process::Command;

use nix::unistd::{AccessFlags, access};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::{exec, paths, report};

/// Becomes the s6-log of the profile whose slot this is.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let profile = super::profile(args.first())?;
    Identity::of_agent()?.assume()?;
    let directory = identity::home()
        .join("logs/gateways")
        .join(profile.as_str());
    let mut command = Command::new(Path::new(paths::COMMANDS).join("s6-log"));
    command.arg("1");
    let made = DirBuilder::new().recursive(true).create(&directory);
    match made.and_then(|()| check(&directory)) {
        Ok(()) => {
            command.args(["n10", "s1000000", "T"]).arg(directory);
        }
        // The lines still have a place to go; a logger that keeps dying would lose them.
        Err(error) => report::warning(format_args!(
            "{}: cannot keep the gateway's log there: {error}",
            directory.display()
        )),
    }
    Err(exec::exec(&mut command))
}

/// That s6-log can work there: in place of its own files, anything but a
/// regular file makes it end, again and again, while the gateway's lines pile up.
fn check(directory: &Path) -> io::Result<()> {
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?;
    for name in ["lock", "current"] {
        match directory.join(name).symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => {
                return Err(io::Error::other(format!("{name} is no regular file")));
            }
            Ok(_) => access(&directory.join(name), AccessFlags::W_OK)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
