//! How long to wait.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// A point in time until which to wait, or none.
///
/// One deadline bounds a whole operation, whatever the number of waits in it.
///
/// ```
/// use std::time::Duration;
/// use s6_svc::Deadline;
/// let soon = Deadline::after(Duration::from_secs(10));
/// assert!(!soon.has_passed());
/// assert!(Deadline::NEVER.remaining().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Wait for as long as it takes.
    pub const NEVER: Self = Self(None);

    /// This long from now. A time that the clock cannot hold is [`Deadline::NEVER`].
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// Look once, do not wait.
    #[must_use]
    pub fn now() -> Self {
        Self(Some(Instant::now()))
    }

    /// The time that is left: zero where it has passed, `None` where there is no deadline.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }

    /// The earlier of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }

    /// For `poll`.
    pub(crate) fn timeout(self) -> Option<Timespec> {
        // What is too long for the kernel's type is as good as for ever.
        self.remaining()
            .and_then(|left| Timespec::try_from(left).ok())
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(Some(at))
    }
}
