//! `015-supervise-perms`: where root scans `/run/service`, as it does under
//! s6-overlay, the agent's user gets control of what is supervised there.
//!
//! Under our own init nobody scans the directory yet when hooks run, and the
//! tree that will is the agent's own: there is nothing to do.

use std::convert::Infallible;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Uid, fchown};
use profile_boot::supervisors::Supervisors;
use s6_svc::skeleton;

use crate::error::BootError;
use crate::identity::Identity;
use crate::{paths, report, svscanctl};

/// The scandir is root's and the agent's group's, and sticky: the agent's user
/// makes slots there, and cannot remove or rename those that are not its own.
const SCANDIR_MODE: u32 = 0o1775;

/// The hook. A service that cannot be given away is said, and the others go on.
pub(crate) fn run() -> Result<Infallible, BootError> {
    let identity = Identity::of_agent()?;
    let scandir = svscanctl::agent_scandir()?;
    if !identity.is_switch() || Supervisors::of(&scandir) == Supervisors::Ours {
        std::process::exit(0);
    }
    let owner = skeleton::Identity {
        uid: identity.uid.as_raw(),
        gid: identity.gid.as_raw(),
    };
    let failed = |error| BootError::Supervision {
        path: paths::AGENT_SCANDIR.into(),
        source: error,
    };
    for repaired in scandir.repair_services(owner).map_err(failed)? {
        let name = repaired.name.to_string_lossy();
        match repaired.result {
            Ok(0) => {}
            Ok(changed) => report::step(format_args!("{name}: {changed} things given away")),
            Err(error) => report::warning(format_args!(
                "{name}: stays root's: {}",
                report::chain(&error)
            )),
        }
    }
    scandir.repair_control(owner).map_err(failed)?;
    // Last, so that until then the agent could move nothing that was looked at.
    open_scandir(&identity)?;
    std::process::exit(0);
}

/// Lets the agent's user make slots.
fn open_scandir(identity: &Identity) -> Result<(), BootError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = open(paths::AGENT_SCANDIR, flags, Mode::empty()).and_then(|scandir| {
        fchown(&scandir, Some(Uid::from_raw(0)), Some(identity.gid))?;
        fchmod(&scandir, Mode::from_bits_truncate(SCANDIR_MODE))
    });
    opened.map_err(|error| {
        BootError::file("let the agent make services", paths::AGENT_SCANDIR)(error.into())
    })
}
