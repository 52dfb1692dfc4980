//! The command line of Talaria.

#![forbid(unsafe_code)]

mod boot;
mod cli;
mod exit;
mod failure;
mod gateway;
mod health;
mod output;
mod place;
mod profile;
mod status;
mod svc;
mod view;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use exit::{Exit, Outcome};
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Command::Svc(svc) => return end_svc(svc::run(svc)),
        Command::Boot(boot) => boot::run(&boot),
        Command::Gateway(gateway) => gateway::run(gateway),
        Command::Health(health) => health::run(&health),
        Command::Profile(profile) => profile::run(profile),
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
        anstream::eprintln!("talaria: cannot print: {source}");
        return Exit::System.into();
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ if is_svc => Exit::Usage.into(),
        _ => Outcome::Usage.into(),
    }
}
