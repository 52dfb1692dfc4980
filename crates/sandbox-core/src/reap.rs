//! Which sandboxes nobody needs any more.

use crate::inspect::ContainerState;
use crate::lease::Lease;
use crate::reuse::Busy;

/// What the agent in a running sandbox answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentSays {
    /// It answered.
    Here {
        /// Whether commands run.
        busy: Busy,
        /// For how many seconds the sandbox has not been used.
        idle: u64,
    },
    /// It has not answered for so many seconds.
    Silent(u64),
    /// There is none in this sandbox.
    None,
    /// It was not asked.
    NotAsked,
}

/// What is known of a sandbox. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its state.
    pub state: ContainerState,
    /// When it was created; `None` if that cannot be read.
    pub created: Option<i64>,
    /// When it ended; `None` if it never did or that cannot be read.
    pub finished: Option<i64>,
    /// The profile on its label.
    pub profile: String,
    /// Its lease.
    pub lease: Lease,
    /// How many execs the engine knows in it, those of our own clients left out.
    pub execs: u32,
    /// What its agent says.
    pub agent: AgentSays,
}

/// What to reap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Only sandboxes of this profile.
    pub profile: Option<String>,
    /// For how many seconds a sandbox must have been stopped.
    pub stopped_for: u64,
    /// After how many seconds one that was created and never started is a leftover.
    pub created_for: u64,
    /// After how many seconds without an answer an agent is gone.
    pub silent_for: u64,
}

impl Default for Rules {
    /// All profiles; stopped for 10 minutes, never started for 10 minutes, silent for 30 seconds.
    fn default() -> Self {
        Self {
            profile: None,
            stopped_for: 600,
            created_for: 600,
            silent_for: 30,
        }
    }
}

/// What to do with a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reap {
    /// Leave it.
    Keep(Keep),
    /// Remove it.
    Remove(Remove),
    /// Stop it, then remove it.
    StopAndRemove(Remove),
}

/// Why a sandbox stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is another profile's.
    OtherProfile,
    /// Something runs in it, or it cannot be told that nothing does.
    InUse,
    /// It runs and its lease has not lapsed.
    Leased,
    /// It has not been stopped, created or silent for long enough.
    TooYoung,
    /// When it was created or ended cannot be read, or lies in the future.
    AgeUnknown,
    /// It runs without an agent that could tell whether it is used.
    NoAgent,
    /// It is frozen, and so cannot answer.
    Paused,
    /// The engine is at it: removing or restarting it, or in a state that is not known.
    Engine,
}

/// Why a sandbox goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// It has been stopped for long enough.
    Stopped,
    /// It was created and never started: whoever made it was interrupted.
    Interrupted,
    /// Its agent no longer answers.
    Silent,
    /// Its lease has lapsed long ago, and yet it runs.
    LeaseLapsed,
    /// The engine failed to remove it.
    Dead,
}

/// Whether a sandbox goes. `now` is seconds since 1970.
#[must_use]
pub fn decide(rules: &Rules, seen: &Observed, now: i64) -> Reap {
    if rules
        .profile
        .as_ref()
        .is_some_and(|profile| *profile != seen.profile)
    {
        return Reap::Keep(Keep::OtherProfile);
    }
    match seen.state {
        ContainerState::Dead => Reap::Remove(Remove::Dead),
        ContainerState::Paused => Reap::Keep(Keep::Paused),
        ContainerState::Removing | ContainerState::Restarting | ContainerState::Other(_) => {
            Reap::Keep(Keep::Engine)
        }
        ContainerState::Exited => aged(seen.finished, rules.stopped_for, now, Remove::Stopped),
        ContainerState::Created => aged(seen.created, rules.created_for, now, Remove::Interrupted),
        ContainerState::Running => running(rules, seen),
    }
}

fn aged(since: Option<i64>, least: u64, now: i64, reason: Remove) -> Reap {
    // An engine writes the year 1 for a time that never was.
    let age = since
        .filter(|&since| since > 0)
        .and_then(|since| u64::try_from(now.saturating_sub(since)).ok());
    match age {
        None => Reap::Keep(Keep::AgeUnknown),
        Some(age) if age < least => Reap::Keep(Keep::TooYoung),
        Some(_) => Reap::Remove(reason),
    }
}

fn running(rules: &Rules, seen: &Observed) -> Reap {
    if seen.execs > 0 {
        return Reap::Keep(Keep::InUse);
    }
    match seen.agent {
        AgentSays::None => Reap::Keep(Keep::NoAgent),
        AgentSays::Silent(time) if time < rules.silent_for => Reap::Keep(Keep::TooYoung),
        AgentSays::Silent(_) => Reap::StopAndRemove(Remove::Silent),
        AgentSays::NotAsked
        | AgentSays::Here {
            busy: Busy::Running(_) | Busy::Unknown,
            ..
        } => Reap::Keep(Keep::InUse),
        AgentSays::Here {
            busy: Busy::Idle,
            idle,
        } => match seen.lease {
            // The agent ends by itself; one that has not done so in all this time is stuck.
            Lease::For(lease) if idle >= lease.as_secs().saturating_add(rules.stopped_for) => {
                Reap::StopAndRemove(Remove::LeaseLapsed)
            }
            _ => Reap::Keep(Keep::Leased),
        },
    }
}
