//! The main process of a sandbox, and what reaches it.

use std::error::Error;
use std::process::ExitCode;

use sandbox_agent::{connect, probe, serve};

const USAGE: &str =
    "usage: sandbox-agent serve [--lease SECS] [--direct] | connect [--direct] | probe | version";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match *args {
        ["serve", ref rest @ ..] => match options(rest) {
            Some(options) => {
                serve::run(options).map_or_else(|error| failed(&error, None), ExitCode::from)
            }
            None => usage(),
        },
        ["connect"] => connected(connect::run(false)),
        ["connect", "--direct"] => connected(connect::run(true)),
        ["probe"] => {
            println!("{}", probe::to_json(&probe::run()));
            ExitCode::SUCCESS
        }
        ["version" | "--version"] => {
            println!("sandbox-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn connected(result: Result<(), connect::ConnectError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, error.hint()),
    }
}

fn options(mut args: &[&str]) -> Option<serve::Options> {
    let mut options = serve::Options::default();
    loop {
        args = match *args {
            [] => return Some(options),
            ["--lease", secs, ref rest @ ..] => {
                options.lease_secs = secs.parse().ok()?;
                rest
            }
            ["--direct", ref rest @ ..] => {
                options.direct = true;
                rest
            }
            _ => return None,
        };
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn failed(error: &dyn Error, hint: Option<&str>) -> ExitCode {
    eprint!("sandbox-agent: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprint!(": {error}");
        source = error.source();
    }
    eprintln!();
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}
