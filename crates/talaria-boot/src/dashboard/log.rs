//! `log/run` of the dashboard's slot: its lines among the container's, marked.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use crate::error::BootError;
use crate::identity::Identity;
use crate::{exec, paths};

/// Becomes the dashboard's s6-log.
pub(crate) fn run() -> Result<Infallible, BootError> {
    Identity::of_agent()?.assume()?;
    let mut command = Command::new(Path::new(paths::COMMANDS).join("s6-log"));
    Err(exec::exec(command.args(["p[dashboard]", "1"])))
}
