//! An archive on its way between a thread that blocks and the engine.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// A part of an archive. A channel that closes without [`Piece::End`] broke off.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    End,
}

fn broke_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off")
}

/// Reads an archive in a thread that blocks.
#[derive(Debug)]
pub(crate) struct ChannelReader {
    from: mpsc::Receiver<Piece>,
    rest: Bytes,
    ended: bool,
}

impl ChannelReader {
    pub(crate) fn new(from: mpsc::Receiver<Piece>) -> Self {
        Self {
            from,
            rest: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.from.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(broke_off()),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The pieces as the body of a request.
pub(crate) fn stream(
    from: mpsc::Receiver<Piece>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(Some(from), async |from| {
        let mut from = from?;
        match from.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(from))),
            Some(Piece::End) => None,
            None => Some((Err(broke_off()), None)),
        }
    })
}

/// The pieces as what a program reads.
#[derive(Debug)]
pub(crate) struct AsyncReader {
    from: mpsc::Receiver<Piece>,
    rest: Bytes,
}

impl AsyncReader {
    pub(crate) fn new(from: mpsc::Receiver<Piece>) -> Self {
        Self {
            from,
            rest: Bytes::new(),
        }
    }
}

impl AsyncRead for AsyncReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.from.poll_recv(context)) {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(broke_off())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}
