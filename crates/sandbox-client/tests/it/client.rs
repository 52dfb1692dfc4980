use crate::agent::{Agent, PATIENCE, connected, hello};
use rstest::rstest;
use sandbox_agent::wire::{Channel, Get, Input, RunSpec, ToClient, VERSION};
use sandbox_client::{CallError, Client, ConnectError, Event, Lost, Received};
use std::time::Duration;
use tokio::io::duplex;

#[tokio::test]
async fn a_command_runs_and_what_it_says_is_kept() {
    let client = connected().await;
    let running = client.run(&RunSpec::shell("hello")).unwrap();
    let collected = running.collect(1 << 20).await.unwrap();
    assert_eq!(collected.stdout, b"hello");
    assert_eq!(collected.ended.end.code(), 3);
}

#[tokio::test]
async fn a_hundred_commands_run_at_once() {
    let client = connected().await;
    let mut running = Vec::new();
    for number in 0..100 {
        let spec = RunSpec::shell(format!("{number}"));
        running.push((number, client.run(&spec).unwrap()));
    }
    for (number, running) in running {
        let collected = running.collect(100).await.unwrap();
        assert_eq!(collected.stdout, number.to_string().as_bytes());
    }
}

#[tokio::test]
async fn stdin_goes_as_there_is_credit() {
    let client = connected().await;
    let mut spec = RunSpec::shell("cat");
    spec.input = Input::Stream;
    let running = client.run(&spec).unwrap();
    let control = running.control();
    let written = vec![5; 3 << 20];
    let write = async {
        control.write(&written).await.unwrap();
        control.close_stdin();
    };
    let (collected, ()) = tokio::join!(running.collect(4 << 20), write);
    assert_eq!(collected.unwrap().stdout, written);
}

#[tokio::test]
async fn credit_from_an_agent_that_reads_nothing_costs_no_memory() {
    let client = connected().await;
    let mut spec = RunSpec::shell("credit");
    spec.input = Input::Stream;
    let running = client.run(&spec).unwrap();
    let control = running.control();
    let piece = vec![0; 64 << 10];
    let mut taken = 0;
    let lost = loop {
        match control.write(&piece).await {
            Ok(()) => taken += piece.len(),
            Err(lost) => break lost,
        }
        assert!(taken < 8 << 20, "it takes whatever comes");
    };
    assert!(matches!(lost, Lost::Silent(_)), "{lost:?}");
    assert!(taken <= 2 << 20, "{taken}");
}

#[tokio::test]
async fn a_cancelled_command_still_ends() {
    let client = connected().await;
    let mut running = client.run(&RunSpec::shell("hang")).unwrap();
    assert_eq!(running.next().await.unwrap(), Some(Event::Started(2)));
    running.control().cancel();
    let Some(Event::Ended(ended)) = running.next().await.unwrap() else {
        panic!("no end");
    };
    assert!(ended.cancelled);
    assert_eq!(running.next().await.unwrap(), None);
}

#[rstest]
#[case("flood")]
#[case("long")]
#[case("garbage")]
#[tokio::test]
async fn an_agent_that_breaks_the_protocol_loses_the_connection(#[case] how: &str) {
    let client = connected().await;
    // A request that reads nothing, so that what comes for it piles up.
    let waiting = client.run(&RunSpec::shell(how)).unwrap();
    let other = client.run(&RunSpec::shell("hang")).unwrap();
    let lost = client.until_lost().await;
    assert!(matches!(lost, Lost::Flood | Lost::Wire(_)), "{lost:?}");
    assert!(matches!(
        other.collect(100).await,
        Err(CallError::Lost(Lost::Flood | Lost::Wire(_)))
    ));
    drop(waiting);
    assert!(matches!(
        client.run(&RunSpec::shell("x")),
        Err(CallError::Lost(_))
    ));
}

#[rstest]
#[case("others")]
#[case("unknown")]
#[tokio::test]
async fn what_is_not_known_is_skipped(#[case] how: &str) {
    let client = connected().await;
    let collected = client.run(&RunSpec::shell(how)).unwrap().collect(100).await;
    assert_eq!(collected.unwrap().ended.end.code(), 0);
}

#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    let client = connected().await;
    let running = client.run(&RunSpec::shell("other answer")).unwrap();
    assert!(matches!(
        running.collect(100).await,
        Err(CallError::Unexpected)
    ));
}

#[tokio::test]
async fn files_that_nobody_looks_at_wait() {
    let client = connected().await;
    let get = Get {
        path: "/".into(),
        user: None,
    };
    let mut receiving = client.get(&get).unwrap();
    let mut count = 0;
    while let Some(Received::Entry(_)) = receiving.next().await.unwrap() {
        count += 1;
    }
    assert_eq!(count, 10_000);
}

#[tokio::test]
async fn a_silent_agent_is_noticed() {
    let (host, stream) = duplex(1 << 16);
    let (reader, writer) = tokio::io::split(host);
    let silent = async {
        let mut agent = Agent::new(stream);
        agent.greet().await;
        agent
    };
    let (client, agent) = tokio::join!(Client::over(reader, writer, PATIENCE), silent);
    let client = client.unwrap();
    let answered = client.run(&RunSpec::shell("anything")).unwrap();
    assert!(matches!(
        answered.collect(100).await,
        Err(CallError::Lost(Lost::Silent(_)))
    ));
    drop(agent);
}

#[tokio::test]
async fn an_agent_that_talks_on_cannot_hold_a_question_up() {
    let (host, stream) = duplex(1 << 16);
    let (reader, writer) = tokio::io::split(host);
    let talking = tokio::spawn(async move {
        let mut agent = Agent::new(stream);
        agent.greet().await;
        loop {
            agent.send(77, &ToClient::Pong).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let client = Client::over(reader, writer, PATIENCE).await.unwrap();
    assert!(matches!(client.status().await, Err(CallError::Overdue(_))));
    talking.abort();
}

#[rstest]
#[case(ToClient::Hello(hello(VERSION + 1)))]
#[case(ToClient::Pong)]
#[tokio::test]
async fn an_agent_of_another_kind_is_not_spoken_to(#[case] first: ToClient) {
    let (host, stream) = duplex(1 << 16);
    let (reader, writer) = tokio::io::split(host);
    let mut agent = Agent::new(stream);
    agent.send(0, &first).await;
    let connected = Client::over(reader, writer, PATIENCE).await;
    assert!(matches!(
        connected,
        Err(ConnectError::Version { .. } | ConnectError::NoGreeting)
    ));
}

#[tokio::test]
async fn the_last_client_closes_the_connection() {
    let (host, stream) = duplex(1 << 16);
    let (reader, writer) = tokio::io::split(host);
    let mut agent = Agent::new(stream);
    let (client, ()) = tokio::join!(Client::over(reader, writer, PATIENCE), agent.greet());
    let client = client.unwrap();
    drop(client.clone());
    drop(client);
    assert!(agent.receive().await.is_none());
}

#[tokio::test]
async fn output_comes_in_order_and_whole() {
    let client = connected().await;
    let mut spec = RunSpec::shell("cat");
    spec.input = Input::Stream;
    let mut running = client.run(&spec).unwrap();
    let control = running.control();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = bytes.clone();
    tokio::spawn(async move {
        for piece in bytes.chunks(777) {
            control.write(piece).await.unwrap();
        }
        control.close_stdin();
    });
    let mut seen = Vec::new();
    while let Some(event) = running.next().await.unwrap() {
        if let Event::Output(Channel::Stdout, bytes) = event {
            seen.extend(bytes);
        }
    }
    assert!(seen == expected);
}
