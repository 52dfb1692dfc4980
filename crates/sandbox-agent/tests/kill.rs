//! Killing a command is killing all of it, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that fails says where"
)]

mod common;

use common::{Agent, Connected, wait_until};
use sandbox_agent::client::{ClientError, Finished};
use sandbox_agent::wire::{End, Failure, RunSpec, ToAgent};

/// Nine commands that nobody may touch.
fn neighbours(client: &mut Connected) -> Vec<u32> {
    let ids = (0..9)
        .map(|_| client.start(RunSpec::shell("sleep 1234 & wait")))
        .collect();
    client.ping().unwrap();
    ids
}

fn timed_out(script: &str, user: Option<&str>) -> Finished {
    let agent = Agent::new();
    let mut client = agent.client();
    let beside = neighbours(&mut client);
    wait_until("the neighbours", || agent.count("sleep 1234") == 9);
    let spec = RunSpec {
        timeout_ms: 400,
        user: user.map(str::to_owned),
        ..RunSpec::shell(script)
    };
    let done = client.run(spec).unwrap();
    assert!(
        done.ended.timed_out && done.ended.survivors == 0,
        "{script}: {:?}",
        done.ended
    );
    assert_eq!(agent.count("sleep 77"), 0, "{:?}", agent.processes());
    assert_eq!(agent.count("sleep 1234"), 9, "{:?}", agent.processes());
    for id in beside {
        client.send(id, &ToAgent::Cancel);
        let done = client.finish(id).unwrap();
        assert!(done.ended.cancelled && done.ended.killed >= 1);
    }
    done
}

#[test]
fn a_plain_command() {
    let done = timed_out("echo before; sleep 77; echo after", None);
    assert_eq!(
        (done.text().as_str(), done.ended.end),
        ("before\n", End::Signalled(9))
    );
    assert_eq!(done.ended.killed, 2);
}

#[test]
fn daemons_and_double_forks() {
    timed_out(
        "setsid sleep 77 & (setsid sh -c '(env -i setsid sleep 77 &) &' &) ; (sleep 77 &) ; sleep 77",
        None,
    );
}

#[test]
fn those_who_ignore_or_are_stopped() {
    timed_out(
        "(trap '' TERM INT HUP; sleep 77; sleep 77) & (kill -STOP $BASHPID; sleep 77) & sleep 77 & kill -STOP $!; sleep 77",
        None,
    );
}

#[test]
fn another_user() {
    timed_out("setsid sleep 77 & sleep 77", Some("nobody"));
}

#[test]
fn chains_of_forks() {
    timed_out(
        "f() { (f &) ; sleep 0.001; }; for i in 1 2 3 4 5 6 7 8; do f & done; sleep 77",
        None,
    );
}

#[test]
fn a_fork_bomb_that_fills_the_limit_of_its_user() {
    // The limit is the user's own, which no other test uses.
    let agent = Agent::new();
    let mut client = agent.client();
    let spec = RunSpec {
        timeout_ms: 1000,
        user: Some("54321:54321".into()),
        ..RunSpec::shell("ulimit -u 200; b() { b | b & }; b 2>/dev/null; sleep 77")
    };
    let done = client.run(spec).unwrap();
    assert_eq!(done.ended.survivors, 0, "{:?}", done.ended);
    assert!(done.ended.killed > 5, "{:?}", done.ended);
    assert_eq!(client.shell("echo on").text(), "on\n");
    assert_eq!(client.shell("pgrep -cu 54321").text(), "0\n");
}

#[test]
fn a_grace_lets_a_command_end_by_itself() {
    let agent = Agent::new();
    let mut client = agent.client();
    let script = "trap 'echo bye; exit 0' TERM; echo on; while :; do sleep 0.02; done";
    let spec = RunSpec {
        timeout_ms: 300,
        grace_ms: 20_000,
        ..RunSpec::shell(script)
    };
    let done = client.run(spec).unwrap();
    assert_eq!(
        (done.text().as_str(), done.ended.end, done.ended.timed_out),
        ("on\nbye\n", End::Exited(0), true)
    );
}

#[test]
fn a_killed_keeper_leaves_nobody() {
    let agent = Agent::new();
    let mut client = agent.client();
    let id = client.start(RunSpec::shell(
        "setsid sleep 77 & echo on; kill -9 $PPID; sleep 77",
    ));
    let done = client.finish(id).unwrap();
    assert_eq!(done.ended.end, End::Signalled(9));
    wait_until("the strays' end", || agent.count("sleep 77") == 0);
    assert_eq!(client.shell("echo on").text(), "on\n");
}

#[test]
fn killing_everything_takes_neither_agent_nor_connection() {
    let agent = Agent::new();
    let mut client = agent.client();
    // It takes `connect` with it, but not the agent.
    let id = client.start(RunSpec::shell("kill -9 -1"));
    client
        .finish(id)
        .map_or_else(|error| assert!(matches!(error, ClientError::Closed)), drop);
    assert_eq!(agent.client().shell("echo on").text(), "on\n");
}

#[test]
fn no_process_left_is_said_at_once() {
    if std::fs::create_dir("/sys/fs/cgroup/pids/talaria-agent-test").is_err() {
        eprintln!("SKIPPED: no pids cgroup can be made here");
        return;
    }
    let group = "/sys/fs/cgroup/pids/talaria-agent-test";
    let agent = Agent::new();
    let mut client = agent.client();
    let bomb = client.start(RunSpec::shell(
        "read go; for i in $(seq 100); do sleep 77 & done; wait",
    ));
    client.ping().unwrap();
    std::fs::write(format!("{group}/cgroup.procs"), agent.pid.to_string()).unwrap();
    client.send(bomb, &ToAgent::Cancel);
    client.finish(bomb).unwrap();
    std::fs::write(format!("{group}/pids.max"), "40").unwrap();
    let bomb = client.start(RunSpec::shell(
        "while :; do sleep 77 & done 2>/dev/null; wait",
    ));
    let mut refused = None;
    wait_until("a refusal", || {
        refused = client.run(RunSpec::argv(["true"])).err();
        refused.is_some()
    });
    match refused {
        Some(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::NoProcessLeft),
        other => panic!("{other:?}"),
    }
    client.send(bomb, &ToAgent::Cancel);
    let done = client.finish(bomb).unwrap().ended;
    assert!(done.killed > 20 && done.survivors == 0, "{done:?}");
    assert_eq!(client.shell("echo on").text(), "on\n");
    drop(client);
    drop(agent);
    wait_until("the cgroup to be empty", || {
        std::fs::remove_dir(group).is_ok()
    });
}
