//! One client: what it sends, and what waits to be sent to it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::job::Following;
use crate::failure::Problem;
use crate::wire::{Decoder, Failed, Failure, ToAgent, ToClient};

/// Beyond this, nothing new is read for the client.
const ROOM: usize = 1 << 20;
/// Beyond this, nothing is read from the client either.
const FULL: usize = 4 << 20;

/// A connected client.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Connection {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    /// To the `connect` that handed the other two over.
    pub(crate) control: OwnedFd,
    pub(crate) decoder: Decoder<ToAgent>,
    waiting: Vec<u8>,
    sent: usize,
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
    pub(crate) fn new(input: OwnedFd, output: OwnedFd, control: OwnedFd) -> Self {
        Self {
            input,
            output,
            control,
            decoder: Decoder::new(),
            waiting: Vec::new(),
            sent: 0,
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
        }
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
        !self.dead && self.pending() > 0
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
                Err(Errno::EAGAIN) => break,
                Err(_) => self.dead = true,
            }
        }
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            if self.waiting.capacity() > ROOM {
                self.waiting = Vec::new();
            }
            self.sent = 0;
        } else if self.sent > ROOM / 4 {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }
}
