//! The command line of Talaria.

#![deny(unsafe_code)]

mod boot;
mod cli;
mod dashboard;
mod doctor;
mod exit;
mod failure;
mod gateway;
mod health;
mod listening;
mod output;
mod place;
mod profile;
#[cfg(feature = "sandbox")]
mod sandbox;
mod shell;
mod status;
mod svc;
mod view;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use exit::{Exit, Outcome};
use failure::{Failure, SIGPIPE};

fn main() -> ExitCode {
    // Before anything is parsed: this program's own words are none of docker's.
    #[cfg(feature = "docker-shim")]
    if sandbox::docker_shim::is_called_docker() {
        return sandbox::docker_shim::run_arguments();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Command::Svc(svc) => return end_svc(svc::run(svc)),
        Command::Boot(boot) => boot::run(&boot),
        Command::Gateway(gateway) => gateway::run(gateway),
        Command::Completions(completions) => shell::completions(&completions),
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Health(health) => health::run(&health),
        Command::Man(man) => shell::man(&man),
        Command::Profile(profile) => profile::run(profile),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(sandbox) => return sandbox::run(*sandbox),
        #[cfg(feature = "mcp")]
        Command::Mcp(mcp) => return sandbox::mcp::run(*mcp),
        #[cfg(feature = "docker-shim")]
        Command::DockerShim(shim) => return sandbox::docker_shim::run_parsed(&shim),
        Command::Status(overview) => status::run(&overview),
    };
    match result {
        Ok(()) => Outcome::Done.into(),
        Err(failures) => {
            for failure in &failures {
                failure.print();
            }
            Outcome::of_all(failures.iter().map(Failure::outcome)).into()
        }
    }
}

fn end_svc(result: svc::Result) -> ExitCode {
    match result {
        Ok(()) => Exit::Done.into(),
        Err(failures) => {
            for failure in &failures {
                failure.print();
            }
            failures
                .iter()
                .map(svc::Failure::exit)
                .max()
                .unwrap_or(Exit::Done)
                .into()
        }
    }
}

/// Prints what clap has to say: help, or what is wrong with the arguments.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_svc = std::env::args_os().nth(1).is_some_and(|word| word == "svc");
    if let Err(source) = error.print() {
        if source.kind() == std::io::ErrorKind::BrokenPipe {
            return Outcome::Own(SIGPIPE).into();
        }
        anstream::eprintln!("talaria: cannot print: {source}");
        return Exit::System.into();
    }
    if error.kind() == ErrorKind::InvalidSubcommand && is_elsewhere() {
        anstream::eprintln!(
            "hint: sandboxes are made outside of the agent's container: the talaria of the host has this"
        );
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ if is_svc => Exit::Usage.into(),
        _ => Outcome::Usage.into(),
    }
}

/// Whether the command is one that this program has elsewhere: an agent's image has no need of an
/// engine's.
fn is_elsewhere() -> bool {
    let commands = [
        ("sandbox", cfg!(feature = "sandbox")),
        ("mcp", cfg!(feature = "mcp")),
        ("docker-shim", cfg!(feature = "docker-shim")),
    ];
    let command = std::env::args_os().nth(1);
    commands
        .iter()
        .any(|(name, is_here)| !is_here && command.as_ref().is_some_and(|word| word == name))
}
