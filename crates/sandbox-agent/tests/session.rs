//! Sessions: what a shell keeps, and what it survives.
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
    Bytes, End, Failure, RunSpec, SessionEffect, SessionSpec, ToAgent, ToClient, Variable,
};

#[test]
fn state_is_kept_between_commands() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    let begun = client.in_session(session, "pwd").text();
    assert_eq!(begun, client.shell("pwd").text(), "where commands begin");
    let done = client.in_session(session, "cd /usr; export A=1; B=2; f() { echo f$1; }; alias say='echo said'; shopt -s extglob; set -o pipefail; (exit 9)");
    assert_eq!(
        (done.ended.end, done.ended.cwd),
        (End::Exited(9), Some("/usr".into()))
    );
    assert_eq!(done.ended.session, SessionEffect::Kept);
    let done = client.in_session(
        session,
        "echo $? $A $B $PWD; f x; say it\nshopt extglob; false | true",
    );
    assert_eq!(
        done.text(),
        "9 1 2 /usr\nfx\nsaid it\nextglob        \ton\n"
    );
    assert_eq!(done.ended.end, End::Exited(1));
    let done = client.in_session(session, "ls /proc/self/fd; cat");
    assert_eq!(done.text(), "0\n1\n2\n3\n");
    let spec = RunSpec {
        session,
        ..RunSpec::shell("read a; cat")
    };
    assert_eq!(
        client.run_with(spec, b"one\ntwo\n").unwrap().text(),
        "two\n"
    );
    let env = vec![Variable {
        name: "Q".into(),
        value: Bytes(b"it's \xff".to_vec()),
    }];
    let spec = RunSpec {
        session,
        env,
        cwd: Some("/var".into()),
        ..RunSpec::shell("printf %s \"$Q\"; pwd >&2")
    };
    let done = client.run(spec).unwrap();
    assert_eq!(
        (done.stdout, done.stderr),
        (b"it's \xff".to_vec(), b"/var\n".to_vec())
    );
}

#[test]
fn plain_words_run_as_any_other_command_does() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    client.in_session(
        session,
        "status() { echo $?; }; alias last='echo $?' open=\"echo 'x\" two='echo a; echo'; alias nest='two '",
    );
    for (before, plain, told) in [
        ("(exit 5)", "status", "5\n"),
        ("true", "status", "0\n"),
        ("(exit 7)", "last", "7\n"),
        ("true", "two b", "a\nb\n"),
        ("set -e", "last", "0\n"),
        ("set +e -u; IFS=/_", "nest last", "a\necho 0\n"),
        ("set +u; (exit 8)", "cat", "in\n"),
        ("(exit 9)", "status", "9\n"),
    ] {
        client.in_session(session, before);
        let spec = RunSpec {
            session,
            ..RunSpec::shell(plain)
        };
        let done = client.run_with(spec, b"in\n").unwrap();
        assert_eq!(done.text(), told, "{before}, then {plain}: {done:?}");
        assert_eq!(client.in_session(session, "echo on").text(), "on\n");
        client.in_session(session, before);
        let done = client.in_session(session, plain);
        let told = if plain == "cat" { "" } else { told };
        assert_eq!(done.text(), told, "{before}, then {plain}: {done:?}");
    }
    // What cannot be parsed takes nothing of what follows with it.
    let done = client.in_session(session, "open");
    assert_eq!((done.ended.end, &*done.text()), (End::Exited(2), ""));
    let long = format!("echo{}", " word".repeat(700));
    let done = client.in_session(session, &long);
    assert_eq!(done.text(), format!("{}\n", &long[5..]));
}

#[test]
fn it_survives_what_ends_or_confuses_its_shell() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    client.in_session(session, "cd /usr; export A=1; f() { echo f; }");
    for (script, end, effect) in [
        (
            "B=$A; cd /var; exit 3",
            End::Exited(3),
            SessionEffect::Renewed,
        ),
        ("exec true", End::Exited(0), SessionEffect::Restored),
        (
            "exec /no/such 2>/dev/null",
            End::Exited(127),
            SessionEffect::Restored,
        ),
        ("kill -9 $$", End::Signalled(9), SessionEffect::Restored),
        (
            "break; continue; return 4",
            End::Exited(2),
            SessionEffect::Kept,
        ),
        ("echo 'unfinished", End::Exited(2), SessionEffect::Kept),
        (
            "set -e; false; echo no",
            End::Exited(1),
            SessionEffect::Renewed,
        ),
        ("set +e; false; true", End::Exited(0), SessionEffect::Kept),
        (
            "set -u; set -f; set -C; set -x; echo $A 2>/dev/null",
            End::Exited(0),
            SessionEffect::Kept,
        ),
        (
            "set +u +f +C +x; IFS=4; trap 'echo bye' EXIT",
            End::Exited(0),
            SessionEffect::Kept,
        ),
        ("exit 6", End::Exited(6), SessionEffect::Restored),
        (
            "exec >/dev/null 2>&1 0<&-; trap - EXIT",
            End::Exited(0),
            SessionEffect::Kept,
        ),
    ] {
        let done = client.in_session(session, script);
        assert_eq!(
            (done.ended.end, done.ended.session),
            (end, effect),
            "{script}: {done:?}"
        );
        let done = client.in_session(session, "echo $A $B $PWD; f");
        assert_eq!(done.text(), "1 1 /var\nf\n", "after {script}: {done:?}");
    }
    client.in_session(
        session,
        "big=$(head -c 10000000 /dev/zero | tr '\\0' x); export A=7",
    );
    client.in_session(session, "kill -9 $$");
    assert_eq!(
        client.in_session(session, "echo ${#big} $A").text(),
        "10000000 7\n"
    );
}

#[test]
fn a_timeout_kills_the_command_and_not_what_was_there() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    client.in_session(
        session,
        "cd /usr; A=5; (while :; do sleep 66; done) & sleep 66 &",
    );
    wait_until("the background", || agent.count("sleep 66") == 2);
    // What is older is told by the kernel's clock ticks, of 10 ms.
    client.in_session(session, "sleep 0.1");
    for script in [
        "setsid sleep 77 & echo on; A=6; sleep 77; A=8",
        "while :; do :; done",
    ] {
        let spec = RunSpec {
            session,
            timeout_ms: 500,
            ..RunSpec::shell(script)
        };
        let done = client.run(spec).unwrap();
        assert!(
            done.ended.timed_out && done.ended.killed > 0 && done.ended.survivors == 0,
            "{done:?}"
        );
        assert_eq!(done.ended.session, SessionEffect::Restored);
        assert_eq!(agent.count("sleep 77"), 0);
        assert_eq!(agent.count("sleep 66"), 2, "{:?}", agent.processes());
        assert_eq!(
            client.in_session(session, "echo $A $PWD").text(),
            "5 /usr\n"
        );
    }
    client.number(&ToAgent::SessionClose(session)).unwrap();
    wait_until("the session's end", || agent.count("sleep 66") == 0);
}

#[test]
fn background_output_stays_out_of_later_commands() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    let done = client.in_session(session, "(while sleep 0.01; do echo noise; done) & echo on");
    assert!(done.text().contains("on\n"));
    for _ in 0..20 {
        assert_eq!(
            client.in_session(session, "sleep 0.03; echo clean").text(),
            "clean\n"
        );
    }
}

#[test]
fn another_users_session_is_that_users() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(Some("nobody"));
    assert_eq!(client.in_session(session, "id -u; A=3").text(), "65534\n");
    client.in_session(session, "kill -9 $$");
    assert_eq!(
        client.in_session(session, "id -u; echo $A").text(),
        "65534\n3\n"
    );
    let spec = RunSpec {
        session,
        ..RunSpec::shell("cat")
    };
    assert_eq!(client.run_with(spec, b"fed").unwrap().stdout, b"fed");
}

#[test]
fn a_session_is_listed_busy_and_closed() {
    let agent = Agent::new();
    let mut client = agent.client();
    let session = client.open_session(None);
    let id = client.start(RunSpec {
        session,
        ..RunSpec::shell("echo on; sleep 77")
    });
    loop {
        if matches!(client.next(id).unwrap(), ToClient::Data(..)) {
            break;
        }
    }
    match client.run(RunSpec {
        session,
        ..RunSpec::shell("true")
    }) {
        Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::Busy),
        other => panic!("{other:?}"),
    }
    let ToClient::Sessions(sessions) = client.ask(&ToAgent::SessionList).unwrap() else {
        panic!()
    };
    assert!(sessions.len() == 1 && sessions[0].busy && sessions[0].session == session);
    client.number(&ToAgent::SessionClose(session)).unwrap();
    assert!(client.finish(id).unwrap().ended.cancelled);
    let ToClient::Sessions(sessions) = client.ask(&ToAgent::SessionList).unwrap() else {
        panic!()
    };
    assert!(sessions.is_empty());
    assert_eq!(agent.count("sleep 77"), 0);
    let spec = SessionSpec {
        cwd: Some("/no/such".into()),
        env: Vec::new(),
        user: None,
        login: false,
    };
    match client.number(&ToAgent::SessionOpen(spec)) {
        Err(ClientError::Failed(failed)) => assert_eq!(failed.failure, Failure::Directory),
        other => panic!("{other:?}"),
    }
}
