//! What only the engine's command line can do: understand arguments that were written for it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandbox_core::Flavour;
use sandbox_core::render::Inputs;
use sandbox_core::render::argv::Step;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::time::timeout;

use crate::connect::Engine;
use crate::find::{Address, Binary};
use crate::kill::{hex, new_mark};

/// How long a command may take. Creating a container can take the engine a while.
const PATIENCE: Duration = Duration::from_mins(2);

/// What an engine is helped with on this side.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// Its command line, for specs with extra arguments.
    pub command_line: Option<Binary>,
    /// Where files are kept that the engine or its command line reads: seccomp profiles, by their
    /// content. Podman reads them itself, so it has to be on the engine's host.
    pub directory: Option<PathBuf>,
}

/// Why the engine's command line did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandLineError {
    /// None is known.
    #[error("extra arguments need the docker or podman command line, and none was found")]
    Missing,
    /// The one that is known is docker's, which sends Podman a profile's content for its path.
    #[error("docker's command line cannot tell Podman which system calls are allowed")]
    NotPodmans,
    /// A file that it is to read cannot be kept.
    #[error("cannot keep {}", .path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Nobody said where such a file can be kept.
    #[error("there is no directory to keep the seccomp profile in")]
    Nowhere,
    /// It could not be run.
    #[error("cannot run {}", .program.display())]
    Run {
        /// Which one.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It refused.
    #[error("{} ended with {code}: {said}", .program.display())]
    Refused {
        /// Which one.
        program: PathBuf,
        /// Its exit code.
        code: i32,
        /// What it wrote; it can hold text of anybody's.
        said: String,
    },
    /// It took longer than anybody waits.
    #[error("{} has not ended within {} s", .program.display(), PATIENCE.as_secs())]
    Silent {
        /// Which one.
        program: PathBuf,
    },
    /// An extra argument made another container of it.
    #[error("an extra argument gave the sandbox another name")]
    Renamed,
}

impl CommandLineError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing => {
                "install docker-cli or podman, or name one with HERMES_DOCKER_BINARY; without extra \
                 arguments none is needed"
            }
            Self::NotPodmans => {
                "name podman's with HERMES_DOCKER_BINARY, or say seccomp = \"engine-default\" in the spec"
            }
            Self::Keep { .. } | Self::Nowhere => {
                "is the data directory (XDG_DATA_HOME, or ~/.local/share) yours to write?"
            }
            Self::Run { .. } => "is it a program of this machine's?",
            Self::Refused { .. } => {
                "correct the extra arguments; --print argv shows the whole line"
            }
            Self::Silent { .. } => "it hangs or the engine does: try docker info",
            Self::Renamed => "leave --name out: a sandbox is found again by its name",
        }
    }
}

impl Engine {
    /// The same connection, with these at hand.
    #[must_use]
    pub fn with_tools(mut self, tools: Tools) -> Self {
        self.tools = tools.into();
        self
    }

    /// Keeps the seccomp profile for a rendering that refers to it as a file.
    pub(crate) fn keep_profile(&self, inputs: &Inputs) -> Result<(), CommandLineError> {
        if self.tools.directory.is_none() {
            return Err(CommandLineError::Nowhere);
        }
        let path = PathBuf::from(&inputs.seccomp.path);
        keep(&path, inputs.seccomp.json.as_bytes())
            .map_err(|source| CommandLineError::Keep { path, source })
    }

    /// Where the profile with this content is kept.
    pub(crate) fn profile_path(&self, json: &str) -> String {
        let Some(directory) = &self.tools.directory else {
            return "seccomp.json".to_owned();
        };
        let name = format!("{}.json", hex(&Sha256::digest(json)));
        let path = directory.join("seccomp").join(name);
        path.to_string_lossy().into_owned()
    }

    /// Runs one command, whose program is replaced by the one that is known, and gives the last
    /// line that it printed.
    pub(crate) async fn run_step(&self, step: &Step) -> Result<String, CommandLineError> {
        let binary = self.tools.command_line.as_ref();
        let binary = binary.ok_or(CommandLineError::Missing)?;
        let program = &binary.path;
        let mut command = Command::new(program);
        let address = match &self.found_at().address {
            Address::Unix(path) => format!("unix://{}", path.display()),
            Address::Tcp(host) => format!("tcp://{host}"),
            Address::Unsupported(text) => text.clone(),
        };
        // Podman's command line speaks to Podman alone; docker's to both.
        if self.flavour() == Flavour::Podman && binary.is_podman() {
            command.args(["--remote", "--url", &address]);
        } else {
            command.env("DOCKER_HOST", &address);
            command.env_remove("DOCKER_CONTEXT");
        }
        command
            .args(step.argv.iter().skip(1))
            .envs(step.env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = timeout(PATIENCE, command.output()).await;
        let program = program.clone();
        let Ok(ended) = ended else {
            return Err(CommandLineError::Silent { program });
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(source) => return Err(CommandLineError::Run { program, source }),
        };
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
            let code = ended.status.code().unwrap_or(-1);
            return Err(CommandLineError::Refused {
                program,
                code,
                said,
            });
        }
        let printed = String::from_utf8_lossy(&ended.stdout);
        Ok(printed.lines().last().unwrap_or_default().trim().to_owned())
    }
}

/// Makes a file with that content, whole or not at all. One that is there has it: its name says so.
fn keep(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let staged = directory.join(format!(".{}", new_mark()));
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&staged)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&staged, path));
    if written.is_err() {
        // What was begun is of no use to anybody.
        fs::remove_file(&staged).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[test]
    fn a_file_is_kept_whole_and_mended_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seccomp/x.json");
        keep(&path, b"{}").unwrap();
        // As after a crash of the machine.
        std::fs::write(&path, b"").unwrap();
        keep(&path, b"{}").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}");
        let beside = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(beside.count(), 1);
    }
}
