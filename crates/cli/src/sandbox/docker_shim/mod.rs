//! `talaria docker-shim`: as much of docker's command line as the Hermes agent's Docker backend uses,
//! in front of sandboxes.
//!
//! The agent is told of it by `HERMES_DOCKER_BINARY`, the path of a link named `docker` to this
//! program. What its backend (`tools/environments/docker.py` of hermes-agent 0.19.0) runs, what it
//! reads, and what is done here:
//!
//! | words | what for, and what is read of it | here |
//! | --- | --- | --- |
//! | `version` | is there an engine: the exit code | the engine is asked |
//! | `run --rm --cpus N --memory N --pids-limit N IMAGE sleep 0` | can limits be enforced: the exit code | the sandbox is planned, and a limit that the host cannot enforce is an error; nothing is run |
//! | `info --format {{.Driver}}` | may there be a disk quota | the engine's answer |
//! | `create --storage-opt size=1m hello-world`, `rm ID` | does a disk quota work: exit code, id | left to the real program; the container is never started |
//! | `image inspect IMAGE --format '{{json .Config.Entrypoint}}'` | has the image an init of its own | the engine's answer |
//! | `ps -a --filter label=… --format '{{.ID}}\t{{.State}}'` | which container can be used again | this user's sandboxes that have these labels |
//! | `inspect --format {{.HostConfig.NetworkMode}} ID` | is it without a network: `none` | the engine's answer |
//! | `start ID` | use it again | the sandbox is started |
//! | `run -d --init --name … --label … -w … SECURITY LIMITS MOUNTS -e … IMAGE sleep infinity` | a new container: its id | a sandbox by that name; see [`container`] |
//! | `exec [-i] [-e …] ID bash [-l] -c SCRIPT` | a command: output, exit code; `No such container` and `is not running` have it make another container | the sandbox's agent runs it, by way of the broker |
//! | SIGKILL to that `exec` | a timeout | the broker notices, and the agent kills all that the command has started |
//! | `stop -t 10 ID`, `rm -f ID` | the end | the sandbox is stopped, removed |
//! | `rm -f NAME` | tidy up after a `run` that failed | the sandbox is removed |
//! | `ps -a --filter label=hermes-agent=1 --filter status=exited --format {{.ID}}`, `inspect --format {{.State.FinishedAt}} ID`, `rm -f ID` | the reaper of what nobody needs | as above |
//!
//! Anything else that starts no program goes to the real docker or podman, with the same words and in
//! this process's place. What would start one outside of a sandbox, and every option of `run` and
//! `exec` that is not understood, is refused.

mod act;
mod command;
mod container;
mod real;
mod words;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use thiserror::Error;

use crate::exit::Outcome;
use act::Done;
use command::Asked;

/// Run the commands of the Hermes agent in sandboxes, in place of docker.
///
/// Make a link named docker to this program and name it in `HERMES_DOCKER_BINARY`: the agent's
/// Docker backend then makes and uses Talaria's sandboxes. What else docker can do is left to the
/// real one, and what would run a program outside of a sandbox is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ln -s \"$(command -v talaria)\" ~/.local/lib/talaria/docker
  HERMES_DOCKER_BINARY=~/.local/lib/talaria/docker TERMINAL_ENV=docker hermes
  talaria docker-shim ps -a --filter label=hermes-agent=1 --format '{{.ID}}'

Environment:
  TALARIA_ENGINE  the engine, in place of the one that is found
  TALARIA_OWNER   whose sandboxes they are, in place of this user's

Exit codes:
  docker's: those of exec are the command's own, 125 for what is refused, 1 for what fails")]
pub(crate) struct DockerShim {
    /// What the docker command would be given.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORDS"
    )]
    words: Vec<OsString>,
}

/// How docker ends where it cannot do what it is told.
const REFUSED: u8 = 125;

/// Why a command line is refused.
#[derive(Debug, PartialEq, Eq, Error)]
enum Odd {
    #[error("{0} is not understood")]
    Option(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("{option} {value} is not understood: a sandbox has {has}")]
    Value {
        option: String,
        value: String,
        has: String,
    },
    #[error("what is understood is: {0}")]
    Form(&'static str),
    #[error("docker {0} would run programs that are in no sandbox")]
    Command(String),
    #[error("a word that is no UTF-8 is not understood here")]
    NotText,
}

impl Odd {
    fn value(option: &str, value: &str, has: &str) -> Self {
        Self::Value {
            option: option.to_owned(),
            value: value.to_owned(),
            has: has.to_owned(),
        }
    }
}

/// Whether this program was called by docker's name.
pub(crate) fn is_called_docker() -> bool {
    let name = env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| name == "docker")
}

/// Does what the words of the command line say.
pub(crate) fn run_arguments() -> ExitCode {
    run(&env::args_os().skip(1).collect::<Vec<_>>())
}

/// Does what is said, and gives what the program ends with.
pub(crate) fn run_parsed(shim: &DockerShim) -> ExitCode {
    run(&shim.words)
}

fn run(words: &[OsString]) -> ExitCode {
    let asked = match command::parse(words) {
        Ok(Asked::Other) => return real::run(words).into(),
        Ok(asked) => asked,
        Err(odd) => {
            anstream::eprintln!("talaria: docker-shim: {odd}");
            anstream::eprintln!(
                "hint: docs/hermes.md tells what is; talaria sandbox, or the real docker, does more"
            );
            return REFUSED.into();
        }
    };
    let failed = match asked {
        Asked::Run(_) => REFUSED,
        _ => Outcome::Failed.code(),
    };
    super::run_to_end(async {
        let failure = match act::act(asked).await {
            Ok(Done::Ended(outcome)) => return Ok(outcome),
            Ok(Done::NotOurs) => return Ok(real::run(words)),
            Err(failure) => failure,
        };
        failure.print();
        Ok(match failure.outcome() {
            own @ Outcome::Own(_) => own,
            _ => Outcome::Own(failed),
        })
    })
}
