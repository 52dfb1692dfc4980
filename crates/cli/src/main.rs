//! The command line of Talaria.

#![forbid(unsafe_code)]

mod cli;
mod exit;
mod output;
mod svc;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Command::Svc(svc) => svc::run(svc),
    };
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
    if let Err(source) = error.print() {
        anstream::eprintln!("talaria: cannot print: {source}");
        return Exit::System.into();
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => Exit::Usage.into(),
    }
}
