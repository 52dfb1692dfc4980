//! The byte stream to an agent: an attached exec, without the frames that the engine puts around
//! its output.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sandbox_core::text;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::StreamReader;

use crate::agent::PROGRAM_PATH;
use crate::connect::Engine;
use crate::error::{Doing as _, Fault, RequestError, tell};

/// How much of what is said beside the protocol is kept, in bytes.
const MOST_HEARD: usize = 1000;

/// To an agent.
pub type AgentWriter = Pin<Box<dyn AsyncWrite + Send>>;

type Pieces = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// From an agent.
pub struct AgentReader {
    pieces: StreamReader<Pieces, Bytes>,
    heard: Heard,
}

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

impl AsyncRead for AgentReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        // Several pieces at a time, as many as there are: fewer turns for those who read.
        let before = buf.filled().len();
        loop {
            match Pin::new(&mut self.pieces).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.remaining() > 0 && buf.filled().len() > before => {
                    if !matches!(Pin::new(&mut self.pieces).poll_fill_buf(cx), Poll::Ready(Ok(more)) if !more.is_empty())
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

impl Engine {
    /// Opens a stream to the agent in a container.
    ///
    /// # Errors
    ///
    /// When the engine refuses. Whether an agent is there shows when it is spoken to.
    pub async fn agent_stream(&self, id: &str) -> Result<(AgentReader, AgentWriter), RequestError> {
        let doing = || format!("run the agent's connection in container {id}");
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec![PROGRAM_PATH.to_owned(), "connect".to_owned()]),
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
        let listening = heard.clone();
        let pieces = output.filter_map(move |piece| {
            let kept = match piece {
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    Some(Ok(message))
                }
                Ok(LogOutput::StdErr { message }) => {
                    listening.push(&message);
                    None
                }
                Ok(LogOutput::StdIn { .. }) => None,
                Err(error) => Some(Err(std::io::Error::other(error))),
            };
            std::future::ready(kept)
        });
        let pieces: Pieces = Box::pin(pieces);
        let reader = AgentReader {
            pieces: StreamReader::new(pieces),
            heard,
        };
        Ok((reader, input))
    }
}
