//! The programs of a gateway's slot.

mod backoff;
pub(crate) mod finish;
pub(crate) mod log;
pub(crate) mod run;

use std::ffi::OsString;

use profile_boot::profile::ProfileName;
use profile_boot::slot;

pub(crate) use run::die_with_supervisor;

use crate::error::BootError;

/// The profile of the slot that s6 names in an argument: `NAME` or `NAME/log`.
fn profile(argument: Option<&OsString>) -> Result<ProfileName, BootError> {
    let name = argument
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    slot::profile(name.strip_suffix("/log").unwrap_or(&name))
        .ok_or(BootError::NotAGatewaySlot { slot: name })
}
