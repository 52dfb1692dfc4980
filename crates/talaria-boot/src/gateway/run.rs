//! `run` of a gateway's slot: the gateway, with the container's environment.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use profile_boot::agent::AGENT_TOML;
use profile_boot::{dotenv, environment, port, slot};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::{exec, main_wrapper, paths, report, with_contenv};

use super::backoff;

/// Becomes the gateway of the profile whose slot this is.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let profile = super::profile(args.first())?;
    let environment = with_contenv::container()?;
    let agent = main_wrapper::load_agent()?;
    let gateway = agent.gateway.as_ref().ok_or(BootError::NoGateway {
        path: AGENT_TOML.into(),
    })?;
    Identity::of_agent()?.assume()?;
    die_with_supervisor()?;
    // The logger reads standard output; what a gateway has to say is on both.
    nix::unistd::dup2_stderr(std::io::stdout()).map_err(BootError::system("dup2"))?;
    let home = environment
        .iter()
        .find(|(name, _)| name == "HERMES_HOME")
        .map_or_else(identity::home, |(_, home)| home.into());
    if let Err(odd) = port::check_record(&home, &profile) {
        report::warning(odd);
    }
    let port = match port::assign(&home, &profile) {
        Ok(port) => Some(port),
        // A gateway that serves no API needs none; one that does will say what it misses.
        Err(error) => {
            report::warning(report::chain(&error));
            None
        }
    };
    let dotenv = dotenv::load(&profile.directory(&home).join(".env")).unwrap_or_else(|odd| {
        report::warning(odd);
        Vec::new()
    });
    let environment = environment::of_gateway(&environment, &profile, &agent, port, &dotenv);
    backoff::wait(&Path::new(paths::AGENT_SCANDIR).join(slot::name(&profile)))?;
    let words = gateway.command(&profile);
    let (program, args) = words.split_first().ok_or(BootError::NoArguments)?;
    // All of the environment is given: what is withheld must not come in from here.
    Err(exec::exec(
        Command::new(Path::new(program))
            .args(args)
            .env_clear()
            .envs(environment)
            .env("HERMES_HOME", &home)
            .env("HOME", &home)
            .env("HERMES_S6_SUPERVISED_CHILD", "1")
            .current_dir(&home),
    ))
}

/// Makes the gateway end with its s6-supervise. The next s6-supervise starts
/// another one at once, and two gateways of one profile would both answer.
pub(crate) fn die_with_supervisor() -> Result<(), BootError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(BootError::system("prctl"))?;
    let parent = nix::unistd::getppid();
    let comm = std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
    // Already gone before the call: this process has been handed to another parent.
    if comm.trim_end() == "s6-supervise" {
        Ok(())
    } else {
        Err(BootError::Usage("gateway-run is started by s6-supervise"))
    }
}
