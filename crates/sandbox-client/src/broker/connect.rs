//! How a program gets to its user's broker.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::place::{Place, PlaceError};
use super::preface::{Ask, LONGEST, OpenFailure, Reply, Wish, read_line};
use crate::client::Client;
use crate::connection::Patience;
use crate::error::ConnectError;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one may take to start.
const STARTING: Duration = Duration::from_secs(5);

/// How long to wait before looking again for a broker that another program has just started.
const LOOK: Duration = Duration::from_millis(5);
/// The longest time between two tries to start one.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// Why there is no connection through a broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Its directory is not as it should be.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It cannot be started.
    #[error("cannot start the broker")]
    Start(#[source] std::io::Error),
    /// It was started, and ended or hung before it could serve.
    #[error("no broker can be started; what it has to say is in {0}")]
    Unfit(String),
    /// It was started and does not serve.
    #[error("the broker does not answer; what it has to say is in {0}")]
    Silent(String),
    /// Its socket fails.
    #[error("the connection to the broker failed")]
    Io(#[source] std::io::Error),
    /// The socket is another user's.
    #[error("the broker's socket is answered by user {0}")]
    NotOurs(u32),
    /// It answered with something else than an answer.
    #[error("what answers at the broker's socket is no broker")]
    NotABroker,
    /// It has no connection to that sandbox's agent.
    #[error("{text}")]
    Open {
        /// Of what kind.
        failure: OpenFailure,
        /// In words.
        text: String,
    },
    /// It has, and the agent does not answer through it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl BrokerError {
    /// Whether the sandbox may still be had without a broker.
    #[must_use]
    pub fn is_of_the_broker(&self) -> bool {
        !matches!(self, Self::Open { .. } | Self::Connect(_))
    }
}

/// Speaks to a sandbox's agent through the broker of this place, which is started by `command`
/// where there is none. `doorway` is where the agent of a new sandbox waits for its first client, as
/// the broker's [`Opener`](super::Opener) understands it.
///
/// The command is to call [`serve`](super::serve), in a session of its own, and when it is ready, to
/// write something to its stdout and close it. One that ends without a word cannot serve, and is not
/// waited for.
///
/// # Errors
///
/// [`BrokerError`]
pub async fn connect(
    place: &Place,
    build: &str,
    sandbox: &str,
    doorway: Option<&str>,
    patience: Patience,
    command: impl Fn() -> Command,
) -> Result<Client, BrokerError> {
    let ask = Ask {
        build: build.to_owned(),
        wish: Wish::Open(sandbox.to_owned(), doorway.map(str::to_owned)),
    };
    let line = ask.to_line();
    if line.len() > LONGEST || Ask::parse(line.trim_end_matches('\n')).as_ref() != Some(&ask) {
        let text = "a sandbox's name has neither spaces nor more than 4000 bytes".to_owned();
        let failure = OpenFailure::NotFound;
        return Err(BrokerError::Open { failure, text });
    }
    let until = Instant::now() + PATIENCE;
    let mut look = LOOK;
    let mut started = false;
    loop {
        if Instant::now() > until {
            return Err(BrokerError::Silent(place.log().display().to_string()));
        }
        let Some(mut stream) = reach(place).await? else {
            if started {
                // Another one has the place and is about to serve, or has just left; or none can.
                tokio::time::sleep(look).await;
                look = (look * 2).min(LONGEST_LOOK);
            }
            if !start(command()).await? {
                return Err(BrokerError::Unfit(place.log().display().to_string()));
            }
            started = true;
            continue;
        };
        match talk(&mut stream, &line).await {
            Ok(Some(Reply::Ok)) => {
                let (reader, writer) = stream.into_split();
                let client = Client::over(reader, writer, patience).await?;
                return Ok(client);
            }
            Ok(Some(Reply::Other(_))) => {}
            Ok(Some(Reply::Error(failure, text))) => {
                return Err(BrokerError::Open { failure, text });
            }
            Ok(None) => return Err(BrokerError::NotABroker),
            // It ended between two words; the next one will answer.
            Err(BrokerError::Io(error)) if is_an_end(&error) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tells the broker of a place, where there is one, where the agent of a new sandbox waits: whether
/// it has come there, or has a connection to that sandbox already.
///
/// # Errors
///
/// [`BrokerError`]
pub async fn introduce(
    place: &Place,
    build: &str,
    sandbox: &str,
    doorway: &str,
) -> Result<bool, BrokerError> {
    let Some(mut stream) = reach(place).await? else {
        return Ok(false);
    };
    let ask = Ask {
        build: build.to_owned(),
        wish: Wish::Open(sandbox.to_owned(), Some(doorway.to_owned())),
    };
    Ok(matches!(
        talk(&mut stream, &ask.to_line()).await?,
        Some(Reply::Ok)
    ))
}

/// Asks the broker of a place to end: whether there was one.
///
/// # Errors
///
/// [`BrokerError`]
pub async fn stop(place: &Place, build: &str) -> Result<bool, BrokerError> {
    let Some(mut stream) = reach(place).await? else {
        return Ok(false);
    };
    let ask = Ask {
        build: build.to_owned(),
        wish: Wish::Stop,
    };
    match talk(&mut stream, &ask.to_line()).await? {
        Some(Reply::Ok | Reply::Other(_)) => Ok(true),
        _ => Err(BrokerError::NotABroker),
    }
}

fn is_an_end(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Connects to the socket; nothing where nobody listens.
async fn reach(place: &Place) -> Result<Option<UnixStream>, BrokerError> {
    match place.check() {
        Err(PlaceError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(None);
        }
        checked => checked?,
    }
    let stream = match UnixStream::connect(place.socket()).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(BrokerError::Io(error)),
    };
    let peer = stream.peer_cred().map_err(BrokerError::Io)?.uid();
    if peer != rustix::process::geteuid().as_raw() {
        return Err(BrokerError::NotOurs(peer));
    }
    Ok(Some(stream))
}

async fn talk(stream: &mut UnixStream, line: &str) -> Result<Option<Reply>, BrokerError> {
    let talk = async {
        stream.write_all(line.as_bytes()).await?;
        read_line(stream).await
    };
    match timeout(PATIENCE, talk).await {
        Err(_) => Err(BrokerError::Io(ErrorKind::TimedOut.into())),
        Ok(Err(error)) => Err(BrokerError::Io(error)),
        Ok(Ok(line)) => Ok(line.as_deref().and_then(Reply::parse)),
    }
}

/// Starts a broker and waits until it closes its stdout: whether it serves, or another one does.
async fn start(mut command: Command) -> Result<bool, BrokerError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(BrokerError::Start)?;
    let Some(mut stdout) = child.stdout.take() else {
        return Ok(true);
    };
    // What cannot be read was not said.
    let said = move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap_or(0) > 0;
    let serves = if let Ok(said) = timeout(STARTING, tokio::task::spawn_blocking(said)).await {
        said.unwrap_or(false)
    } else {
        child.kill().map_err(BrokerError::Start)?;
        false
    };
    // One that has ended would stay a zombie; one that serves goes on.
    child.try_wait().map_err(BrokerError::Start)?;
    Ok(serves)
}
