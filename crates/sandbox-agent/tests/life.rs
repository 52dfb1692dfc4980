//! Jobs, files, the lease, and the end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that fails says where"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Agent, Connected, wait_until};
use sandbox_agent::client::ClientError;
use sandbox_agent::wire::{
    Channel, Credit, End, Entry, EntryKind, Failure, Follow, Get, JobInfo, JobState, Overwrite,
    Put, RunSpec, Status, ToAgent, ToClient,
};

fn jobs(client: &mut Connected) -> Vec<JobInfo> {
    match client.ask(&ToAgent::JobList).unwrap() {
        ToClient::Jobs(jobs) => jobs,
        other => panic!("{other:?}"),
    }
}

fn status(client: &mut Connected) -> Status {
    match client.ask(&ToAgent::Status).unwrap() {
        ToClient::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn job(client: &mut Connected, script: &str, kept: u32) -> u32 {
    u32::try_from(
        client
            .number(&ToAgent::JobStart(RunSpec::shell(script), kept))
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn a_job_outlives_its_client_and_is_followed_killed_and_removed_by_another() {
    let agent = Agent::new();
    let mut client = agent.client();
    let first = job(
        &mut client,
        "echo one; sleep 0.3; echo two >&2; exit 4",
        1 << 16,
    );
    drop(client);
    let mut client = agent.client();
    let id = client.id();
    client.send(
        id,
        &ToAgent::JobFollow(Follow {
            job: first,
            from_start: true,
            wait: true,
        }),
    );
    let done = client.finish(id).unwrap();
    assert_eq!(
        (done.text().as_str(), &done.stderr[..], done.ended.end),
        ("one\n", &b"two\n"[..], End::Exited(4))
    );
    assert_eq!(jobs(&mut client)[0].state, JobState::Ended(End::Exited(4)));

    let noisy = job(&mut client, "seq 1 100000; sleep 77", 4096);
    wait_until("its output", || jobs(&mut client)[1].stdout.seen == 588_895);
    assert_eq!(jobs(&mut client)[1].stdout.dropped, 588_895 - 4096);
    let id = client.id();
    client.send(
        id,
        &ToAgent::JobFollow(Follow {
            job: noisy,
            from_start: true,
            wait: false,
        }),
    );
    let kept = client.finish(id).unwrap();
    assert!(kept.stdout.len() == 4096 && kept.text().ends_with("99999\n100000\n"));
    match client.number(&ToAgent::JobRemove(noisy)) {
        Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::Busy),
        other => panic!("{other:?}"),
    }
    assert!(client.number(&ToAgent::JobKill(noisy)).unwrap() >= 1);
    assert_eq!(agent.count("sleep 77"), 0);
    wait_until("its end", || {
        jobs(&mut client)[1].state == JobState::Ended(End::Signalled(9))
    });
    client.number(&ToAgent::JobRemove(noisy)).unwrap();
    client.number(&ToAgent::JobRemove(first)).unwrap();
    assert!(jobs(&mut client).is_empty());
    let signalled = job(
        &mut client,
        "trap 'exit 6' TERM; while :; do sleep 0.02; done",
        4096,
    );
    wait_until("its end", || {
        client.number(&ToAgent::JobSignal(signalled, 15)).unwrap();
        jobs(&mut client)[0].state != JobState::Running
    });
    match client.number(&ToAgent::JobStart(RunSpec::argv(["/no/such"]), 4096)) {
        Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::CannotRun),
        other => panic!("{other:?}"),
    }
}

fn entry(path: &str, kind: EntryKind, mode: u32, size: usize) -> ToAgent {
    ToAgent::Entry(Entry {
        path: path.into(),
        kind,
        mode,
        size: size as u64,
        target: "b".into(),
    })
}

fn put(
    client: &mut Connected,
    path: &str,
    overwrite: Overwrite,
    frames: &[ToAgent],
) -> Result<u64, ClientError> {
    let id = client.id();
    client.send(
        id,
        &ToAgent::Put(Put {
            path: path.into(),
            user: None,
            overwrite,
            parents: true,
        }),
    );
    let mut credit = 256 << 10;
    for frame in frames {
        if let ToAgent::Data(_, bytes) = frame {
            while credit < bytes.len() {
                match client.next(id)? {
                    ToClient::Credit(more) => credit += more.bytes as usize,
                    other => panic!("{other:?}"),
                }
            }
            credit -= bytes.len();
        }
        client.send(id, frame);
    }
    client.send(id, &ToAgent::Eof(Channel::Stdin));
    loop {
        match client.next(id)? {
            ToClient::Done(count) => return Ok(count),
            ToClient::Credit(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn get(client: &mut Connected, path: &str) -> Result<(Vec<Entry>, Vec<u8>), ClientError> {
    let id = client.id();
    client.send(
        id,
        &ToAgent::Get(Get {
            path: path.into(),
            user: None,
        }),
    );
    let (mut entries, mut content) = (Vec::new(), Vec::new());
    loop {
        match client.next(id)? {
            ToClient::Entry(entry) => entries.push(entry),
            ToClient::Data(channel, bytes) => {
                let count = u32::try_from(bytes.len()).unwrap();
                client.send(
                    id,
                    &ToAgent::Credit(Credit {
                        channel,
                        bytes: count,
                    }),
                );
                content.extend(bytes);
            }
            ToClient::Done(_) => return Ok((entries, content)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_and_trees_go_in_and_out() {
    let agent = Agent::new();
    let mut client = agent.client();
    let data = |bytes: &[u8]| ToAgent::Data(Channel::Stdin, bytes.to_vec());
    let mut file = vec![entry("", EntryKind::File, 0o640, 5_000_000)];
    file.extend((0..100).map(|_| data(&vec![7; 50_000])));
    assert_eq!(
        put(&mut client, "/tmp/deep/er/file", Overwrite::Refuse, &file).unwrap(),
        5_000_000
    );
    assert_eq!(
        client
            .shell("stat -c '%a %s' /tmp/deep/er/file; ls -A /tmp/deep/er")
            .text(),
        "640 5000000\nfile\n"
    );
    let (entries, content) = get(&mut client, "/tmp/deep/er/file").unwrap();
    assert_eq!(
        (entries[0].mode, entries[0].size, content),
        (0o640, 5_000_000, vec![7; 5_000_000])
    );

    let tree = [
        entry("", EntryKind::Directory, 0o750, 0),
        entry("d", EntryKind::Directory, 0o500, 0),
        entry("d/a", EntryKind::File, 0o755, 3),
        data(b"abc"),
        entry("d/l", EntryKind::Link, 0o777, 0),
        entry("e", EntryKind::File, 0o600, 0),
    ];
    put(&mut client, "/tmp/tree", Overwrite::Refuse, &tree).unwrap();
    let listed = client
        .shell("cd /tmp/tree; find . -printf '%p %m %y\\n' | sort; cat d/a; readlink d/l")
        .text();
    assert_eq!(
        listed,
        ". 750 d\n./d 500 d\n./d/a 755 f\n./d/l 777 l\n./e 600 f\nabcb\n"
    );
    let (entries, content) = get(&mut client, "/tmp/tree").unwrap();
    let paths: Vec<String> = entries
        .iter()
        .map(|entry| String::from_utf8(entry.path.0.clone()).unwrap())
        .collect();
    assert_eq!(
        (paths, content),
        (
            ["", "d", "d/a", "d/l", "e"].map(String::from).to_vec(),
            b"abc".to_vec()
        )
    );

    let failure = |result: Result<u64, ClientError>| match result {
        Err(ClientError::Failed(failed)) => failed.failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        failure(put(&mut client, "/tmp/tree", Overwrite::Refuse, &tree)),
        Failure::Exists
    );
    put(
        &mut client,
        "/tmp/tree",
        Overwrite::Replace,
        &[entry("", EntryKind::File, 0o600, 1), data(b"x")],
    )
    .unwrap();
    for bad in ["../x", "a//b", "/etc", "."] {
        let frames = [
            entry("", EntryKind::Directory, 0o755, 0),
            entry(bad, EntryKind::File, 0o644, 0),
        ];
        assert_eq!(
            failure(put(&mut client, "/tmp/bad", Overwrite::Refuse, &frames)),
            Failure::Invalid
        );
    }
    let through = [
        entry("", EntryKind::Directory, 0o755, 0),
        ToAgent::Entry(Entry {
            path: "l".into(),
            kind: EntryKind::Link,
            mode: 0o777,
            size: 0,
            target: "/tmp".into(),
        }),
        entry("l/x", EntryKind::File, 0o644, 0),
    ];
    put(&mut client, "/tmp/through", Overwrite::Refuse, &through).unwrap_err();
    assert_eq!(client.shell("ls -A /tmp").text(), "deep\ntree\n");
    assert_eq!(
        get(&mut client, "/dev/zero").map_or_else(|error| error.to_string(), |_| String::new()),
        "the agent refused: /dev/zero is neither a file nor a directory"
    );
}

#[test]
fn a_lease_that_lapses_ends_the_sandbox() {
    let mut agent = Agent::with(&["serve", "--lease", "5"]);
    let mut client = agent.client();
    client.shell("setsid nohup sh -c 'trap \"\" TERM; sleep 77; sleep 77' >/dev/null 2>&1 &");
    let state = status(&mut client);
    assert_eq!(state.lease_secs, 5);
    assert!(state.lease_left_ms.unwrap() <= 5000);
    // Use keeps it: a command, then a client that talks, for longer than the lease.
    client.shell("sleep 6");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        client.ping().unwrap();
        common::moment();
    }
    match client.next(999) {
        Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::Ending),
        other => panic!("{other:?}"),
    }
    assert_eq!(agent.unshare.wait().unwrap().code(), Some(0));
}

#[test]
fn to_look_at_a_sandbox_does_not_renew_its_lease() {
    let agent = Agent::with(&["serve", "--lease", "20"]);
    let mut client = agent.client();
    client.ping().unwrap();
    let mut left = status(&mut client).lease_left_ms.unwrap();
    for _ in 0..20 {
        common::moment();
        let later = status(&mut agent.client()).lease_left_ms.unwrap();
        assert!(later < left, "{later} of {left} ms are left");
        left = later;
    }
    client.ping().unwrap();
    assert!(status(&mut client).lease_left_ms.unwrap() > left);
}

#[test]
fn a_lease_begins_anew_when_a_command_ends() {
    let agent = Agent::with(&["serve", "--lease", "4"]);
    let mut client = agent.client();
    // Nothing but its end is heard of it.
    client.shell("exec >/dev/null 2>&1; sleep 6");
    let ended = Instant::now();
    while ended.elapsed() < Duration::from_millis(2800) {
        common::moment();
    }
    client.ping().unwrap();
}

#[test]
fn a_signal_ends_everything() {
    let mut agent = Agent::new();
    let mut client = agent.client();
    let script = "trap 'echo bye >/tmp/bye; exit 0' TERM; echo on; while :; do sleep 0.02; done";
    let id = client.start(RunSpec::shell(script));
    while !matches!(client.next(id).unwrap(), ToClient::Data(..)) {}
    let start = Instant::now();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &agent.pid.to_string()[..]])
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(agent.unshare.wait().unwrap().code(), Some(143));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_first_process_reaps_and_says_who_it_is() {
    let agent = Agent::new();
    let mut client = agent.client();
    let hello = client.hello().clone();
    assert_eq!((hello.pid, hello.uid), (1, nix::unistd::geteuid().as_raw()));
    let sum = std::process::Command::new("sha256sum")
        .arg(common::PROGRAM)
        .output()
        .unwrap()
        .stdout;
    let sum = String::from_utf8(sum[..64].to_vec()).unwrap();
    let pairs = (0..32).map(|at| u8::from_str_radix(&sum[2 * at..2 * at + 2], 16).unwrap());
    assert_eq!(hello.hash.to_vec(), pairs.collect::<Vec<u8>>());
    agent
        .inside(&["sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.05 &) ; done"])
        .status()
        .unwrap();
    wait_until("the orphans to be reaped", || {
        client
            .shell("ps -eo stat= | grep -c ^Z; true")
            .text()
            .trim()
            == "0"
    });
    let spec = RunSpec {
        user: Some("nobody".into()),
        ..RunSpec::shell(
            "cat /proc/1/environ; ls /proc/1/fd; kill -9 1; kill -9 $PPID; cat /proc/$PPID/mem; echo on",
        )
    };
    let done = client.run(spec).unwrap();
    assert_eq!(done.text(), "on\n");
    match client.ask(&ToAgent::Metrics).unwrap() {
        ToClient::Metrics(metrics) => assert!(metrics.processes >= 1 && metrics.agent_memory > 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn probes_come_as_json_and_harm_nothing() {
    let agent = Agent::new();
    let mut client = agent.client();
    match client.ask(&ToAgent::Probe).unwrap() {
        ToClient::Probes(json) => assert!(json.0.starts_with(b"{\"") && json.0.ends_with(b"}")),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.shell("echo on").text(), "on\n");
}
