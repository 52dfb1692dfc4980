//! What asking for a sandbox can end in.

use sandbox_core::{Difference, Problems};

use crate::command_line::CommandLineError;
use crate::error::{Fault, RequestError, Retry};
use crate::image::ImageError;

/// A sandbox that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Its image cannot be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What is asked for cannot be made of that image on that host.
    #[error("the sandbox cannot be as asked: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Problems(Problems),
    /// There are arguments that only the engine's command line can read, or a file that the engine
    /// is to read, and that did not work.
    #[error("cannot create sandbox {name}")]
    CommandLine {
        /// The container.
        name: String,
        /// What did not work.
        #[source]
        source: CommandLineError,
    },
    /// The network that the spec names is not there.
    #[error("the engine has no network {network}")]
    NoNetwork {
        /// Its name.
        network: String,
    },
    /// A container that is no sandbox of this identity has its name.
    #[error("the name {name} is taken by a container that is another's")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A sandbox is there and is not what is asked for.
    #[error("sandbox {name} differs from what is asked: {}", listed(.differences))]
    Differs {
        /// The container.
        name: String,
        /// In what.
        differences: Vec<Difference>,
    },
    /// It differs, should be made anew, and runs a command.
    #[error("sandbox {name} differs from what is asked ({}), and is running a command", listed(.differences))]
    Busy {
        /// The container.
        name: String,
        /// In what.
        differences: Vec<Difference>,
    },
    /// It is in a state that nobody knows.
    #[error("sandbox {name} is {state:?}, which is no known state")]
    State {
        /// The container.
        name: String,
        /// The engine's word.
        state: String,
    },
    /// A directory that is to outlive the container cannot be made.
    #[error("cannot make {}", path.display())]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The engine refused to create it.
    #[error("cannot create sandbox {name}")]
    Create {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The engine could not start it; nothing of it is left.
    #[error("cannot start sandbox {name}")]
    Start {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// It ended as soon as it had started; nothing of it is left.
    #[error("sandbox {name} ended at once{}{}", coded(*.code), said(.log))]
    Died {
        /// The container.
        name: String,
        /// Its exit code, where the engine still knows it.
        code: Option<i64>,
        /// Whether the kernel ended it for want of memory.
        oom: bool,
        /// The end of what it wrote; it can hold anything.
        log: String,
    },
    /// Others keep removing it, or the engine does.
    #[error("sandbox {name} does not come to rest: {last}")]
    Unsettled {
        /// The container.
        name: String,
        /// What was in the way last.
        last: String,
    },
    /// The engine could not be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
}

fn listed(differences: &[Difference]) -> String {
    let one = |one: &Difference| {
        let Difference {
            field,
            wanted,
            found,
        } = one;
        format!("{field} is {found:?} and should be {wanted:?}")
    };
    differences.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn coded(code: Option<i64>) -> String {
    code.map_or_else(String::new, |code| format!(" with code {code}"))
}

fn said(log: &str) -> String {
    if log.is_empty() {
        ", and wrote nothing".to_owned()
    } else {
        format!("; it wrote: {log}")
    }
}

impl SandboxError {
    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Image(error) => error.retry(),
            Self::Request(error) => error.retry(),
            Self::Create { fault, .. } | Self::Start { fault, .. } => match fault.as_ref() {
                // A container that cannot be made says so with 500 as well.
                Fault::Refused { .. } => Retry::No,
                fault => fault.retry(),
            },
            Self::Busy { .. } => Retry::After(std::time::Duration::from_secs(5)),
            Self::Unsettled { .. } => Retry::Yes,
            _ => Retry::No,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Image(error) => return error.hint(),
            Self::Request(error) => return error.hint(),
            Self::Problems(problems) => {
                return problems.iter().find_map(|problem| problem.hint.clone());
            }
            Self::CommandLine { source, .. } => source.hint().to_owned(),
            Self::NoNetwork { network } => {
                format!("docker network create {network}, or leave the network out")
            }
            Self::NameTaken { name } => format!("docker inspect {name} shows what it is"),
            Self::Differs { .. } => "--on-drift recreate makes it anew and keeps its persistent \
                directories, --on-drift reuse takes it as it is"
                .to_owned(),
            Self::Busy { .. } => "wait for the command, or --on-drift reuse".to_owned(),
            Self::Directory { .. } => "is the data directory yours to write?".to_owned(),
            Self::State { name, .. } => format!("talaria sandbox rm --force {name}"),
            Self::Create { fault, .. } | Self::Start { fault, .. } => {
                return launch_hint(fault).or_else(|| fault.hint());
            }
            Self::Died { oom: true, .. } => "give it more with --memory".to_owned(),
            Self::Died { code, log, .. } if !matches!(code, Some(126 | 127)) && !log.is_empty() => {
                "what it wrote is its image's init's: try the image without a sandbox's limits, \
                 with docker run --rm IMAGE true"
                    .to_owned()
            }
            Self::Died { .. } => {
                "does the image have the program that is to run in it (sleep, where no agent is \
                 brought along)?"
                    .to_owned()
            }
            Self::Unsettled { .. } => "is something else removing sandboxes? try again".to_owned(),
        })
    }
}

fn launch_hint(fault: &Fault) -> Option<String> {
    let Fault::Refused { message, .. } = fault else {
        return None;
    };
    let any = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let hint = if any(&["bind source path does not exist", "statfs"]) {
        "a mount's source has to exist on the engine's host: create it first"
    } else if any(&["port is already allocated", "address already in use"]) {
        "another container or program has that port: choose another with --publish, or leave its number \
         to the engine (--publish 80)"
    } else if any(&["container-init binary not found"]) {
        "podman's own init is missing: install catatonit, or bring the agent along"
    } else if any(&["executable file not found", "no such file or directory"]) {
        "the image lacks the program that is to run in it (sleep, where no agent is brought along)"
    } else if any(&["storage-opt", "storage opt"]) {
        "this host cannot limit the disk: leave --disk out, or add --allow-unenforced"
    } else if any(&[
        "memory limit",
        "Minimum memory",
        "NanoCPUs",
        "Range of CPUs",
        "pids",
    ]) {
        "that limit cannot be set on this host: talaria sandbox doctor shows what it has"
    } else if any(&["runtime"]) && any(&["Unknown runtime", "unknown or invalid runtime"]) {
        "docker info shows the engine's runtimes"
    } else {
        return None;
    };
    Some(hint.to_owned())
}
