//! One request on a connection.

use std::sync::Arc;
use std::time::Duration;

use sandbox_agent::wire::{Channel, Credit, MAX_DATA, MAX_PAYLOAD, ToAgent, ToClient};
use tokio::time::{Instant, timeout_at};

use crate::connection::{Shared, is_last};
use crate::error::{CallError, Lost};
use crate::slot::Slot;

/// A request that is open: frames come from it, and may be sent for it. Dropped before its last
/// frame, it is cancelled.
#[derive(Debug)]
pub struct Call {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    id: u32,
    over: bool,
    deadline: Option<(Instant, Duration)>,
}

impl Call {
    /// Sends a request's first frame.
    pub(crate) fn open(shared: &Arc<Shared>, frame: &ToAgent) -> Result<Self, CallError> {
        let (id, slot) = shared.open()?;
        let call = Self {
            shared: Arc::clone(shared),
            slot,
            id,
            over: false,
            deadline: None,
        };
        let mut bytes = Vec::new();
        frame.encode(id, &mut bytes);
        let length = bytes.len().saturating_sub(sandbox_agent::wire::HEADER);
        let most = <ToAgent as sandbox_agent::wire::FrameSet>::most(frame.kind());
        if length > most {
            let mut call = call;
            call.over = true;
            shared.close(id);
            return Err(CallError::TooLong {
                bytes: length,
                most: MAX_PAYLOAD.min(most),
            });
        }
        shared.send_encoded(bytes);
        Ok(call)
    }

    /// Gives the request up where it has not ended after this long.
    pub(crate) fn within(mut self, patience: Duration) -> Self {
        self.deadline = Some((Instant::now() + patience, patience));
        self
    }

    /// The next frame; [`None`] after the last one. Bytes that are taken are given back to the
    /// agent as credit.
    ///
    /// # Errors
    ///
    /// [`CallError::Failed`] where the agent says so, [`CallError::Lost`] where the connection is
    /// over, [`CallError::Overdue`] where the request's time is.
    pub async fn next(&mut self) -> Result<Option<ToClient>, CallError> {
        if self.over {
            return Ok(None);
        }
        let next = self.slot.next();
        let frame = match self.deadline {
            None => next.await,
            Some((at, patience)) => match timeout_at(at, next).await {
                Ok(frame) => frame,
                Err(_) => return Err(CallError::Overdue(patience)),
            },
        };
        let frame = frame.inspect_err(|_| self.over = true)?;
        if let ToClient::Data(channel, bytes) = &frame
            && let Some(bytes) = self.slot.took(*channel, bytes)
        {
            let channel = *channel;
            self.send(&ToAgent::Credit(Credit { channel, bytes }));
        }
        self.over = is_last(&frame);
        match frame {
            ToClient::Failed(failed) => Err(CallError::Failed(failed)),
            frame => Ok(Some(frame)),
        }
    }

    /// The only frame of an answer that is one frame.
    pub(crate) async fn answer(mut self) -> Result<ToClient, CallError> {
        self.next().await?.ok_or(CallError::Unexpected)
    }

    /// Sends a frame of this request.
    pub fn send(&self, frame: &ToAgent) {
        self.shared.send(self.id, frame);
    }

    /// Sends bytes, as the agent has room for them.
    ///
    /// # Errors
    ///
    /// [`Lost`] where the connection is over.
    pub async fn send_data(&self, channel: Channel, bytes: &[u8]) -> Result<(), Lost> {
        self.sender().send_data(channel, bytes).await
    }

    /// What sends for this request while something else reads from it.
    pub(crate) fn sender(&self) -> Sender {
        Sender {
            shared: Arc::clone(&self.shared),
            slot: Arc::clone(&self.slot),
            id: self.id,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.over {
            // Its last frame is still to come, and closes it.
            self.slot.abandon();
            self.send(&ToAgent::Cancel);
        }
    }
}

/// Sends for a request.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    id: u32,
}

impl Sender {
    pub(crate) fn send(&self, frame: &ToAgent) {
        self.shared.send(self.id, frame);
    }

    pub(crate) async fn send_data(&self, channel: Channel, mut bytes: &[u8]) -> Result<(), Lost> {
        while !bytes.is_empty() {
            let most = bytes.len().min(MAX_DATA);
            let count = self.slot.reserve(channel, most).await?;
            let (now, rest) = bytes.split_at(count);
            self.send_patiently(&ToAgent::Data(channel, now.to_vec()))
                .await?;
            bytes = rest;
        }
        Ok(())
    }

    pub(crate) async fn send_patiently(&self, frame: &ToAgent) -> Result<(), Lost> {
        self.shared.send_patiently(self.id, frame).await
    }
}
