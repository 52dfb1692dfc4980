//! What a copy can end in.

use std::io;
use std::path::{Path, PathBuf};

use super::unpack::UnpackError;
use crate::error::{Fault, Retry};
use crate::exec::ExecError;

/// A copy that was not made; nothing of it is at the destination of this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A path that names nothing in a sandbox.
    #[error("{path:?} is not the absolute path of something that can be copied")]
    Path {
        /// The path.
        path: String,
    },
    /// It ends in a slash, and there is no such directory.
    #[error("there is no directory {path} in the sandbox")]
    NoDirectory {
        /// The path.
        path: String,
    },
    /// There is no such path in the sandbox.
    #[error("sandbox {name} has no {path}")]
    NotFound {
        /// The container.
        name: String,
        /// The path.
        path: String,
    },
    /// A path of this machine cannot be read or written.
    #[error("{}", path.display())]
    Host {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A path of this machine is neither file nor directory nor link.
    #[error("{} is neither a file nor a directory", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// A directory is there already.
    #[error("{} exists already and is a directory", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// What was named is not copied.
    #[error("{path} is not copied: it is {what}")]
    NothingCame {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// What came from the sandbox was refused.
    #[error("what sandbox {name} gives for {path} is refused")]
    Unpack {
        /// The container.
        name: String,
        /// The path.
        path: String,
        /// Why.
        source: UnpackError,
    },
    /// A tmpfs can only be reached by `tar` in the sandbox, and it failed.
    #[error("tar in sandbox {name} failed on {path}: {said}")]
    Tar {
        /// The container.
        name: String,
        /// The path.
        path: String,
        /// What it wrote.
        said: String,
    },
    /// And there is no such program.
    #[error("{path} is on a tmpfs, and the image has no tar to reach it")]
    WithoutTar {
        /// The path.
        path: String,
    },
    /// The engine refused.
    #[error("cannot copy {path} of sandbox {name}")]
    Request {
        /// The container.
        name: String,
        /// The path.
        path: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// A program in the sandbox could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The thread that packs or unpacks died.
    #[error("the thread that handles the archive died")]
    Thread,
}

impl CopyError {
    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Request { fault, .. } => fault.retry(),
            Self::Exec(error) => error.retry(),
            _ => Retry::No,
        }
    }

    /// Whether a file system had no room for it: the sandbox's, or this machine's.
    fn is_full(&self) -> bool {
        match self {
            Self::Host { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Tar { said, .. } => says_full(said),
            Self::Request { fault, .. } => {
                matches!(fault.as_ref(), Fault::Refused { message, .. } if says_full(message))
            }
            _ => false,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Host { path, .. } if self.is_full() => {
                    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
                    let directory = directory.unwrap_or(Path::new("."));
                    return Some(format!(
                        "nothing of it was kept; df {} shows how much room there is",
                        directory.display()
                    ));
                }
                Self::Host { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                    "nothing of it was kept; ulimit -f shows how large a file may be here"
                }
                _ if self.is_full() => {
                    "what is mounted there has no more room: talaria sandbox exec … df shows it"
                }
                Self::NoFile { .. } => "name a file or a directory",
                Self::Path { .. } => "for example /workspace/result.txt",
                Self::NoDirectory { .. } => "make it first: talaria sandbox exec … mkdir -p",
                Self::NotFound { .. } => "talaria sandbox exec … ls shows what there is",
                Self::Exists { .. } => "name one that does not exist, or remove it first",
                Self::NothingCame { .. } => {
                    "name what it points to; links and devices of a sandbox are never copied"
                }
                Self::Unpack {
                    source: UnpackError::TooMuch { .. },
                    ..
                } => "copy a part of it, or allow more with --max-bytes",
                Self::Unpack {
                    source: UnpackError::Read(_),
                    ..
                } => "what the sandbox sent is not a whole archive: try again",
                Self::Unpack { .. } => "nothing of it was kept",
                Self::WithoutTar { .. } => {
                    "install tar in the image, or keep the file outside of /tmp, /run, /workspace, \
                     /root and /home"
                }
                Self::Request { fault, .. } => return fault.hint(),
                Self::Exec(error) => return error.hint(),
                _ => return None,
            }
            .to_owned(),
        )
    }

    /// Whether it only says that the other side has hung up.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Host { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn says_full(text: &str) -> bool {
    text.to_ascii_lowercase().contains("no space left")
}

pub(super) fn without_tar(error: ExecError, path: &str) -> CopyError {
    match error {
        ExecError::NoProgram { .. } => CopyError::WithoutTar {
            path: path.to_owned(),
        },
        error => error.into(),
    }
}
