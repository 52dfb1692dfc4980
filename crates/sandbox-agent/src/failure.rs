//! What goes wrong with a request, in the words of the protocol.

use nix::errno::Errno;

use crate::wire::{Failed, Failure};

/// Why a request comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    pub(crate) failure: Failure,
    pub(crate) errno: i32,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self {
            failure,
            errno: 0,
            message: message.into(),
        }
    }

    /// A system call that failed. A fork that found no room has a kind of its own.
    pub(crate) fn system(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| {
            let (failure, message) = match (call, errno) {
                ("fork", Errno::EAGAIN) => (
                    Failure::NoProcessLeft,
                    "no process left in the sandbox: end a command, or raise its limit".to_owned(),
                ),
                (_, Errno::EMFILE | Errno::ENFILE) => (
                    Failure::TooMany,
                    "no file descriptor left: end commands, jobs or sessions".to_owned(),
                ),
                _ => (Failure::System, format!("{call}: {}", errno.desc())),
            };
            Self {
                failure,
                errno: errno as i32,
                message,
            }
        }
    }

    pub(crate) fn errno(failure: Failure, errno: Errno, what: &str) -> Self {
        Self {
            failure,
            errno: errno as i32,
            message: format!("{what}: {}", errno.desc()),
        }
    }

    pub(crate) fn frame(self) -> Failed {
        Failed {
            failure: self.failure,
            errno: self.errno,
            message: self.message,
        }
    }
}
