//! What hostile commands, clients and file systems do to the agent, and what it makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that fails says where"
)]

mod common;

use std::os::fd::OwnedFd;
use std::time::Duration;

use common::{Agent, wait_until};
use nix::poll::{PollTimeout, poll};
use sandbox_agent::client::{Client, ClientError};
use sandbox_agent::wire::{
    Channel, End, Failure, Get, Input, OnDisconnect, Output, RunSpec, ToAgent, ToClient,
};

fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Failure {
    match result {
        Err(ClientError::Failed(failed)) => failed.failure,
        other => panic!("{other:?}"),
    }
}

/// The agent's resident memory, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid)).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

/// Processor time that the agent has used, in clock ticks.
fn ticks(agent: &Agent) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid)).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

fn a_while(milliseconds: u16) {
    poll(&mut [], PollTimeout::from(milliseconds)).unwrap();
}

#[test]
fn the_first_process_ends_by_no_signal_from_within() {
    let agent = Agent::new();
    let mut client = agent.client();
    let script = "for s in TERM INT HUP QUIT KILL STOP TSTP USR1 ALRM ABRT SEGV PIPE; do kill -$s 1; done; sleep 0.2; echo on";
    assert_eq!(client.shell(script).text(), "on\n");
    assert_eq!(agent.client().shell("echo on").text(), "on\n");
}

#[test]
fn a_stopped_keeper_goes_on() {
    let agent = Agent::new();
    let mut client = agent.client();
    client.patience = Duration::from_secs(20);
    let done = client.shell("kill -STOP $PPID; echo on");
    assert_eq!(done.text(), "on\n");
    let session = client.open_session(None);
    let done = client.in_session(session, "kill -STOP $PPID; echo on");
    assert_eq!(done.text(), "on\n");
}

#[test]
fn two_lost_keepers_leave_nobody() {
    let agent = Agent::new();
    let mut client = agent.client();
    let first = client.start(RunSpec::shell("setsid sleep 77 & setsid sleep 77 & wait"));
    client.ping().unwrap();
    wait_until("the first", || agent.count("sleep 77") == 2);
    a_while(50);
    let second = client.start(RunSpec::shell("setsid sleep 77 & setsid sleep 77 & wait"));
    client.ping().unwrap();
    wait_until("the second", || agent.count("sleep 77") == 4);
    // All of them at once, save the agent, which nobody within can kill.
    let third = client.start(RunSpec::shell(
        "kill -9 $(pgrep -x sandbox-agent -P 1) $PPID; exit",
    ));
    for id in [first, second, third] {
        assert_eq!(client.finish(id).unwrap().ended.end, End::Signalled(9));
    }
    wait_until("the strays' end", || agent.count("sleep 77") == 0);
}

#[test]
fn a_user_file_that_is_no_file_stalls_nothing() {
    let agent = Agent::new();
    let mut client = agent.client();
    client.patience = Duration::from_secs(20);
    client.shell("mkfifo /tmp/f; mount --bind /tmp/f /etc/passwd; mount --bind /tmp/f /etc/group");
    // No shell: bash reads the file itself, and waits for as long as it is given.
    let done = client.run(RunSpec::argv(["echo", "on"])).unwrap();
    assert_eq!(done.text(), "on\n");
}

#[test]
fn the_id_that_means_no_change_is_nobodys() {
    let agent = Agent::new();
    let mut client = agent.client();
    client.shell("echo evil:x:4294967295:4294967295::/: >/tmp/p; mount --bind /tmp/p /etc/passwd");
    for user in ["4294967295", "1000:4294967295", "evil", "0:4294967295"] {
        let spec = RunSpec {
            user: Some(user.into()),
            ..RunSpec::shell("id")
        };
        assert_eq!(refusal(client.run(spec)), Failure::User, "{user}");
    }
}

#[test]
fn a_client_that_asks_and_does_not_listen_costs_bounded_memory() {
    let agent = Agent::new();
    let mut client = agent.client();
    for _ in 0..100 {
        let job = RunSpec::shell(&*format!("true {}", "x".repeat(250)));
        client.number(&ToAgent::JobStart(job, 4096)).unwrap();
    }
    let (stream, _connect) = agent.stream();
    let mut deaf = Client::new(
        OwnedFd::from(stream.try_clone().unwrap()),
        OwnedFd::from(stream),
        common::PATIENCE,
    )
    .unwrap();
    for _ in 0..20_000 {
        let id = deaf.id();
        deaf.send(id, &ToAgent::JobList);
    }
    deaf.patience = Duration::from_millis(500);
    let waits = deaf.next(1_000_000).unwrap_err();
    assert!(matches!(waits, ClientError::Timeout), "{waits:?}");
    let most = resident(&agent);
    assert!(most < 40_000, "{most} KiB");
    client.ping().unwrap();
}

#[test]
fn an_agent_whose_descriptors_run_out_says_so_and_goes_on() {
    let agent = Agent::after("ulimit -Sn 96 && ulimit -Hn 96", &["serve"]);
    let mut client = agent.client();
    let mut ids = Vec::new();
    let mut refused = None;
    for _ in 0..60 {
        let id = client.start(RunSpec::shell("sleep 77"));
        match client.next(id) {
            Ok(ToClient::Started(_)) => ids.push(id),
            Err(ClientError::Failed(failed)) => {
                refused = Some(failed);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.failure, refused.errno), (Failure::TooMany, 24));
    // Whoever connects now is refused, too, and nobody spins over it.
    let streams: Vec<_> = (0..30).map(|_| agent.stream()).collect();
    a_while(300);
    let before = ticks(&agent);
    a_while(1000);
    let spent = ticks(&agent) - before;
    assert!(spent < 50, "{spent} ticks in a second of nothing");
    for (_, mut connect) in streams {
        connect.kill().unwrap();
        connect.wait().unwrap();
    }
    for id in ids {
        client.send(id, &ToAgent::Cancel);
        client.finish(id).unwrap();
    }
    assert_eq!(client.shell("echo on").text(), "on\n");
    assert_eq!(agent.client().shell("echo on").text(), "on\n");
}

#[test]
fn the_limit_of_descriptors_is_raised_for_the_agent_and_not_for_commands() {
    let agent = Agent::after("ulimit -Sn 256 && ulimit -Hn 4096", &["serve"]);
    let mut client = agent.client();
    assert_eq!(client.shell("ulimit -Sn; ulimit -Hn").text(), "256\n4096\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid)).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert!(files.unwrap().contains(" 4096 "), "{files:?}");
}

#[test]
fn a_limit_of_file_sizes_costs_output_and_not_the_agent() {
    let agent = Agent::after("ulimit -f 8", &["serve"]);
    let mut client = agent.client();
    let job = RunSpec::shell("head -c 100000 /dev/zero");
    client.number(&ToAgent::JobStart(job, 65536)).unwrap();
    let spec = RunSpec {
        output: Output::Capture {
            head: 10,
            tail: 10,
            spill: 1 << 20,
        },
        ..RunSpec::shell("head -c 100000 /dev/zero")
    };
    let done = client.run(spec).unwrap();
    assert_eq!(done.ended.stdout.seen, 100_000);
    assert_eq!(client.shell("echo on").text(), "on\n");
}

#[test]
fn full_file_systems_are_said_and_cost_nothing_else() {
    let agent = Agent::after(
        "mount -t tmpfs -o size=64k tmpfs /dev/shm && mount -t tmpfs -o size=64k tmpfs /tmp",
        &["serve"],
    );
    let mut client = agent.client();
    let session = client.open_session(None);
    let fill = "cat /dev/zero >/dev/shm/full; cat /dev/zero >/tmp/full; true";
    assert_eq!(client.shell(fill).ended.end, End::Exited(0));
    let spec = RunSpec {
        output: Output::Capture {
            head: 10,
            tail: 10,
            spill: 1 << 20,
        },
        ..RunSpec::shell("head -c 100000 /dev/zero")
    };
    let done = client.run(spec).unwrap();
    assert_eq!(
        (done.ended.stdout.seen, done.stdout_tail.len()),
        (100_000, 10)
    );
    let spec = RunSpec {
        session,
        ..RunSpec::shell("echo $((1 + 1))")
    };
    assert_eq!(refusal(client.run(spec)), Failure::System);
    assert_eq!(client.in_session(session, "echo on").text(), "on\n");
    for _ in 0..3 {
        assert_eq!(
            refusal(
                client.ask(&ToAgent::SessionOpen(sandbox_agent::wire::SessionSpec {
                    cwd: None,
                    env: Vec::new(),
                    user: None,
                    login: false,
                }))
            ),
            Failure::System
        );
    }
    // Nothing is left of those that did not open.
    assert_eq!(
        client.shell("ls -d /dev/shm/.talaria-*/* | wc -l").text(),
        "1\n"
    );
    client.shell("rm /dev/shm/full");
    assert_eq!(client.in_session(session, "echo on").text(), "on\n");
}

#[test]
fn a_stopped_client_keeps_no_sandbox() {
    let mut agent = Agent::with(&["serve", "--lease", "2"]);
    let mut client = agent.client();
    // More than its credit, and then silence: the command has ended, its output waits.
    let spec = RunSpec {
        output: Output::Capture {
            head: 1 << 20,
            tail: 0,
            spill: 0,
        },
        ..RunSpec::shell("head -c 1000000 /dev/zero")
    };
    let id = client.start(spec);
    client.next(id).unwrap();
    client.shell("head -c 3000000 /dev/zero >/tmp/large");
    let get = client.id();
    client.send(
        get,
        &ToAgent::Get(Get {
            path: "/tmp/large".into(),
            user: None,
        }),
    );
    client.next(get).unwrap();
    assert_eq!(agent.unshare.wait().unwrap().code(), Some(0));
}

#[test]
fn a_session_closes_while_the_last_output_waits() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    let spec = RunSpec {
        session,
        ..RunSpec::shell("head -c 300000 /dev/zero; exit 3")
    };
    let id = client.start(spec);
    // Its shell is gone, and more of its output than its credit is still in the pipe.
    client.ping().unwrap();
    wait_until("the shell's end", || agent.count("bash -l") == 0);
    client.number(&ToAgent::SessionClose(session)).unwrap();
    client.patience = Duration::from_secs(20);
    let done = client.finish(id).unwrap();
    assert_eq!(done.ended.end, End::Exited(3));
    assert_eq!(done.stdout.len(), 300_000);
}

#[test]
fn connections_without_a_greeting_shut_nobody_out() {
    let agent = Agent::new();
    let mute: Vec<_> = (0..300).map(|_| agent.stream()).collect();
    assert_eq!(agent.client().shell("echo on").text(), "on\n");
    for (_, mut connect) in mute {
        connect.kill().unwrap();
        connect.wait().unwrap();
    }
}

#[test]
fn a_command_has_three_descriptors() {
    let agent = Agent::new();
    let mut client = agent.client();
    let list = RunSpec::argv(["sh", "-c", "ls /proc/self/fd; :"]);
    // `ls` itself opens the directory as 3.
    assert_eq!(client.run(list.clone()).unwrap().text(), "0\n1\n2\n3\n");
    let spec = RunSpec {
        input: Input::Stream,
        on_disconnect: OnDisconnect::Kill,
        ..list
    };
    let id = client.start(spec);
    client.send(id, &ToAgent::Eof(Channel::Stdin));
    assert_eq!(client.finish(id).unwrap().text(), "0\n1\n2\n3\n");
    let session = client.open_session(None);
    assert_eq!(
        client.in_session(session, "ls /proc/self/fd").text(),
        "0\n1\n2\n3\n"
    );
}

#[test]
fn a_signal_reaches_a_command_that_has_only_begun() {
    let agent = Agent::new();
    let mut client = agent.client();
    for _ in 0..20 {
        let id = client.start(RunSpec::argv(["sleep", "77"]));
        client.send(id, &ToAgent::Signal(15));
        assert_eq!(client.finish(id).unwrap().ended.end, End::Signalled(15));
    }
}

#[test]
fn too_many_jobs_are_refused() {
    let agent = Agent::new();
    let mut client = agent.client();
    let mut refused = None;
    for _ in 0..2000 {
        let job = RunSpec::argv(["true"]);
        if let Err(error) = client.number(&ToAgent::JobStart(job, 64 << 20)) {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refusal(Err::<u64, _>(refused.unwrap())), Failure::TooMany);
    assert_eq!(client.shell("echo on").text(), "on\n");
}
