//! One client: what it sends, and what waits to be sent to it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::job::Following;
use crate::failure::Problem;
use crate::wire::{Channel, Decoder, Failed, Failure, ToAgent, ToClient};

/// Beyond this, nothing new is read for the client.
const ROOM: usize = 1 << 20;
/// Beyond this, nothing is read from the client either.
const FULL: usize = 4 << 20;

/// How long what nobody waits for is kept for what somebody does: each write of its own wakes every
/// process on the way to the client, and costs a short command more than its own work.
const LINGER: Duration = Duration::from_millis(5);

/// A connected client.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Connection {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    /// To the `connect` that handed the other two over; nothing where the client came by itself.
    pub(crate) control: Option<OwnedFd>,
    pub(crate) decoder: Decoder<ToAgent>,
    waiting: Vec<u8>,
    sent: usize,
    /// Until when all that waits may go on waiting for more.
    lingers: Option<Instant>,
    /// Whether the pipe to it has been made to hold more.
    wide: bool,
    pub(crate) greeted: bool,
    /// Nothing more is taken from it; it ends when all is sent.
    pub(crate) closing: bool,
    pub(crate) dead: bool,
    /// Whether it has sent frames that have not been acted on.
    pub(crate) more: bool,
    pub(crate) requests: BTreeMap<u32, Request>,
}

/// What a request of a client is about.
#[derive(Debug)]
pub(crate) enum Request {
    Command(u64),
    Transfer(u64),
    Follow(Box<Following>),
    /// Waits for something that answers by itself.
    Waiting,
}

impl Connection {
    pub(crate) fn new(input: OwnedFd, output: OwnedFd, control: Option<OwnedFd>) -> Self {
        Self {
            input,
            output,
            control,
            decoder: Decoder::new(),
            waiting: Vec::new(),
            sent: 0,
            lingers: None,
            wide: false,
            greeted: false,
            closing: false,
            dead: false,
            more: false,
            requests: BTreeMap::new(),
        }
    }

    pub(crate) fn send(&mut self, id: u32, frame: &ToClient) {
        if !self.dead {
            frame.encode(id, &mut self.waiting);
            self.lingers = None;
        }
    }

    /// Sends bytes of a channel.
    pub(crate) fn send_data(&mut self, id: u32, channel: Channel, bytes: &[u8]) {
        if !self.dead {
            ToClient::encode_data(id, channel, bytes, &mut self.waiting);
            self.lingers = None;
        }
    }

    /// Sends a frame with the next one, or after a moment.
    pub(crate) fn send_soon(&mut self, id: u32, frame: &ToClient) {
        if self.pending() == 0 {
            self.lingers = Some(Instant::now() + LINGER);
        }
        if !self.dead {
            frame.encode(id, &mut self.waiting);
        }
    }

    /// When what lingers is to be sent.
    pub(crate) fn lingers(&self) -> Option<Instant> {
        self.lingers.filter(|_| !self.dead && self.pending() > 0)
    }

    /// Ends a request with a failure.
    pub(crate) fn fail(&mut self, id: u32, problem: Problem) {
        self.requests.remove(&id);
        self.send(id, &ToClient::Failed(problem.frame()));
    }

    /// Ends a request with its last frame.
    pub(crate) fn finish(&mut self, id: u32, frame: &ToClient) {
        self.requests.remove(&id);
        self.send(id, frame);
    }

    /// Ends the connection, saying why.
    pub(crate) fn refuse(&mut self, failure: Failure, message: String) {
        let failed = Failed {
            failure,
            errno: 0,
            message,
        };
        self.send(0, &ToClient::Failed(failed));
        self.closing = true;
    }

    fn pending(&self) -> usize {
        self.waiting.len() - self.sent
    }

    /// Whether there is room for more data.
    pub(crate) fn has_room(&self) -> bool {
        !self.dead && self.pending() < ROOM
    }

    pub(crate) fn wants_input(&self) -> bool {
        !self.dead && !self.closing && self.pending() < FULL
    }

    /// Whether frames of it can be acted on now.
    pub(crate) fn is_due(&self) -> bool {
        self.more && self.wants_input()
    }

    pub(crate) fn wants_output(&self) -> bool {
        !self.dead && self.pending() > 0 && self.lingers.is_none_or(|until| until <= Instant::now())
    }

    /// Whether it can be forgotten.
    pub(crate) fn is_over(&self) -> bool {
        self.dead || (self.closing && self.pending() == 0)
    }

    /// Sends what the other side takes.
    pub(crate) fn flush(&mut self) {
        while self.wants_output() {
            match nix::unistd::write(&self.output, &self.waiting[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    if !std::mem::replace(&mut self.wide, true) {
                        crate::sys::widen(&self.output);
                        continue;
                    }
                    break;
                }
                Err(_) => self.dead = true,
            }
        }
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            if self.waiting.capacity() > ROOM {
                self.waiting = Vec::new();
            }
            self.sent = 0;
        } else if self.sent > self.waiting.len() / 2 {
            // Not before: what is moved is less than what was sent.
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }
}
