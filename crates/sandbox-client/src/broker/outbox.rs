//! What waits to be written to one client.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

/// How much may wait for a client that does not read, in bytes. What a request may have sent is
/// bounded by the client's own credit; this bounds all of a client's requests together.
const MOST: usize = 64 << 20;

/// A client's queue: filled by the connections to agents, which never wait for a client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    over: bool,
}

impl Outbox {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes. A client for which too much waits is given up.
    pub(super) fn push(&self, bytes: Vec<u8>) {
        let mut queue = self.queue();
        if queue.over {
            return;
        }
        queue.bytes += bytes.len();
        queue.pieces.push_back(bytes);
        if queue.bytes > MOST {
            queue.over = true;
            queue.pieces.clear();
        }
        drop(queue);
        self.moved.notify_one();
    }

    /// Nothing is added any more; what waits is still written.
    pub(super) fn close(&self) {
        self.queue().over = true;
        self.moved.notify_one();
    }

    /// Writes what comes until the queue is closed and empty.
    pub(super) async fn drain<W: AsyncWrite + Unpin>(&self, mut writer: W) -> std::io::Result<()> {
        loop {
            let moved = self.moved.notified();
            let (pieces, over) = {
                let mut queue = self.queue();
                (std::mem::take(&mut queue.pieces), queue.over)
            };
            for piece in &pieces {
                writer.write_all(piece).await?;
                let mut queue = self.queue();
                queue.bytes = queue.bytes.saturating_sub(piece.len());
            }
            if pieces.is_empty() {
                if over {
                    return writer.shutdown().await;
                }
                moved.await;
            }
        }
    }
}
