//! `hermes` on `PATH`: the agent, never as root by accident.

use std::convert::Infallible;
use std::ffi::OsString;

use profile_boot::environment::is_truthy;

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::{exec, main_wrapper};

/// The variable that lets root stay root.
const AS_ROOT: &str = "HERMES_DOCKER_EXEC_AS_ROOT";

/// Becomes the agent. Root, who comes through `docker exec`, becomes the agent's
/// user first: files that it left in the home would be out of the agent's reach.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let agent = main_wrapper::load_agent()?;
    let mut command = std::process::Command::new(&agent.program);
    let as_root = std::env::var(AS_ROOT).is_ok_and(|value| is_truthy(&value));
    let identity = Identity::of_agent()?;
    if identity.is_switch() && !as_root {
        identity.assume()?;
        command.env("HOME", identity::home());
    }
    Err(exec::exec(command.args(args)))
}
