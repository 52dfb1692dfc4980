//! `finish` of the dashboard's slot: one that is not wanted stays down.

use std::convert::Infallible;

use crate::error::BootError;
use crate::gateway::finish::PERMANENT_FAILURE;
use crate::with_contenv;

/// Lets a dashboard that crashed be started again, and no other.
pub(crate) fn run() -> Result<Infallible, BootError> {
    let wanted = super::is_wanted(&with_contenv::container()?);
    std::process::exit(if wanted { 0 } else { PERMANENT_FAILURE });
}
