//! Commands: what goes in, what comes out, and what is left.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that fails says where"
)]

mod common;

use common::{Agent, wait_until};
use sandbox_agent::client::ClientError;
use sandbox_agent::wire::{
    Bytes, Channel, Credit, End, Failure, OnDisconnect, Output, RunSpec, ToAgent, ToClient,
    Variable, Window,
};

fn failure(result: Result<sandbox_agent::client::Finished, ClientError>) -> Failure {
    match result {
        Err(ClientError::Failed(failed)) => failed.failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn results_are_what_the_command_did() {
    let agent = Agent::new();
    let mut client = agent.client();
    let done = client.shell("echo out; echo err >&2; exit 3");
    assert_eq!(
        (done.ended.end, done.stdout, done.stderr),
        (End::Exited(3), b"out\n".to_vec(), b"err\n".to_vec())
    );
    assert_eq!((done.ended.stdout.seen, done.ended.stderr.seen), (4, 4));
    assert_eq!(client.shell("kill -9 $$").ended.end, End::Signalled(9));
    assert_eq!(
        client.shell(r"printf '\377\000\376'").stdout,
        [0xff, 0, 0xfe]
    );
    assert_eq!(client.shell("cat <<'E'\nhere\nE").stdout, b"here\n");
    assert_eq!(client.shell("exec 1>&-; echo x >&2; exit 0").stderr, b"x\n");
    let done = client
        .run_with(RunSpec::argv(["sha256sum"]), &vec![7; 3_000_000])
        .unwrap();
    let expected = client.shell("head -c 3000000 /dev/zero | tr '\\0' '\\7' | sha256sum");
    assert_eq!(done.stdout, expected.stdout);
    // One that does not read its stdin does not stop whoever writes it.
    assert_eq!(
        client
            .run_with(RunSpec::argv(["true"]), &vec![7; 3_000_000])
            .unwrap()
            .ended
            .end,
        End::Exited(0)
    );
    let spec = RunSpec {
        cwd: Some("/usr".into()),
        ..RunSpec::shell("pwd")
    };
    assert_eq!(client.run(spec).unwrap().text(), "/usr\n");
    assert_eq!(
        client
            .shell("readlink /proc/self/fd/0; ls /proc/self/fd | wc -l")
            .text(),
        "/dev/null\n4\n"
    );
    assert_eq!(
        client
            .shell("id -un; sed -n '/^Sig[IB][gl]/s/.*\\(.......\\)$/\\1/p' /proc/self/status")
            .text(),
        "root\n0000000\n0000000\n"
    );
}

#[test]
fn what_cannot_be_run_says_why() {
    let agent = Agent::new();
    let mut client = agent.client();
    assert_eq!(
        failure(client.run(RunSpec::argv(["/no/such"]))),
        Failure::CannotRun
    );
    assert_eq!(
        failure(client.run(RunSpec::argv::<&str>([]))),
        Failure::Invalid
    );
    let spec = RunSpec {
        cwd: Some("/no/such".into()),
        ..RunSpec::argv(["true"])
    };
    assert_eq!(failure(client.run(spec)), Failure::Directory);
    let spec = RunSpec {
        user: Some("nobody-here".into()),
        ..RunSpec::argv(["true"])
    };
    assert_eq!(failure(client.run(spec)), Failure::User);
    let path = Variable {
        name: "PATH".into(),
        value: "/nowhere".into(),
    };
    let spec = RunSpec {
        env: vec![path],
        ..RunSpec::shell("true")
    };
    assert_eq!(failure(client.run(spec)), Failure::NoShell);
    let spec = RunSpec {
        session: 99,
        ..RunSpec::shell("true")
    };
    assert_eq!(failure(client.run(spec)), Failure::NotFound);
}

#[test]
fn large_requests_go_through() {
    let agent = Agent::new();
    let mut client = agent.client();
    let mut argv: Vec<String> = vec!["sh".into(), "-c".into(), "echo $#".into(), "sh".into()];
    argv.extend((0..10_000).map(|at| format!("{at:0>100}")));
    assert_eq!(client.run(RunSpec::argv(argv)).unwrap().text(), "10000\n");
    let env = (0..10_000)
        .map(|at| Variable {
            name: format!("V{at}").into(),
            value: "x".into(),
        })
        .collect();
    let spec = RunSpec {
        env,
        ..RunSpec::shell("env | grep -c ^V[0-9]")
    };
    assert_eq!(client.run(spec).unwrap().text(), "10000\n");
}

#[test]
fn users_are_found_and_become_so() {
    let agent = Agent::new();
    let mut client = agent.client();
    let own = "test \"$(printenv SHELL)\" = \"$(getent passwd \"$(id -u)\" | cut -d: -f7)\"";
    assert_eq!(client.shell(own).ended.end, End::Exited(0));
    for (user, expected) in [
        ("nobody", "65534 65534"),
        ("1234:55", "1234 55"),
        ("0", "0 0"),
    ] {
        let spec = RunSpec {
            user: Some(user.into()),
            ..RunSpec::shell("echo $(id -u) $(id -g)")
        };
        assert_eq!(client.run(spec).unwrap().text().trim(), expected);
    }
}

#[test]
fn background_children_are_not_waited_for() {
    let agent = Agent::new();
    let mut client = agent.client();
    for script in [
        "sleep 61 & echo on",
        "nohup sleep 61 & echo on",
        "setsid sh -c 'sleep 61' & echo on",
    ] {
        let done = client.shell(script);
        assert_eq!(done.text(), "on\n", "{script}");
        assert!(done.ended.duration_us < 30_000_000);
    }
    wait_until("all to sleep", || agent.count("sleep 61") == 3);
    // What goes on writing is not stopped by a closed pipe.
    client.shell("(trap '' PIPE; while sleep 0.01; do head -c 100000 /dev/zero && echo >>/tmp/wrote; done) & echo on");
    wait_until("writes after the end", || {
        client
            .shell("wc -l </tmp/wrote 2>/dev/null || echo 0")
            .text()
            .trim()
            .parse::<u32>()
            .unwrap()
            > 3
    });
}

#[test]
fn captured_output_is_bounded_and_spilled() {
    let agent = Agent::new();
    let mut client = agent.client();
    let output = Output::Capture {
        head: 10,
        tail: 5,
        spill: 1 << 20,
    };
    let spec = RunSpec {
        output,
        ..RunSpec::shell("seq 1 20000 >&2; printf short")
    };
    let done = client.run(spec).unwrap();
    assert_eq!(
        (&done.stdout[..], &done.stdout_tail[..]),
        (&b"short"[..], &b""[..])
    );
    assert_eq!(
        (&done.stderr[..], &done.stderr_tail[..]),
        (&b"1\n2\n3\n4\n5\n"[..], &b"0000\n"[..])
    );
    let counts = done.ended.stderr;
    assert_eq!(
        (counts.seen, counts.dropped, counts.spilled),
        (108_894, 108_879, 108_894)
    );
    let path = String::from_utf8(counts.spill.unwrap().0).unwrap();
    let sum = client.shell(&format!("cmp {path} <(seq 1 20000) && stat -c %a {path}"));
    assert_eq!(sum.text(), "600\n");

    let output = Output::Capture {
        head: 1000,
        tail: 1000,
        spill: 5000,
    };
    let spec = RunSpec {
        output,
        ..RunSpec::shell("head -c 50000000 /dev/zero >&2")
    };
    let done = client.run(spec).unwrap().ended;
    assert_eq!(
        (done.stderr.seen, done.stderr.dropped, done.stderr.spilled),
        (50_000_000, 49_998_000, 5000)
    );
    let ToClient::Metrics(metrics) = client.ask(&ToAgent::Metrics).unwrap() else {
        panic!()
    };
    assert!(metrics.agent_memory < 16 << 20, "{metrics:?}");
}

#[test]
fn output_is_spilled_into_memory_where_a_disk_comes_first() {
    // The agent writes by itself: a disk that is slow would hold every command up.
    let agent = Agent::after("mount --bind / /tmp", &["serve"]);
    let mut client = agent.client();
    let output = Output::Capture {
        head: 0,
        tail: 0,
        spill: 1 << 20,
    };
    let spec = RunSpec {
        output,
        ..RunSpec::shell("seq 1 20000")
    };
    let counts = client.run(spec).unwrap().ended.stdout;
    assert_eq!((counts.seen, counts.spilled), (108_894, 108_894));
    let path = String::from_utf8(counts.spill.unwrap().0).unwrap();
    let kind = client.shell(&format!("stat -f -c %T {path}"));
    assert_eq!(kind.text(), "tmpfs\n", "{path}");
}

#[test]
fn a_stream_that_nobody_reads_stops_no_other() {
    let agent = Agent::new();
    let mut client = agent.client();
    let stuck = client.start(RunSpec::shell("head -c 10000000 /dev/zero; echo done >&2"));
    for _ in 0..20 {
        assert_eq!(
            client
                .shell("head -c 300000 /dev/zero | wc -c; head -c 300000 /dev/zero")
                .stdout
                .len(),
            300_007
        );
    }
    let done = client.finish(stuck).unwrap();
    assert_eq!(done.stdout.len(), 10_000_000);
}

#[test]
fn a_hundred_commands_at_once_on_one_connection() {
    let agent = Agent::new();
    let mut client = agent.client();
    let ids: Vec<u32> = (0..100)
        .map(|at| client.start(RunSpec::shell(format!("sleep 0.1; echo {at}; exit {at}"))))
        .collect();
    for (at, id) in ids.into_iter().enumerate() {
        let done = client.finish(id).unwrap();
        assert_eq!(
            (done.text(), usize::from(done.ended.end.code())),
            (format!("{at}\n"), at)
        );
    }
}

#[test]
fn a_terminal_is_one() {
    let agent = Agent::new();
    let mut client = agent.client();
    let pty = Some(Window {
        rows: 33,
        columns: 77,
    });
    let spec = RunSpec {
        pty,
        ..RunSpec::shell(
            "tty >/dev/null && stty size; read line; echo got $line; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done",
        )
    };
    let id = client.start(spec);
    client.send(id, &ToAgent::Data(Channel::Stdin, b"hello\n".to_vec()));
    let mut seen = Vec::new();
    loop {
        match client.next(id).unwrap() {
            ToClient::Data(channel, bytes) => {
                client.send(id, &ToAgent::Credit(Credit { channel, bytes: 1 }));
                seen.extend(bytes);
                if seen.ends_with(b"ready\r\n") {
                    client.send(
                        id,
                        &ToAgent::Resize(Window {
                            rows: 10,
                            columns: 20,
                        }),
                    );
                }
            }
            ToClient::Ended(ended) => {
                assert_eq!(ended.end, End::Exited(5));
                break;
            }
            _ => {}
        }
    }
    let text = String::from_utf8(seen).unwrap();
    assert!(
        text.contains("33 77\r\n") && text.contains("got hello\r\n") && text.ends_with("10 20\r\n"),
        "{text:?}"
    );
}

#[test]
fn a_lost_client_ends_or_leaves_its_commands_as_asked() {
    let agent = Agent::new();
    let mut client = agent.client();
    for (on_disconnect, seconds) in [(OnDisconnect::Kill, "71"), (OnDisconnect::Keep, "72")] {
        let script = format!("sleep {seconds}; touch /tmp/kept");
        client.start(RunSpec {
            on_disconnect,
            ..RunSpec::shell(script)
        });
    }
    client.ping().unwrap();
    wait_until("both to run", || {
        agent.count("sleep 71") > 0 && agent.count("sleep 72") > 0
    });
    drop(client);
    wait_until("one to end", || agent.count("sleep 71") == 0);
    assert!(agent.count("sleep 72") > 0);
    agent.client().shell("pkill sleep");
    let mut other = agent.client();
    wait_until("the other to go on", || {
        other.shell("ls /tmp/kept").ended.end == End::Exited(0)
    });
}

#[test]
fn signals_reach_the_commands_group() {
    let agent = Agent::new();
    let mut client = agent.client();
    let id = client.start(RunSpec::shell(
        "trap 'echo usr; exit 7' USR1; echo on; while :; do sleep 0.05; done",
    ));
    loop {
        if matches!(client.next(id).unwrap(), ToClient::Data(..)) {
            break;
        }
    }
    client.send(id, &ToAgent::Signal(10));
    let done = client.finish(id).unwrap();
    assert_eq!(
        (done.text().as_str(), done.ended.end),
        ("usr\n", End::Exited(7))
    );
}

#[test]
fn garbage_ends_one_connection_only() {
    let agent = Agent::new();
    let mut client = agent.client();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 100],
        &[0, 0, 0, 0, 3, 0, 0, 0, 1],
        &[0, 0, 0, 1, 0x0b, 0, 0, 0, 1, 1],
    ] {
        let (stream, mut connect) = agent.stream();
        let input = std::os::fd::OwnedFd::from(stream.try_clone().unwrap());
        let mut hostile =
            sandbox_agent::client::Client::new(input, stream.into(), common::PATIENCE).unwrap();
        hostile.send_raw(garbage);
        match hostile.next(77) {
            Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::Protocol),
            other => panic!("{other:?}"),
        }
        assert!(matches!(hostile.next(77), Err(ClientError::Closed)));
        connect.wait().unwrap();
    }
    assert_eq!(client.shell("echo on").text(), "on\n");
}

#[test]
fn an_agent_that_is_stopped_is_noticed() {
    let agent = Agent::new();
    let mut client = agent.client();
    let signal = |name: &str| {
        assert!(
            std::process::Command::new("kill")
                .args([name, &agent.pid.to_string()[..]])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    client.patience = std::time::Duration::from_millis(300);
    assert!(matches!(client.ping(), Err(ClientError::Timeout)));
    signal("-CONT");
    client.patience = common::PATIENCE;
    client.ping().unwrap();
}

#[test]
fn bytes_need_not_be_text() {
    let agent = Agent::new();
    let mut client = agent.client();
    let argument = Bytes(vec![0xff, 0xfe, b'\n', b' ']);
    let spec = RunSpec::argv([Bytes::from("printf"), "%s".into(), argument.clone()]);
    assert_eq!(client.run(spec).unwrap().stdout, argument.0);
}

#[test]
fn a_stream_that_a_command_closes_ends_before_the_command_does() {
    let agent = Agent::new();
    let mut client = agent.client();
    let id = client.start(RunSpec::shell("echo on; exec >&-; sleep 77"));
    let mut frames = Vec::new();
    while !matches!(frames.last(), Some(ToClient::Eof(_))) {
        frames.push(client.next(id).unwrap());
    }
    // What it writes may be there before its start is reported.
    frames.retain(|frame| !matches!(frame, ToClient::Started(_)));
    assert_eq!(
        frames,
        [
            ToClient::Data(Channel::Stdout, b"on\n".to_vec()),
            ToClient::Eof(Channel::Stdout)
        ]
    );
    client.send(id, &ToAgent::Cancel);
    assert!(client.finish(id).unwrap().ended.cancelled);
}
