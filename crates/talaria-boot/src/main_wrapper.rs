//! The main program: the user's arguments, routed and run as the agent's user.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use profile_boot::agent::{AGENT_TOML, Agent};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::init;
use crate::routing::{self, Route};
use crate::{exec, paths};

/// Reads which agent this image holds.
pub(crate) fn load_agent() -> Result<Agent, BootError> {
    Agent::load(Path::new(AGENT_TOML)).map_err(|source| BootError::AgentToml {
        path: AGENT_TOML.into(),
        source,
    })
}

/// Decides what `args` mean here.
pub(crate) fn route(args: &[OsString], agent: &Agent) -> Route {
    routing::route(args, agent, |word| {
        exec::find(word).is_some_and(|path| exec::is_executable(&path))
    })
}

/// `main-wrapper.sh`: drops to the agent's user and becomes what `args` mean.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let agent = load_agent()?;
    become_program(&route(args, &agent), &agent, &Identity::of_agent()?)
}

/// Becomes the main program as the agent's user: in the directory that the
/// container was started in, with the agent's home as `HOME`.
pub(crate) fn become_program(
    route: &Route,
    agent: &Agent,
    identity: &Identity,
) -> Result<Infallible, BootError> {
    identity.assume()?;
    let mut command = match route {
        Route::Agent(args) => {
            let mut command = Command::new(&agent.program);
            command.args(args);
            command
        }
        Route::Program(words) => {
            let (program, args) = words.split_first().ok_or(BootError::NoArguments)?;
            let found = exec::find(program).ok_or_else(|| BootError::NotFound {
                program: program.into(),
            })?;
            let mut command = Command::new(found);
            std::os::unix::process::CommandExt::arg0(&mut command, program);
            command.args(args);
            command
        }
    };
    let error = exec::exec(command.env("HOME", identity::home()));
    match (route, error) {
        (Route::Agent(_), BootError::NotFound { program }) => Err(BootError::NoAgent { program }),
        (_, error) => Err(error),
    }
}

/// `entrypoint.sh`, what images before this one started: the same container,
/// from whichever end it is entered.
pub(crate) fn entrypoint(args: &[OsString]) -> Result<Infallible, BootError> {
    if init::is_alive() {
        run(args)
    } else {
        start_init(args)
    }
}

/// `tini`, the init of images before this one: its options are dropped.
pub(crate) fn tini(args: &[OsString]) -> Result<Infallible, BootError> {
    let args = routing::strip_tini_options(args);
    let args = match args.split_first() {
        Some((first, rest)) if first == paths::INIT => rest,
        _ => args,
    };
    start_init(routing::wrapped(args).unwrap_or(args))
}

fn start_init(args: &[OsString]) -> Result<Infallible, BootError> {
    Err(exec::exec(
        Command::new(paths::INIT)
            .arg(paths::MAIN_WRAPPER)
            .args(args),
    ))
}
