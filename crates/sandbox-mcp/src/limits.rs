//! What the operator allows. Nothing that a client says widens it.

use std::time::Duration;

/// How long a command may take where nothing is said.
const USUAL: Duration = Duration::from_mins(2);

/// The bounds of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a command may take at most.
    pub max_timeout: Duration,
    /// How long a background job may run; for as long as it likes where there is none.
    pub max_job_time: Option<Duration>,
    /// How many bytes of each output stream, and of a file, one result holds.
    /// [`Limits::LEAST_OUTPUT`] to [`Limits::MOST_OUTPUT`].
    pub max_output: usize,
}

impl Default for Limits {
    /// Ten minutes, jobs without a bound, 32 KiB.
    fn default() -> Self {
        Self {
            max_timeout: Duration::from_mins(10),
            max_job_time: None,
            max_output: 32 << 10,
        }
    }
}

impl Limits {
    /// The least that [`Limits::max_output`] can be, in bytes.
    pub const LEAST_OUTPUT: usize = 1 << 10;
    /// The most that it can be: what a sandbox's agent keeps of a stream.
    pub const MOST_OUTPUT: usize = 2 << 20;

    /// The time of a command for which so many seconds were asked.
    pub(crate) fn timeout(&self, asked: Option<u32>) -> Duration {
        let asked = asked.map_or(USUAL, |seconds| Duration::from_secs(seconds.into()));
        asked.min(self.max_timeout)
    }

    /// The time of a job; none is none at all.
    pub(crate) fn job_time(&self, asked: Option<u32>) -> Option<Duration> {
        let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
        match (asked, self.max_job_time) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (one, other) => one.or(other),
        }
    }

    /// How many bytes of the beginning and of the end of a stream are kept.
    pub(crate) fn halves(&self) -> (usize, usize) {
        let most = self.max_output.clamp(Self::LEAST_OUTPUT, Self::MOST_OUTPUT);
        (most / 2, most - most / 2)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, 60, 60)]
    #[case(None, 600, 120)]
    #[case(Some(30), 600, 30)]
    #[case(Some(4_000_000), 600, 600)]
    fn a_command_gets_no_more_than_the_operator_gives(
        #[case] asked: Option<u32>,
        #[case] most: u64,
        #[case] given: u64,
    ) {
        let limits = Limits {
            max_timeout: Duration::from_secs(most),
            ..Limits::default()
        };
        assert_eq!(limits.timeout(asked), Duration::from_secs(given));
    }

    #[rstest]
    #[case(None, None, None)]
    #[case(Some(5), None, Some(5))]
    #[case(None, Some(9), Some(9))]
    #[case(Some(50), Some(9), Some(9))]
    fn so_does_a_job(
        #[case] asked: Option<u32>,
        #[case] most: Option<u64>,
        #[case] given: Option<u64>,
    ) {
        let limits = Limits {
            max_job_time: most.map(Duration::from_secs),
            ..Limits::default()
        };
        assert_eq!(limits.job_time(asked), given.map(Duration::from_secs));
    }
}
