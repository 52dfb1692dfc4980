//! Exit codes: those of s6's own programs.

use std::process::ExitCode;

/// How the program ends; of several ends, the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// It was done.
    Done,
    /// The state that was asked about or waited for is not there, and will not be.
    Failed,
    /// The deadline passed.
    TimedOut,
    /// The arguments, or what they name, are not what they should be.
    Usage,
    /// No supervisor listens.
    NotSupervised,
    /// The system did not allow it.
    System,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::TimedOut => 99,
            Self::Usage => 100,
            Self::NotSupervised => 102,
            Self::System => 111,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
