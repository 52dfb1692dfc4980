//! The byte stream to an agent: an attached exec, without the frames that the engine puts around
//! its output, or beside that exec a connection of our own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sandbox_client::wire::{COME, Offer, STAY};
use sandbox_core::text;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use super::direct::{self, Doorway, Place};
use crate::agent::PROGRAM_PATH;
use crate::connect::Engine;
use crate::error::{Doing as _, Fault, RequestError, tell};
use crate::network::NETWORK;

/// How much of what is said beside the protocol is kept, in bytes.
const MOST_HEARD: usize = 1000;

/// How long an agent that is a container's first process may take to say where it waits.
const STARTING: Duration = Duration::from_secs(1);

/// What the agent's program is to do there.
pub(crate) const CONNECT: [&str; 2] = ["connect", "--direct"];

/// To an agent.
pub type AgentWriter = Pin<Box<dyn AsyncWrite + Send>>;

type Pieces = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// From an agent.
pub struct AgentReader {
    way: Way,
    heard: Heard,
}

enum Way {
    Exec(StdoutReader),
    Direct {
        stream: OwnedReadHalf,
        /// What led there, where an exec did.
        exec: Option<Exec>,
    },
}

/// An exec that has nothing more to say.
pub(super) struct Exec {
    /// With its end, the sandbox has ended, of which a network that is taken away does not tell.
    stdout: StdoutReader,
    /// With its end, the exec's process ends, and the agent knows that nobody is here.
    #[expect(dead_code, reason = "held for its end")]
    stdin: AgentWriter,
}

/// What an attached program, an exec's or a container's first, writes to its stdout.
struct StdoutReader(StreamReader<Pieces, Bytes>);

/// What the engine passes on of an attached program.
pub(crate) type Output =
    Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// What the program that leads to the agent says where it fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn push(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_HEARD.saturating_sub(heard.len()).min(bytes.len());
        heard.extend_from_slice(&bytes[..room]);
    }

    /// On one line, with what a terminal would obey escaped.
    pub(crate) fn text(&self) -> String {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text::line(heard.trim_ascii())
    }
}

impl AgentReader {
    pub(crate) fn heard(&self) -> Heard {
        self.heard.clone()
    }
}

impl std::fmt::Debug for AgentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentReader").finish_non_exhaustive()
    }
}

impl AsyncRead for StdoutReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // Several pieces at a time, as many as there are: fewer turns for those who read.
        let before = buf.filled().len();
        loop {
            match Pin::new(&mut self.0).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.remaining() > 0 && buf.filled().len() > before => {
                    if !matches!(Pin::new(&mut self.0).poll_fill_buf(cx), Poll::Ready(Ok(more)) if !more.is_empty())
                    {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending if buf.filled().len() > before => return Poll::Ready(Ok(())),
                other => return other,
            }
        }
    }
}

impl StdoutReader {
    fn new(output: Output, heard: Heard) -> Self {
        let pieces = output.filter_map(move |piece| {
            let kept = match piece {
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    Some(Ok(message))
                }
                Ok(LogOutput::StdErr { message }) => {
                    heard.push(&message);
                    None
                }
                Ok(LogOutput::StdIn { .. }) => None,
                Err(error) => Some(Err(std::io::Error::other(error))),
            };
            std::future::ready(kept)
        });
        let pieces: Pieces = Box::pin(pieces);
        Self(StreamReader::new(pieces))
    }

    /// Waits for the end of a program that has nothing more to say.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_fill_buf(cx)) {
                Ok(some) if !some.is_empty() => {
                    let count = some.len();
                    Pin::new(&mut self.0).consume(count);
                }
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for AgentReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (stream, exec) = match &mut self.way {
            Way::Exec(stdout) => return Pin::new(stdout).poll_read(cx, buf),
            Way::Direct { stream, exec } => (stream, exec),
        };
        let read = Pin::new(&mut *stream).poll_read(cx, buf);
        let Some(exec) = exec.as_mut().filter(|_| read.is_pending()) else {
            return read;
        };
        ready!(exec.stdout.poll_end(cx));
        // What came last may have come between the two looks.
        let last = Pin::new(stream).poll_read(cx, buf);
        if last.is_pending() {
            return Poll::Ready(Ok(()));
        }
        last
    }
}

impl Engine {
    /// Opens a stream to the agent in a container.
    ///
    /// # Errors
    ///
    /// When the engine refuses. Whether an agent is there shows when it is spoken to.
    pub async fn agent_stream(&self, id: &str) -> Result<(AgentReader, AgentWriter), RequestError> {
        let (place, attached) = tokio::join!(self.place(id), self.attach(id));
        let (mut stdout, mut stdin, heard) = attached?;
        // What does not answer as it should does not greet either.
        let line = direct::read_line(&mut stdout).await.unwrap_or_default();
        let stream = match (Offer::parse(&line), place) {
            (Some(offer), Some(place)) => direct::come(&offer, place).await,
            _ => None,
        };
        let word = if stream.is_some() { COME } else { STAY };
        // The same of what does not listen.
        drop(stdin.write_all(&[word]).await);
        drop(stdin.flush().await);
        let Some(stream) = stream else {
            let way = Way::Exec(stdout);
            return Ok((AgentReader { way, heard }, stdin));
        };
        let exec = Exec { stdout, stdin };
        Ok(directly(stream, Some(exec), heard))
    }

    /// Where the agent of a container that has just been started waits, from its output, to which
    /// somebody has listened since before. Nothing where it does not say so soon.
    pub(crate) async fn doorway(
        &self,
        id: &str,
        sha256: String,
        output: Output,
    ) -> Option<Doorway> {
        let mut stdout = StdoutReader::new(output, Heard::default());
        let line = timeout(STARTING, direct::read_line(&mut stdout));
        let (place, line) = tokio::join!(self.place(id), line);
        let offer = Offer::parse(&line.ok()??)?;
        Some(Doorway::new(offer, place?, sha256))
    }

    /// Where a container is in the network that sandboxes have to themselves. In another one, there
    /// may be somebody who can listen.
    async fn place(&self, id: &str) -> Option<Place> {
        // Without it, everything goes over the exec.
        let found = self.look(id).await.ok()?;
        let mut networks = found.network_settings?.networks?;
        let end = networks.remove(NETWORK)?;
        Some(Place {
            address: end.ip_address?.parse().ok()?,
            gateway: end.gateway?.parse().ok()?,
        })
    }

    /// Runs what leads to the agent.
    async fn attach(&self, id: &str) -> Result<(StdoutReader, AgentWriter, Heard), RequestError> {
        let doing = || format!("run the agent's connection in container {id}");
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(
                [PROGRAM_PATH]
                    .iter()
                    .chain(&CONNECT)
                    .map(ToString::to_string)
                    .collect(),
            ),
            ..CreateExecOptions::default()
        };
        let exec = tell(self.docker.create_exec(id, options))
            .await
            .doing(doing)?;
        let how = StartExecOptions {
            output_capacity: Some(256 << 10),
            ..StartExecOptions::default()
        };
        let started = self.docker.start_exec(&exec.id, Some(how)).await;
        let StartExecResults::Attached { output, input } = started.doing(doing)? else {
            let field = "stream";
            return Err(RequestError::new(doing(), Fault::Incomplete { field }));
        };
        let heard = Heard::default();
        Ok((StdoutReader::new(output, heard.clone()), input, heard))
    }
}

pub(super) fn directly(
    stream: TcpStream,
    exec: Option<Exec>,
    heard: Heard,
) -> (AgentReader, AgentWriter) {
    let (stream, writer) = stream.into_split();
    let way = Way::Direct { stream, exec };
    (AgentReader { way, heard }, Box::pin(writer))
}
