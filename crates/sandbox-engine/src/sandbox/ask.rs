//! How a sandbox is asked for, and how it was got.

use sandbox_core::Difference;

use crate::agent::Agent;
use crate::image::{Progress, Pull};

/// How a sandbox was got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// There was none.
    Created,
    /// It was running.
    Reused,
    /// It was there and did not run. What ran in it is gone, and so is what its tmpfs held.
    Started,
    /// There was one, and it was made anew.
    Recreated {
        /// Why.
        why: Why,
    },
}

/// Why a sandbox was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was not what was asked for.
    Differs(Vec<Difference>),
    /// The engine had lost it, or somebody had removed it.
    Vanished,
    /// The engine could do nothing more with it.
    Broken,
}

impl Attached {
    /// Whether what was in the sandbox before, outside of persistent directories, is gone.
    #[must_use]
    pub fn lost_state(&self) -> bool {
        matches!(self, Self::Started | Self::Recreated { .. })
    }
}

/// How a sandbox is to be got.
pub struct Ask<'a> {
    /// Whether its image may be fetched.
    pub pull: Pull,
    /// The program to bring along.
    pub agent: Agent,
    /// Told how far things have come.
    pub progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask")
            .field("pull", &self.pull)
            .finish_non_exhaustive()
    }
}
