//! What to do with a sandbox that is there already.

use serde::Serialize;

use crate::drift::Difference;
use crate::inspect::ContainerState;

/// What to do where a sandbox differs from what is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Use it as it is, and say what differs.
    Reuse,
    /// Make it anew, keeping its persistent directories.
    Recreate,
    /// Do nothing, and say what differs. The default: nothing is lost, nothing is looser than asked.
    #[default]
    Refuse,
}

/// Whether commands run in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// None runs.
    Idle,
    /// So many commands or jobs run.
    Running(u32),
    /// It cannot be told. Taken for busy.
    Unknown,
}

/// What to do with a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Attach to it: it runs.
    Reuse,
    /// Start it, then attach. A created one whose agent is uploaded needs the upload again first.
    Start,
    /// Thaw it, then attach.
    Unpause,
    /// Remove it and create it anew, since it differs; what is not in persistent directories is lost.
    Recreate,
    /// Remove it and create it anew, since nothing can be done with it: what the engine was removing,
    /// or could not remove.
    Replace,
    /// Leave it alone.
    Refuse(Refusal),
}

/// Why a sandbox is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It differs, and the policy says [`Policy::Refuse`].
    Differs,
    /// It differs and should be made anew, but commands run in it, or may.
    Busy(Busy),
    /// It is in a state that nobody knows.
    State(String),
}

/// What to do with a sandbox that is there. Differences that do not
/// [decide](Difference::decides) are for the caller to report.
#[must_use]
pub fn decide(
    policy: Policy,
    differences: &[Difference],
    state: &ContainerState,
    busy: Busy,
) -> Decision {
    let keep = match state {
        ContainerState::Removing | ContainerState::Dead => return Decision::Replace,
        ContainerState::Other(state) => return Decision::Refuse(Refusal::State(state.clone())),
        ContainerState::Running | ContainerState::Restarting => Decision::Reuse,
        ContainerState::Paused => Decision::Unpause,
        ContainerState::Created | ContainerState::Exited => Decision::Start,
    };
    if policy == Policy::Reuse || !differences.iter().any(Difference::decides) {
        return keep;
    }
    if policy == Policy::Refuse {
        return Decision::Refuse(Refusal::Differs);
    }
    let runs = !matches!(state, ContainerState::Created | ContainerState::Exited);
    if runs && busy != Busy::Idle {
        return Decision::Refuse(Refusal::Busy(busy));
    }
    Decision::Recreate
}

/// One of several containers that carry the same identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// Its state.
    pub state: ContainerState,
    /// When it was created, in seconds since 1970, if that is known.
    pub created: Option<i64>,
}

/// Which of several containers of one identity is the sandbox: the one that has the identity's own
/// name, else one that runs, is paused, has ended, was created, in this order; then the newest; then
/// the one with the least id. The same answer in whatever order they come.
#[must_use]
pub fn choose<'a>(container_name: &str, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
    let rank = |state: &ContainerState| match state {
        ContainerState::Running => 0,
        ContainerState::Restarting => 1,
        ContainerState::Paused => 2,
        ContainerState::Exited => 3,
        ContainerState::Created => 4,
        ContainerState::Other(_) => 5,
        ContainerState::Removing | ContainerState::Dead => 6,
    };
    candidates.iter().min_by_key(|candidate| {
        (
            candidate.name != container_name,
            rank(&candidate.state),
            std::cmp::Reverse(candidate.created),
            &candidate.id,
        )
    })
}
