//! Passing the frames of a file transfer on, between a client and the fork that does it.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::Agent;
use super::connection::Request;
use crate::failure::Problem;
use crate::sys;
use crate::transfer::{self, Task};
use crate::user::Identity;
use crate::wire::{Channel, Credit, Decoder, Failure, Get, INITIAL_CREDIT, Put, ToAgent, ToClient};

/// A transfer under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) connection: u64,
    id: u32,
    pub(crate) pid: Pid,
    pub(crate) socket: OwnedFd,
    decoder: Decoder<ToClient>,
    /// What the client may still be sent.
    pub(crate) credit: u64,
    /// A frame of data that is larger than the credit.
    held: Option<Vec<u8>>,
    waiting: Vec<u8>,
    sent: usize,
    /// What the client may still send.
    window: u64,
    taken: u32,
}

impl Transfer {
    pub(crate) fn wants_input(&self) -> bool {
        self.held.is_none()
    }

    pub(crate) fn wants_output(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// Takes data from the client. False where it sends more than it may.
    pub(crate) fn take(&mut self, bytes: Vec<u8>) -> bool {
        let count = bytes.len() as u64;
        if count > self.window {
            return false;
        }
        self.window -= count;
        self.taken = self
            .taken
            .saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        ToAgent::Data(Channel::Stdin, bytes).encode(self.id, &mut self.waiting);
        self.flush();
        true
    }

    pub(crate) fn flush(&mut self) {
        while self.wants_output() {
            match nix::unistd::write(&self.socket, &self.waiting[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                // It has ended; what it has said is read next.
                Err(_) => self.sent = self.waiting.len(),
            }
        }
        self.waiting.clear();
        self.sent = 0;
    }

    fn credit_owed(&mut self) -> Option<u32> {
        if self.taken == 0 || self.wants_output() {
            return None;
        }
        let owed = std::mem::take(&mut self.taken);
        self.window += u64::from(owed);
        Some(owed)
    }
}

impl Agent {
    pub(super) fn put(&mut self, connection: u64, id: u32, put: Put) -> Result<(), Problem> {
        let identity = self.identity(put.user.as_deref())?;
        self.begin_transfer(connection, id, &Task::Put(put), &identity)
    }

    pub(super) fn get(&mut self, connection: u64, id: u32, get: Get) -> Result<(), Problem> {
        let identity = self.identity(get.user.as_deref())?;
        self.begin_transfer(connection, id, &Task::Get(get), &identity)
    }

    pub(super) fn probe(&mut self, connection: u64, id: u32) -> Result<(), Problem> {
        let identity = self.own.clone();
        self.begin_transfer(connection, id, &Task::Probe, &identity)
    }

    fn begin_transfer(
        &mut self,
        connection: u64,
        id: u32,
        task: &Task,
        identity: &Identity,
    ) -> Result<(), Problem> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
        let (socket, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::Stream,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(Problem::system("socketpair"))?;
        sys::nonblocking(&socket).map_err(Problem::system("fcntl"))?;
        let raw = theirs.as_raw_fd();
        let pid = sys::fork(move || {
            sys::close_others(&[raw]);
            transfer::run(theirs, task, identity)
        })
        .map_err(Problem::system("fork"))?;
        let number = self.number();
        let transfer = Transfer {
            connection,
            id,
            pid,
            socket,
            decoder: Decoder::new(),
            credit: INITIAL_CREDIT.into(),
            held: None,
            waiting: Vec::new(),
            sent: 0,
            window: INITIAL_CREDIT.into(),
            taken: 0,
        };
        self.transfers.insert(number, transfer);
        if let Some(client) = self.connections.get_mut(&connection) {
            client.requests.insert(id, Request::Transfer(number));
        }
        Ok(())
    }

    /// Passes a frame on to the transfer that it is for, if there is one.
    pub(super) fn pass_on(&mut self, connection: u64, id: u32, frame: &ToAgent) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        if let Some(Request::Transfer(number)) = client.requests.get(&id)
            && let Some(transfer) = self.transfers.get_mut(number)
        {
            frame.encode(id, &mut transfer.waiting);
            transfer.flush();
            if transfer.waiting.len() > 4 << 20 {
                client.refuse(
                    Failure::Protocol,
                    format!("request {id} sends entries without end"),
                );
            }
        }
    }

    pub(super) fn read_transfer(&mut self, number: u64) {
        let Some(transfer) = self.transfers.get_mut(&number) else {
            return;
        };
        match nix::unistd::read(&transfer.socket, &mut self.buffer) {
            Ok(count @ 1..) => {
                transfer.decoder.push(&self.buffer[..count]);
                self.lease.renew(sys::since_boot());
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Ok(_) | Err(_) => {
                let (connection, id) = (transfer.connection, transfer.id);
                self.transfers.remove(&number);
                let problem = Problem::new(Failure::System, "the transfer was killed");
                if let Some(client) = self.connections.get_mut(&connection) {
                    client.fail(id, problem);
                }
                return;
            }
        }
        self.pump_transfer(number);
    }

    /// Sends what has come and what credit allows.
    pub(super) fn pump_transfer(&mut self, number: u64) {
        let Some(transfer) = self.transfers.get_mut(&number) else {
            return;
        };
        let id = transfer.id;
        let Some(client) = self.connections.get_mut(&transfer.connection) else {
            return;
        };
        if let Some(bytes) = transfer.credit_owed() {
            client.send(
                id,
                &ToClient::Credit(Credit {
                    channel: Channel::Stdin,
                    bytes,
                }),
            );
        }
        loop {
            if let Some(mut bytes) = transfer.held.take() {
                let most = usize::try_from(transfer.credit)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                if most == 0 && !bytes.is_empty() {
                    transfer.held = Some(bytes);
                    return;
                }
                let rest = bytes.split_off(most);
                transfer.credit -= bytes.len() as u64;
                client.send(id, &ToClient::Data(Channel::Stdout, bytes));
                if !rest.is_empty() {
                    transfer.held = Some(rest);
                    return;
                }
            }
            match transfer.decoder.next_frame() {
                Ok(Some((_, ToClient::Data(_, bytes)))) => transfer.held = Some(bytes),
                Ok(Some((_, frame @ ToClient::Entry(_)))) => client.send(id, &frame),
                Ok(Some((_, frame))) => {
                    client.finish(id, &frame);
                    self.transfers.remove(&number);
                    return;
                }
                Ok(None) => return,
                Err(error) => {
                    client.fail(
                        id,
                        Problem::new(Failure::System, format!("the transfer broke: {error}")),
                    );
                    self.transfers.remove(&number);
                    return;
                }
            }
        }
    }
}
