//! Exit codes: those of s6's own programs for `svc`, and the usual ones for the rest.

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

/// How everything but `svc` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was not.
    Failed,
    /// The arguments are not what they should be.
    Usage,
    /// What was named is not there.
    NotFound,
    /// The system did not allow it.
    NotPermitted,
    /// No container engine answers.
    #[cfg(feature = "sandbox")]
    Unreachable,
    /// It did not happen in time.
    TimedOut,
    /// What was run ended with this code.
    Own(u8),
}

impl Outcome {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotPermitted => 4,
            #[cfg(feature = "sandbox")]
            Self::Unreachable => 5,
            Self::TimedOut => 124,
            Self::Own(code) => code,
        }
    }

    /// How a program ends in which each of these happened: as all of them, where they agree.
    pub(crate) fn of_all(outcomes: impl IntoIterator<Item = Self>) -> Self {
        let mut outcomes = outcomes.into_iter();
        let first = outcomes.next().unwrap_or(Self::Done);
        if outcomes.all(|outcome| outcome == first) {
            first
        } else {
            Self::Failed
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        outcome.code().into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Outcome::{self, Done, Failed, NotFound};

    #[rstest]
    #[case(&[], Done)]
    #[case(&[NotFound], NotFound)]
    #[case(&[NotFound, NotFound], NotFound)]
    #[case(&[NotFound, Failed], Failed)]
    fn several_ends_are_one(#[case] outcomes: &[Outcome], #[case] expected: Outcome) {
        assert_eq!(Outcome::of_all(outcomes.iter().copied()), expected);
    }
}
