//! The stream itself: who is at the other end, and the two tasks that write and read it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sandbox_agent::wire::{
    AgentHello, ClientHello, Decoder, FrameSet, MAX_REQUESTS, ToAgent, ToClient, VERSION,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use crate::error::{CallError, ConnectError, Lost};
use crate::slot::{Offered, Slot};

/// How much is read at a time, in bytes.
const PIECE: usize = 128 << 10;

/// How much is written at a time where more waits, in bytes.
const BATCH: usize = 256 << 10;

/// How many bytes may wait to be written beside the requests themselves. Credit alone is no bound:
/// an agent may give it and read nothing.
const WAITING: usize = 1 << 20;

/// Bytes that are to be written, and their share of what may wait.
type Queued = (Vec<u8>, Option<OwnedSemaphorePermit>);

/// How long an agent may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until its greeting.
    pub greeting: Duration,
    /// While a request is open, before it is asked whether it is still there; and as long again
    /// for its answer.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(10),
            silence: Duration::from_secs(5),
        }
    }
}

/// What the tasks and all clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hello: AgentHello,
    pub(crate) patience: Patience,
    out: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    lost: watch::Sender<Option<Lost>>,
}

#[derive(Debug, Default)]
struct State {
    last: u32,
    open: HashMap<u32, Arc<Slot>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a request: its id and where its answers come.
    pub(crate) fn open(&self) -> Result<(u32, Arc<Slot>), CallError> {
        let slot = Arc::new(Slot::default());
        let mut state = self.state();
        // Looked at under the lock: whoever ends the connection takes it after this is set.
        if let Some(lost) = &*self.lost.borrow() {
            return Err(CallError::Lost(lost.clone()));
        }
        if state.open.len() >= MAX_REQUESTS {
            return Err(CallError::TooMany);
        }
        loop {
            state.last = state.last.wrapping_add(1);
            // 0 is the connection's own.
            let id = state.last;
            if id != 0 && !state.open.contains_key(&id) {
                state.open.insert(id, Arc::clone(&slot));
                return Ok((id, slot));
            }
        }
    }

    /// Forgets a request that has ended.
    pub(crate) fn close(&self, id: u32) {
        self.state().open.remove(&id);
    }

    /// Sends a frame. Where the connection is over, its slot says so.
    pub(crate) fn send(&self, id: u32, frame: &ToAgent) {
        let mut bytes = Vec::new();
        frame.encode(id, &mut bytes);
        self.send_encoded(bytes);
    }

    pub(crate) fn send_encoded(&self, bytes: Vec<u8>) {
        // The writer goes with the connection, and then every slot has been told.
        drop(self.out.send((bytes, None)));
    }

    /// Sends a frame once not too much waits before it.
    pub(crate) async fn send_patiently(&self, id: u32, frame: &ToAgent) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        frame.encode(id, &mut bytes);
        let share = u32::try_from(bytes.len().min(WAITING)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(share).await;
        // It is closed when the connection is lost.
        let permit = permit.map_err(|_| self.lost().unwrap_or(Lost::Closed))?;
        drop(self.out.send((bytes, Some(permit))));
        Ok(())
    }

    /// Why the connection is over, once it is.
    pub(crate) fn lost(&self) -> Option<Lost> {
        self.lost.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Lost>> {
        self.lost.subscribe()
    }

    fn end(&self, lost: &Lost) {
        let mut state = self.state();
        self.lost.send_if_modified(|before| {
            let first = before.is_none();
            before.get_or_insert_with(|| lost.clone());
            first
        });
        for (_, slot) in state.open.drain() {
            slot.end(lost.clone());
        }
        self.room.close();
    }

    fn slot(&self, id: u32) -> Option<Arc<Slot>> {
        self.state().open.get(&id).cloned()
    }

    fn is_busy(&self) -> bool {
        !self.state().open.is_empty()
    }
}

/// Greets, is greeted, and starts the tasks. They end when the last client is dropped.
pub(crate) async fn begin<R, W>(
    mut reader: R,
    mut writer: W,
    patience: Patience,
) -> Result<Arc<Shared>, ConnectError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut decoder = Decoder::<ToClient>::new();
    let greet = async {
        let mut bytes = Vec::new();
        let hello = ClientHello { version: VERSION };
        ToAgent::Hello(hello).encode(0, &mut bytes);
        writer.write_all(&bytes).await.map_err(io)?;
        writer.flush().await.map_err(io)?;
        loop {
            if let Some((_, frame)) = decoder.next_frame().map_err(Lost::from)? {
                return Ok::<_, Lost>(frame);
            }
            if fill(&mut reader, &mut decoder).await.map_err(io)? == 0 {
                return Err(Lost::Closed);
            }
        }
    };
    let frame = match timeout(patience.greeting, greet).await {
        Err(_) => return Err(ConnectError::Silent(patience.greeting)),
        Ok(frame) => frame.map_err(ConnectError::Lost)?,
    };
    let hello = match frame {
        ToClient::Hello(hello) if hello.version == VERSION => hello,
        ToClient::Hello(hello) => {
            return Err(ConnectError::Version {
                theirs: hello.version,
                ours: VERSION,
            });
        }
        ToClient::Failed(failed) => return Err(ConnectError::Lost(Lost::Refused(failed))),
        _ => return Err(ConnectError::NoGreeting),
    };
    let (out, queued) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        hello,
        patience,
        out,
        room: Arc::new(Semaphore::new(WAITING)),
        state: Mutex::default(),
        lost: watch::Sender::new(None),
    });
    // The tasks hold no client, so that the last one's end is theirs.
    let weak = Arc::downgrade(&shared);
    let mut over = shared.lost.subscribe();
    tokio::spawn(async move {
        let is_over = async {
            // What the last client has left to say is still written, where the agent reads.
            if over.wait_for(Option::is_some).await.is_err() {
                tokio::time::sleep(patience.silence).await;
            }
        };
        let failed = tokio::select! {
            failed = write(writer, queued) => failed,
            () = is_over => Ok(()),
        };
        if let (Some(shared), Err(error)) = (weak.upgrade(), failed) {
            shared.end(&io(error));
        }
    });
    let over = shared.lost.subscribe();
    let weak = Arc::downgrade(&shared);
    tokio::spawn(async move {
        let lost = read(reader, decoder, &weak, over, patience.silence).await;
        if let (Some(shared), Some(lost)) = (weak.upgrade(), lost) {
            shared.end(&lost);
        }
    });
    Ok(shared)
}

/// Reads once into a decoder; 0 at the end of the stream.
pub(crate) async fn fill<R: AsyncRead + Unpin, F: FrameSet>(
    reader: &mut R,
    decoder: &mut Decoder<F>,
) -> std::io::Result<usize> {
    let input = decoder.input();
    input.reserve(PIECE);
    reader.take(2 * PIECE as u64).read_buf(input).await
}

fn io(error: std::io::Error) -> Lost {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::UnexpectedEof => Lost::Closed,
        _ => Lost::Io(Arc::new(error)),
    }
}

/// Writes what is queued until nobody can queue more, then closes.
async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queued: mpsc::UnboundedReceiver<Queued>,
) -> std::io::Result<()> {
    while let Some((mut bytes, share)) = queued.recv().await {
        let mut shares = vec![share];
        while bytes.len() < BATCH {
            let Ok((more, share)) = queued.try_recv() else {
                break;
            };
            bytes.extend_from_slice(&more);
            shares.push(share);
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}

/// Reads frames and gives each to its request, until the connection or its last client ends. Why
/// it ended, where that is not known yet.
async fn read<R: AsyncRead + Unpin>(
    mut reader: R,
    mut decoder: Decoder<ToClient>,
    shared: &Weak<Shared>,
    mut over: watch::Receiver<Option<Lost>>,
    silence: Duration,
) -> Option<Lost> {
    let mut asked = false;
    loop {
        match deliver(&mut decoder, shared).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(lost) => return Some(lost),
        }
        let read = tokio::select! {
            // Either the writer has noted an end, or there is no client any more.
            _ = over.changed() => return None,
            read = timeout(silence, fill(&mut reader, &mut decoder)) => read,
        };
        match read {
            Ok(Ok(0)) => return Some(Lost::Closed),
            Ok(Ok(_)) => asked = false,
            Ok(Err(error)) => return Some(io(error)),
            Err(_) => {
                let shared = shared.upgrade()?;
                if !shared.is_busy() {
                    continue;
                }
                if asked {
                    return Some(Lost::Silent(2 * silence));
                }
                asked = true;
                shared.send(0, &ToAgent::Ping);
            }
        }
    }
}

/// Gives all frames that are there to their requests; false when there is no client any more.
async fn deliver(decoder: &mut Decoder<ToClient>, shared: &Weak<Shared>) -> Result<bool, Lost> {
    while let Some((id, frame)) = decoder.next_frame()? {
        let Some(shared) = shared.upgrade() else {
            return Ok(false);
        };
        if id == 0 {
            if let ToClient::Failed(failed) = frame {
                return Err(Lost::Refused(failed));
            }
            continue;
        }
        // Answers to requests that nobody waits for any more are nobody's.
        let Some(slot) = shared.slot(id) else {
            continue;
        };
        if is_last(&frame) {
            shared.close(id);
        }
        // The owner of a request keeps the client alive; it is not for this task to do.
        drop(shared);
        slot.room().await;
        if slot.offer(frame) == Offered::Flood {
            return Err(Lost::Flood);
        }
    }
    Ok(true)
}

/// Whether nothing follows a frame for its request.
pub(crate) fn is_last(frame: &ToClient) -> bool {
    !matches!(
        frame,
        ToClient::Data(..)
            | ToClient::Started(_)
            | ToClient::Eof(_)
            | ToClient::Credit(_)
            | ToClient::Entry(_)
    )
}
