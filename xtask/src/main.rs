//! What a person repeats in this repository: images, a running container, tests.

#![forbid(unsafe_code)]

mod bench;
mod checks;
mod cli;
mod digest;
mod engine;
mod error;
mod image;
mod outcome;
mod paths;
mod process;
mod progress;
mod tree;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {}", error.report());
            if let Some(hint) = error.hint() {
                anstream::eprintln!("hint: {hint}");
            }
            error.exit_code()
        }
    }
}
