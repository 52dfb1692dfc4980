//! What waits to be written to one client.

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

/// How much may wait for a client that does not read, in bytes. What a request may have sent is
/// bounded by the client's own credit; this bounds all of a client's requests together.
const MOST: usize = 64 << 20;

/// How much room a buffer that is empty keeps, in bytes.
const SPARE: usize = 512 << 10;

/// A client's queue: filled by the connections to agents, which never wait for a client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// How many are being written.
    writing: usize,
    over: bool,
}

impl Outbox {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has bytes appended. A client for which too much waits is given up.
    pub(super) fn push(&self, append: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.queue();
        if queue.over {
            return;
        }
        append(&mut queue.bytes);
        if queue.bytes.len() + queue.writing > MOST {
            queue.over = true;
            queue.bytes = Vec::new();
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
        // Two buffers in turns: one is filled while the other one is written.
        let mut bytes = Vec::new();
        loop {
            let moved = self.moved.notified();
            let over = {
                let mut queue = self.queue();
                std::mem::swap(&mut queue.bytes, &mut bytes);
                queue.writing = bytes.len();
                queue.over
            };
            if !bytes.is_empty() {
                writer.write_all(&bytes).await?;
            } else if over {
                return writer.shutdown().await;
            } else {
                moved.await;
            }
            bytes.clear();
            bytes.shrink_to(SPARE);
        }
    }
}
