//! Reuse, the choice among duplicates, and reaping.

use rstest::rstest;
use sandbox_core::inspect::ContainerState::{
    self, Created, Dead, Exited, Other, Paused, Removing, Restarting, Running,
};
use sandbox_core::reap::{self, AgentSays, Keep, Observed, Reap, Remove, Rules};
use sandbox_core::reuse::{Busy, Candidate, Decision, Policy, Refusal, choose, decide};
use sandbox_core::{Difference, Lease};

fn difference(field: &str) -> Difference {
    Difference {
        field: field.into(),
        wanted: "a".into(),
        found: "b".into(),
    }
}

#[rstest]
#[case(Policy::Refuse, &[], Running, Busy::Idle, Decision::Reuse)]
#[case(Policy::Refuse, &[], Paused, Busy::Unknown, Decision::Unpause)]
#[case(Policy::Refuse, &[], Exited, Busy::Idle, Decision::Start)]
#[case(Policy::Refuse, &[], Created, Busy::Idle, Decision::Start)]
#[case(Policy::Refuse, &[], Restarting, Busy::Idle, Decision::Reuse)]
#[case(Policy::Refuse, &[], Dead, Busy::Idle, Decision::Replace)]
#[case(Policy::Refuse, &["cwd"], Removing, Busy::Idle, Decision::Replace)]
#[case(Policy::Refuse, &["cwd"], Running, Busy::Idle, Decision::Refuse(Refusal::Differs))]
#[case(Policy::Refuse, &["agent"], Running, Busy::Idle, Decision::Reuse)]
#[case(Policy::Reuse, &["cwd"], Running, Busy::Running(1), Decision::Reuse)]
#[case(Policy::Recreate, &["cwd"], Running, Busy::Idle, Decision::Recreate)]
#[case(Policy::Recreate, &["agent"], Running, Busy::Idle, Decision::Reuse)]
#[case(Policy::Recreate, &["cwd"], Exited, Busy::Unknown, Decision::Recreate)]
#[case(
    Policy::Recreate, &["cwd"], Running, Busy::Running(2),
    Decision::Refuse(Refusal::Busy(Busy::Running(2)))
)]
#[case(
    Policy::Recreate, &["cwd"], Paused, Busy::Unknown,
    Decision::Refuse(Refusal::Busy(Busy::Unknown))
)]
#[case(
    Policy::Reuse, &[], Other("odd".into()), Busy::Idle,
    Decision::Refuse(Refusal::State("odd".into()))
)]
fn a_sandbox_that_is_there_is(
    #[case] policy: Policy,
    #[case] fields: &[&str],
    #[case] state: ContainerState,
    #[case] busy: Busy,
    #[case] decision: Decision,
) {
    let differences: Vec<Difference> = fields.iter().map(|field| difference(field)).collect();
    assert_eq!(decide(policy, &differences, &state, busy), decision);
}

#[test]
fn of_duplicates_the_same_one_is_chosen_in_whatever_order() {
    let candidate = |id: &str, name: &str, state, created| Candidate {
        id: id.into(),
        name: name.into(),
        state,
        created: Some(created),
    };
    let mut all = vec![
        candidate("a", "other", Running, 5),
        candidate("b", "other2", Running, 9),
        candidate("c", "talaria-x", Exited, 1),
        candidate("d", "other3", Dead, 99),
    ];
    for _ in 0..all.len() {
        all.rotate_left(1);
        assert_eq!(choose("talaria-x", &all).unwrap().id, "c");
        assert_eq!(choose("talaria-y", &all).unwrap().id, "b");
    }
    assert_eq!(choose("talaria-x", &[]), None);
}

const NOW: i64 = 1_000_000;

fn seen() -> Observed {
    Observed {
        state: Running,
        created: Some(NOW - 5000),
        finished: None,
        profile: "p".into(),
        lease: Lease::from_secs(3600),
        execs: 0,
        agent: AgentSays::Here {
            busy: Busy::Idle,
            idle: 10,
        },
    }
}

fn silent(seconds: u64) -> AgentSays {
    AgentSays::Silent(seconds)
}

fn here(busy: Busy, idle: u64) -> AgentSays {
    AgentSays::Here { busy, idle }
}

#[rstest]
#[case::idle(seen(), Reap::Keep(Keep::Leased))]
#[case::busy(Observed { agent: here(Busy::Running(1), 99_999), ..seen() }, Reap::Keep(Keep::InUse))]
#[case::unknown(Observed { agent: here(Busy::Unknown, 99_999), ..seen() }, Reap::Keep(Keep::InUse))]
#[case::lapsed(
    Observed { agent: here(Busy::Idle, 4200), ..seen() },
    Reap::StopAndRemove(Remove::LeaseLapsed)
)]
#[case::just_lapsed(Observed { agent: here(Busy::Idle, 4199), ..seen() }, Reap::Keep(Keep::Leased))]
#[case::no_lease(
    Observed { agent: here(Busy::Idle, 99_999), lease: Lease::None, ..seen() },
    Reap::Keep(Keep::Leased)
)]
#[case::silent(Observed { agent: silent(30), ..seen() }, Reap::StopAndRemove(Remove::Silent))]
#[case::silent_now(Observed { agent: silent(29), ..seen() }, Reap::Keep(Keep::TooYoung))]
#[case::silent_in_use(Observed { agent: silent(900), execs: 1, ..seen() }, Reap::Keep(Keep::InUse))]
#[case::no_agent(Observed { agent: AgentSays::None, ..seen() }, Reap::Keep(Keep::NoAgent))]
#[case::not_asked(Observed { agent: AgentSays::NotAsked, ..seen() }, Reap::Keep(Keep::InUse))]
#[case::stopped(
    Observed { state: Exited, finished: Some(NOW - 600), ..seen() },
    Reap::Remove(Remove::Stopped)
)]
#[case::just_stopped(
    Observed { state: Exited, finished: Some(NOW - 599), ..seen() },
    Reap::Keep(Keep::TooYoung)
)]
#[case::year_one(
    Observed { state: Exited, finished: Some(-62_135_596_800), ..seen() },
    Reap::Keep(Keep::AgeUnknown)
)]
#[case::unreadable(Observed { state: Exited, ..seen() }, Reap::Keep(Keep::AgeUnknown))]
#[case::future(
    Observed { state: Exited, finished: Some(NOW + 9), ..seen() },
    Reap::Keep(Keep::AgeUnknown)
)]
#[case::leftover(Observed { state: Created, ..seen() }, Reap::Remove(Remove::Interrupted))]
#[case::just_created(
    Observed { state: Created, created: Some(NOW - 1), ..seen() },
    Reap::Keep(Keep::TooYoung)
)]
#[case::paused(Observed { state: Paused, ..seen() }, Reap::Keep(Keep::Paused))]
#[case::dead(Observed { state: Dead, ..seen() }, Reap::Remove(Remove::Dead))]
#[case::removing(Observed { state: Removing, ..seen() }, Reap::Keep(Keep::Engine))]
#[case::others(Observed { profile: "q".into(), state: Dead, ..seen() }, Reap::Keep(Keep::OtherProfile))]
fn a_sandbox_is_reaped_or_kept(#[case] seen: Observed, #[case] reap: Reap) {
    let rules = Rules {
        profile: Some("p".into()),
        ..Rules::default()
    };
    assert_eq!(reap::decide(&rules, &seen, NOW), reap);
}
