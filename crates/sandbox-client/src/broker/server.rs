//! The broker itself.

use std::collections::HashMap;
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbox_agent::wire::{ClientHello, Decoder, ToAgent, ToClient, VERSION};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::connect::BrokerError;
use super::outbox::Outbox;
use super::place::{Place, PlaceError};
use super::preface::{Ask, OpenFailure, Reply, Wish, read_line};
use super::upstream::Upstream;
use crate::connection::{Patience, fill};

/// How long to wait where no connection can be taken.
const BREATH: Duration = Duration::from_millis(20);

/// How long a client may take to say what it wants.
const ASKING: Duration = Duration::from_secs(5);

/// Gets hold of agents.
pub trait Opener: Send + Sync + 'static {
    /// From the agent.
    type Reader: AsyncRead + Send + Unpin + 'static;
    /// To the agent.
    type Writer: AsyncWrite + Send + Unpin + 'static;
    /// A sandbox that was found.
    type Found: Send;

    /// Finds a sandbox by a name that clients call it, and the one name that it has itself.
    fn find(
        &self,
        sandbox: &str,
    ) -> impl Future<Output = Result<(String, Self::Found), (OpenFailure, String)>> + Send;

    /// Opens a stream to the agent of a sandbox.
    fn open(
        &self,
        found: Self::Found,
    ) -> impl Future<Output = Result<Opened<Self::Reader, Self::Writer>, (OpenFailure, String)>> + Send;

    /// Opens one to the agent of a new sandbox where a client says that it waits; nothing where it
    /// does not.
    fn enter(
        &self,
        doorway: &str,
    ) -> impl Future<Output = Option<Opened<Self::Reader, Self::Writer>>> + Send;
}

/// A stream to an agent.
#[derive(Debug)]
pub struct Opened<R, W> {
    /// From the agent.
    pub reader: R,
    /// To the agent.
    pub writer: W,
    /// How the SHA-256 of the agent begins, in bytes, where that is known. One that says that it
    /// is another program is not spoken to.
    pub hash: Vec<u8>,
}

/// Why a broker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Served {
    /// Another one has the place.
    Taken,
    /// It had no client for a while.
    Idle,
    /// It was asked to, or another build wants the place.
    Asked,
}

/// Serves in a place until it is idle for `idle`, asked to end, or replaced by another `build`.
/// `ready` is called once clients can connect, and also where another broker has the place.
///
/// # Errors
///
/// [`BrokerError`] where the place cannot be had.
pub async fn serve<O: Opener>(
    place: &Place,
    build: &str,
    idle: Duration,
    opener: O,
    ready: impl FnOnce(),
) -> Result<Served, BrokerError> {
    place.prepare()?;
    let lock = place.lock()?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            ready();
            return Ok(Served::Taken);
        }
        Err(std::fs::TryLockError::Error(source)) => {
            let path = place.directory().to_owned();
            return Err(PlaceError::Io { path, source }.into());
        }
    }
    let listener = publish(place)?;
    ready();
    let broker = Arc::new(Broker {
        build: build.to_owned(),
        opener,
        upstreams: Mutex::default(),
        clients: watch::Sender::new(0),
        last: AtomicU64::new(0),
        ending: watch::Sender::new(false),
    });
    let served = broker.accept(&listener, idle).await;
    // Nobody finds it any more, and the next one may begin, before those that are left end.
    drop(std::fs::remove_file(place.socket()));
    drop(listener);
    drop(lock);
    let mut clients = broker.clients.subscribe();
    // The sender lives as long as `broker`.
    drop(clients.wait_for(|count| *count == 0).await);
    Ok(served)
}

/// Makes the socket and puts it in the place of whatever a killed broker left there.
fn publish(place: &Place) -> Result<UnixListener, BrokerError> {
    let staging = place.staging();
    let at = |path: &std::path::Path| {
        let path = path.to_owned();
        move |source| BrokerError::Place(PlaceError::Io { path, source })
    };
    match std::fs::remove_file(&staging) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&staging)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&staging).map_err(at(&staging))?;
    // The directory lets nobody else in; this is for where it is moved or shared one day.
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&staging, mode).map_err(at(&staging))?;
    let socket = place.socket();
    std::fs::rename(&staging, &socket).map_err(at(&socket))?;
    Ok(listener)
}

/// Where the connection to one sandbox's agent is; locked while it is being made.
type Berth = Arc<Mutex<Option<Arc<Upstream>>>>;

struct Broker<O> {
    build: String,
    opener: O,
    upstreams: Mutex<HashMap<String, Berth>>,
    clients: watch::Sender<u64>,
    last: AtomicU64,
    ending: watch::Sender<bool>,
}

impl<O: Opener> Broker<O> {
    async fn accept(self: &Arc<Self>, listener: &UnixListener, idle: Duration) -> Served {
        let mut ending = self.ending.subscribe();
        let mut clients = self.clients.subscribe();
        loop {
            let nobody = *clients.borrow_and_update() == 0;
            let quiet = async {
                if nobody {
                    tokio::time::sleep(idle).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream),
                    // Of this process's own making: descriptors, memory. It passes.
                    Err(_) => tokio::time::sleep(BREATH).await,
                },
                _ = ending.changed() => return Served::Asked,
                _ = clients.changed() => {}
                () = quiet => return Served::Idle,
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        let uid = rustix::process::geteuid().as_raw();
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == uid) {
            return;
        }
        let broker = Arc::clone(self);
        self.clients.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            // What goes wrong with a client's socket is the client's end.
            drop(broker.client(stream).await);
            broker.clients.send_modify(|count| *count -= 1);
        });
    }

    async fn client(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let Ok(line) = timeout(ASKING, read_line(&mut stream)).await else {
            return Ok(());
        };
        let Some(ask) = line?.as_deref().and_then(Ask::parse) else {
            return Ok(());
        };
        if ask.build != self.build {
            self.ending.send_replace(true);
            let other = Reply::Other(self.build.clone());
            return stream.write_all(other.to_line().as_bytes()).await;
        }
        let (sandbox, doorway) = match ask.wish {
            Wish::Stop => {
                self.ending.send_replace(true);
                return stream.write_all(Reply::Ok.to_line().as_bytes()).await;
            }
            Wish::Open(sandbox, doorway) => (sandbox, doorway),
        };
        let upstream = match self.upstream(&sandbox, doorway.as_deref()).await {
            Ok(upstream) => upstream,
            Err((failure, text)) => {
                let reply = Reply::Error(failure, text);
                return stream.write_all(reply.to_line().as_bytes()).await;
            }
        };
        stream.write_all(Reply::Ok.to_line().as_bytes()).await?;
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (reader, writer) = stream.into_split();
        let outbox = Arc::new(Outbox::default());
        let hello = ToClient::Hello(upstream.hello().clone());
        outbox.push(|out| hello.encode(0, out));
        tokio::select! {
            () = carry(&upstream, id, reader, &outbox) => {}
            // Where the client reads no more, or its agent is gone and it has been told.
            _ = outbox.drain(writer) => {}
        }
        upstream.leave(id).await;
        Ok(())
    }

    /// The connection to a sandbox's agent, opened where there is none yet.
    async fn upstream(
        &self,
        sandbox: &str,
        doorway: Option<&str>,
    ) -> Result<Arc<Upstream>, (OpenFailure, String)> {
        let berth = self.berth(sandbox).await;
        let mut place = berth.lock().await;
        if let Some(upstream) = alive(place.as_ref()) {
            return Ok(upstream);
        }
        let upstream = self.begin(sandbox, doorway).await?;
        *place = Some(Arc::clone(&upstream));
        Ok(upstream)
    }

    async fn berth(&self, sandbox: &str) -> Berth {
        let mut upstreams = self.upstreams.lock().await;
        // Places of sandboxes that have gone are given back here.
        upstreams.retain(|name, place| {
            name == sandbox
                || place
                    .try_lock()
                    .is_ok_and(|found| alive(found.as_ref()).is_some())
                || Arc::strong_count(place) > 1
        });
        Arc::clone(upstreams.entry(sandbox.to_owned()).or_default())
    }

    async fn begin(
        &self,
        sandbox: &str,
        doorway: Option<&str>,
    ) -> Result<Arc<Upstream>, (OpenFailure, String)> {
        if let Some(doorway) = doorway
            && let Some(opened) = self.opener.enter(doorway).await
            && let Ok(upstream) = greet::<O>(opened).await
        {
            return Ok(upstream);
        }
        let (name, found) = self.opener.find(sandbox).await?;
        if name == sandbox {
            return greet::<O>(self.opener.open(found).await?).await;
        }
        // By its own name, somebody may have got hold of it. Nobody who holds the place of that
        // one waits for another one's.
        let berth = self.berth(&name).await;
        let mut place = berth.lock().await;
        if let Some(upstream) = alive(place.as_ref()) {
            return Ok(upstream);
        }
        let upstream = greet::<O>(self.opener.open(found).await?).await?;
        *place = Some(Arc::clone(&upstream));
        Ok(upstream)
    }
}

fn alive(place: Option<&Arc<Upstream>>) -> Option<Arc<Upstream>> {
    place.filter(|found| !found.is_over()).cloned()
}

/// Greets an agent, and carries frames from then on.
async fn greet<O: Opener>(
    opened: Opened<O::Reader, O::Writer>,
) -> Result<Arc<Upstream>, (OpenFailure, String)> {
    let patience = Patience::default().greeting;
    let (mut reader, mut writer) = (opened.reader, opened.writer);
    let mut decoder = Decoder::<ToClient>::new();
    let no_agent = |text: &str| (OpenFailure::NoAgent, text.to_owned());
    let greeted = timeout(patience, async {
        let hello = ClientHello { version: VERSION };
        let mut bytes = Vec::new();
        ToAgent::Hello(hello).encode(0, &mut bytes);
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        loop {
            if let Some((_, frame)) = decoder.next_frame().map_err(std::io::Error::other)? {
                return Ok::<_, std::io::Error>(Some(frame));
            }
            if fill(&mut reader, &mut decoder).await? == 0 {
                return Ok(None);
            }
        }
    });
    match greeted.await {
        Err(_) => Err(no_agent("its agent does not answer")),
        Ok(Err(error)) => Err(no_agent(&format!("its agent does not answer: {error}"))),
        Ok(Ok(None)) => Err(no_agent("its agent closed the connection")),
        Ok(Ok(Some(ToClient::Hello(hello)))) if hello.version == VERSION => {
            if hello.hash != [0; 32] && !hello.hash.starts_with(&opened.hash) {
                return Err(no_agent("it runs another agent than it was given"));
            }
            Ok(Upstream::begin(reader, writer, decoder, hello))
        }
        Ok(Ok(Some(_))) => Err(no_agent("its agent speaks another protocol")),
    }
}

/// Passes a client's frames on until it ends or breaks the protocol.
async fn carry<R: AsyncRead + Unpin>(
    upstream: &Upstream,
    client: u64,
    mut reader: R,
    outbox: &Arc<Outbox>,
) {
    let mut decoder = Decoder::<ToAgent>::new();
    loop {
        loop {
            match decoder.next_frame() {
                // Both have said who they are.
                Ok(Some((_, ToAgent::Hello(_)))) => {}
                Ok(Some((id, frame))) => {
                    if upstream.send(client, id, frame, outbox).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if !matches!(fill(&mut reader, &mut decoder).await, Ok(1..)) {
            return;
        }
    }
}
