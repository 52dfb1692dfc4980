//! `talaria sandbox`.
//!
//! Only here is an async runtime built, on the calling thread.

pub(crate) mod args;
mod attach;
mod broker;
mod caller;
mod command;
mod cp;
#[cfg(feature = "docker-shim")]
pub(crate) mod docker_shim;
pub(crate) mod doctor;
mod failure;
mod forward;
mod inherited;
mod inside;
mod ls;
#[cfg(feature = "mcp")]
pub(crate) mod mcp;
mod outcome;
mod print;
mod progress;
mod reach;
mod spec;
mod terminal;
mod verify;

use std::process::ExitCode;

use sandbox_engine::find::{Address, find_binary};
use sandbox_engine::{Engine, Tools};

use crate::exit::Outcome;
use args::{Sandbox, SandboxCommand};
use failure::{Failure, Result};
use reach::Way;

/// Runs a command and gives what the program ends with.
pub(crate) fn run(sandbox: Sandbox) -> ExitCode {
    if matches!(&sandbox.command, SandboxCommand::Broker(broker) if broker.command.is_none()) {
        inherited::close();
    }
    run_to_end(dispatch(sandbox))
}

fn run_to_end(work: impl Future<Output = Result<Outcome>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(work);
            // A thread that reads this program's standard input cannot be waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::Runtime(error)),
    };
    match done {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            failure.print();
            failure.outcome().into()
        }
    }
}

async fn dispatch(sandbox: Sandbox) -> Result<Outcome> {
    let engine = sandbox.engine.as_deref();
    let way = Way {
        engine,
        direct: sandbox.no_broker,
    };
    match sandbox.command {
        SandboxCommand::Run(run) => Box::pin(command::run(way, *run)).await,
        SandboxCommand::Exec(exec) => Box::pin(command::exec(way, exec)).await,
        SandboxCommand::Shell(shell) => inside::shell(way, shell).await,
        SandboxCommand::Session(session) => inside::session(way, &session).await,
        SandboxCommand::Jobs(jobs) => inside::jobs(way, &jobs).await,
        SandboxCommand::Logs(logs) => inside::logs(way, &logs).await,
        SandboxCommand::Kill(kill) => inside::kill(way, &kill).await,
        SandboxCommand::Broker(broker) => broker::run(way, &broker).await,
        SandboxCommand::Cp(copy) => cp::run(engine, &copy).await,
        SandboxCommand::Ls(list) => ls::list(engine, &list).await,
        SandboxCommand::Inspect(inspect) => ls::inspect(engine, &inspect).await,
        SandboxCommand::Verify(verify) => verify::run(engine, *verify).await,
        SandboxCommand::Rm(remove) => ls::remove(engine, &remove).await,
        SandboxCommand::Reap(reap) => ls::reap(engine, &reap).await,
        SandboxCommand::Doctor(doctor) => doctor::run(engine, &doctor).await,
    }
}

/// The engine that was named, or the one that is found.
async fn connect(named: Option<&str>) -> Result<Engine> {
    let around = caller::surroundings();
    let engine = match named {
        Some(address) => Engine::at(Address::parse(address)).await?,
        None => Engine::connect(&around).await?,
    };
    Ok(engine.with_tools(Tools {
        command_line: find_binary(&around),
        directory: caller::data_directory().ok(),
    }))
}
