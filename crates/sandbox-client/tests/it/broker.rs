use crate::agent::{PATIENCE, behave};
use sandbox_agent::wire::{OnDisconnect, RunSpec};
use sandbox_client::broker::{
    BrokerError, OpenFailure, Opened, Opener, Place, Served, connect, serve, stop,
};
use sandbox_client::{Client, Event};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_mins(10);

/// Streams to agents of the test's own, and how each was got: by the sandbox's name, or by a doorway.
#[derive(Default, Clone)]
struct Doubles(Arc<Mutex<Vec<String>>>);

impl Doubles {
    fn opened(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn stream(&self, by: &str) -> Opened<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>> {
        self.0.lock().unwrap().push(by.to_owned());
        let (host, agent) = duplex(1 << 16);
        tokio::spawn(behave(agent));
        let (reader, writer) = tokio::io::split(host);
        // The double's hash is all sevens.
        let hash = if by == "impostor" {
            vec![8]
        } else {
            vec![7; 8]
        };
        Opened {
            reader,
            writer,
            hash,
        }
    }
}

impl Opener for Doubles {
    type Reader = ReadHalf<DuplexStream>;
    type Writer = WriteHalf<DuplexStream>;
    type Found = String;

    /// `name:a` is another name of `a`.
    async fn find(&self, sandbox: &str) -> Result<(String, String), (OpenFailure, String)> {
        if sandbox == "missing" {
            return Err((
                OpenFailure::NotFound,
                "no sandbox is called missing".to_owned(),
            ));
        }
        let name = sandbox.trim_start_matches("name:").to_owned();
        Ok((name.clone(), name))
    }

    async fn open(
        &self,
        found: String,
    ) -> Result<Opened<Self::Reader, Self::Writer>, (OpenFailure, String)> {
        Ok(self.stream(&found))
    }

    async fn enter(&self, doorway: &str) -> Option<Opened<Self::Reader, Self::Writer>> {
        (doorway != "closed").then(|| self.stream(doorway))
    }
}

type Serving = JoinHandle<Result<Served, BrokerError>>;

async fn serving(place: &Place, build: &'static str, idle: Duration) -> (Doubles, Serving) {
    let doubles = Doubles::default();
    let (ready, is_ready) = oneshot::channel();
    let task = tokio::spawn({
        let (place, doubles) = (place.clone(), doubles.clone());
        async move { serve(&place, build, idle, doubles, || ready.send(()).unwrap()).await }
    });
    is_ready.await.unwrap();
    (doubles, task)
}

/// What says that it serves; whoever does is there already, or is about to be.
fn nothing_to_start() -> Command {
    let mut command = Command::new("/bin/echo");
    command.arg("ready");
    command
}

async fn client(place: &Place, sandbox: &str) -> Result<Client, BrokerError> {
    connect(place, "build", sandbox, None, PATIENCE, nothing_to_start).await
}

fn place() -> (tempfile::TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().join("talaria"), "engine");
    (dir, place)
}

async fn said(client: &Client, what: &str) -> Vec<u8> {
    let running = client.run(&RunSpec::shell(what)).unwrap();
    running.collect(1 << 20).await.unwrap().stdout
}

#[tokio::test]
async fn many_clients_share_one_stream() {
    let (_dir, place) = place();
    let (doubles, _task) = serving(&place, "build", LONG).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(client(&place, "a").await.unwrap());
    }
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(
            said(client, &format!("{number}")).await,
            number.to_string().as_bytes()
        );
    }
    client(&place, "b").await.unwrap();
    assert_eq!(doubles.opened().len(), 2);
}

#[tokio::test]
async fn a_doorway_is_for_the_stream_that_is_opened_and_no_other() {
    let (_dir, place) = place();
    let (doubles, _task) = serving(&place, "build", LONG).await;
    let asks = [
        ("a", Some("here")),
        ("a", Some("there")),
        ("a", None),
        ("b", Some("closed")),
        // An agent that is another one than it should be may be another sandbox's.
        ("c", Some("impostor")),
    ];
    for (sandbox, doorway) in asks {
        let client = connect(
            &place,
            "build",
            sandbox,
            doorway,
            PATIENCE,
            nothing_to_start,
        )
        .await;
        assert_eq!(said(&client.unwrap(), "well").await, b"well");
    }
    assert_eq!(doubles.opened(), ["here", "b", "impostor", "c"]);
    let spaced = Some("two words");
    let refused = connect(&place, "build", "a", spaced, PATIENCE, nothing_to_start).await;
    assert!(matches!(refused, Err(BrokerError::Open { .. })));
}

#[tokio::test]
async fn whatever_a_sandbox_is_called_its_stream_is_one() {
    let (_dir, place) = place();
    let (doubles, task) = serving(&place, "build", LONG).await;
    let mut clients = Vec::new();
    for name in ["name:a", "a", "name:a", "b", "name:b", "name:name:b"] {
        clients.push(client(&place, name).await.unwrap());
        let last = clients.last().unwrap();
        assert_eq!(said(last, name).await, name.as_bytes());
    }
    assert_eq!(doubles.opened(), ["a", "b"]);
    // Many at once, under either name.
    let mut many = tokio::task::JoinSet::new();
    for name in ["c", "name:c"].into_iter().cycle().take(20) {
        let place = place.clone();
        many.spawn(async move { client(&place, name).await.is_ok() });
    }
    assert!(many.join_all().await.into_iter().all(|there| there));
    assert_eq!(doubles.opened(), ["a", "b", "c"]);
    task.abort();
}

#[tokio::test]
async fn a_client_that_goes_leaves_the_others_alone() {
    let (_dir, place) = place();
    let (doubles, _task) = serving(&place, "build", LONG).await;
    let (one, other) = (
        client(&place, "a").await.unwrap(),
        client(&place, "a").await.unwrap(),
    );
    let mut staying = other.run(&RunSpec::shell("hang")).unwrap();
    assert_eq!(staying.next().await.unwrap(), Some(Event::Started(2)));
    let mut going = one.run(&RunSpec::shell("hang")).unwrap();
    let mut kept = RunSpec::shell("hang");
    kept.on_disconnect = OnDisconnect::Keep;
    let mut also_going = one.run(&kept).unwrap();
    assert_eq!(going.next().await.unwrap(), Some(Event::Started(2)));
    assert_eq!(also_going.next().await.unwrap(), Some(Event::Started(2)));
    drop((going, also_going, one));
    assert_eq!(said(&other, "still here").await, b"still here");
    staying.control().cancel();
    assert!(matches!(
        staying.next().await.unwrap(),
        Some(Event::Ended(_))
    ));
    assert_eq!(doubles.opened().len(), 1);
}

#[tokio::test]
async fn an_agent_that_floods_loses_its_clients_and_no_others() {
    let (_dir, place) = place();
    let (doubles, _task) = serving(&place, "build", LONG).await;
    let (bad, good) = (
        client(&place, "bad").await.unwrap(),
        client(&place, "good").await.unwrap(),
    );
    let flooded = bad.run(&RunSpec::shell("flood")).unwrap();
    bad.until_lost().await;
    drop(flooded);
    assert_eq!(said(&good, "fine").await, b"fine");
    // The next one gets a stream of its own.
    let again = client(&place, "bad").await.unwrap();
    assert_eq!(said(&again, "again").await, b"again");
    assert_eq!(doubles.opened().len(), 3);
}

#[tokio::test]
async fn a_sandbox_that_is_not_there_is_named() {
    let (_dir, place) = place();
    let (_doubles, _task) = serving(&place, "build", LONG).await;
    let Err(BrokerError::Open { failure, text }) = client(&place, "missing").await else {
        panic!("it was found");
    };
    assert_eq!(failure, OpenFailure::NotFound);
    assert_eq!(text, "no sandbox is called missing");
}

#[tokio::test]
async fn another_agent_than_was_given_is_not_spoken_to() {
    let (_dir, place) = place();
    let (_doubles, _task) = serving(&place, "build", LONG).await;
    let Err(BrokerError::Open { failure, .. }) = client(&place, "impostor").await else {
        panic!("it was spoken to");
    };
    assert_eq!(failure, OpenFailure::NoAgent);
}

#[tokio::test]
async fn it_ends_when_nobody_has_come_for_a_while() {
    let (_dir, place) = place();
    let (_doubles, task) = serving(&place, "build", Duration::from_millis(50)).await;
    let client = client(&place, "a").await.unwrap();
    assert_eq!(said(&client, "x").await, b"x");
    assert!(!task.is_finished());
    drop(client);
    assert_eq!(task.await.unwrap().unwrap(), Served::Idle);
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn it_ends_when_it_is_asked_to() {
    let (_dir, place) = place();
    assert!(!stop(&place, "build").await.unwrap());
    let (_doubles, task) = serving(&place, "build", LONG).await;
    assert!(stop(&place, "build").await.unwrap());
    assert_eq!(task.await.unwrap().unwrap(), Served::Asked);
}

#[tokio::test]
async fn one_place_has_one_broker_and_a_killed_one_leaves_it() {
    let (_dir, place) = place();
    let (_doubles, task) = serving(&place, "build", LONG).await;
    let second = serve(&place, "build", LONG, Doubles::default(), || {}).await;
    assert_eq!(second.unwrap(), Served::Taken);
    // As SIGKILL would: the socket's file stays.
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(place.socket().exists());
    let (_doubles, _task) = serving(&place, "build", LONG).await;
    let client = client(&place, "a").await.unwrap();
    assert_eq!(said(&client, "x").await, b"x");
}

#[tokio::test]
async fn another_build_gets_a_broker_of_its_own() {
    let (_dir, place) = place();
    let (_doubles, old) = serving(&place, "old", LONG).await;
    let staying = connect(&place, "old", "a", None, PATIENCE, nothing_to_start)
        .await
        .unwrap();
    let (started, place_of_new) = (Arc::new(AtomicUsize::new(0)), place.clone());
    let runtime = tokio::runtime::Handle::current();
    let new = {
        let started = Arc::clone(&started);
        connect(&place, "build", "a", None, PATIENCE, move || {
            started.fetch_add(1, Ordering::SeqCst);
            let place = place_of_new.clone();
            runtime.spawn(
                async move { serve(&place, "build", LONG, Doubles::default(), || {}).await },
            );
            nothing_to_start()
        })
        .await
        .unwrap()
    };
    assert!(started.load(Ordering::SeqCst) >= 1);
    assert_eq!(said(&new, "new").await, b"new");
    // The old one serves whom it has, and ends with them.
    assert_eq!(said(&staying, "old").await, b"old");
    assert!(!old.is_finished());
    drop(staying);
    assert_eq!(old.await.unwrap().unwrap(), Served::Asked);
}

#[tokio::test]
async fn one_that_cannot_serve_is_not_waited_for() {
    let (_dir, place) = place();
    let begun = Instant::now();
    let unfit = || Command::new("/bin/false");
    let failed = connect(&place, "build", "a", None, PATIENCE, unfit).await;
    assert!(matches!(failed, Err(BrokerError::Unfit(_))), "{failed:?}");
    assert!(failed.unwrap_err().is_of_the_broker());
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn one_that_hangs_at_its_start_is_given_up_long_before_a_command_would_be() {
    let (_dir, place) = place();
    let begun = Instant::now();
    let hung = || {
        let mut command = Command::new("/bin/sleep");
        command.arg("8");
        command
    };
    let failed = connect(&place, "build", "a", None, PATIENCE, hung).await;
    assert!(matches!(failed, Err(BrokerError::Unfit(_))), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(8));
}
