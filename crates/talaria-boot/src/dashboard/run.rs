//! `run` of the dashboard's slot.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use profile_boot::agent::AGENT_TOML;

use super::{LOOPBACK, PORT, is_wanted, value};
use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::{exec, gateway, main_wrapper, report, with_contenv};

/// Becomes the dashboard, where one is wanted.
pub(crate) fn run() -> Result<Infallible, BootError> {
    // The logger, which marks its lines, reads standard output.
    nix::unistd::dup2_stderr(std::io::stdout()).map_err(BootError::system("dup2"))?;
    let environment = with_contenv::container()?;
    if !is_wanted(&environment) {
        report::line(&"dashboard: not asked for; HERMES_DASHBOARD=1 asks for it");
        std::process::exit(0);
    }
    let agent = main_wrapper::load_agent()?;
    let dashboard = agent.dashboard.as_ref().ok_or(BootError::NoDashboard {
        path: AGENT_TOML.into(),
    })?;
    Identity::of_agent()?.assume()?;
    gateway::die_with_supervisor()?;
    let said = |name: &str, default: &str| {
        value(&environment, name).map_or_else(
            || default.to_owned(),
            |value| value.to_string_lossy().into_owned(),
        )
    };
    let host = said("HERMES_DASHBOARD_HOST", LOOPBACK);
    let port = said("HERMES_DASHBOARD_PORT", PORT);
    if host == LOOPBACK {
        report::line(&format_args!(
            "dashboard: on {host}:{port}, for this container alone; HERMES_DASHBOARD_HOST=0.0.0.0 \
             publishes it, which needs a password or a login provider set up in the agent"
        ));
    }
    let home = identity::home();
    let words = dashboard.command(&host, &port);
    let (program, args) = words.split_first().ok_or(BootError::NoArguments)?;
    Err(exec::exec(
        Command::new(Path::new(program))
            .args(args)
            .env_clear()
            .envs(environment)
            .env("HERMES_HOME", &home)
            .env("HOME", &home)
            .current_dir(&home),
    ))
}
