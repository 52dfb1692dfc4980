//! What the agent waits for, and what follows.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

use super::connection::{Connection, Request};
use super::output::{Got, Sink};
use super::{Agent, command::Owner};
use crate::direct::Door;
use crate::message::{self, FromKeeper};
use crate::wire::{Channel, Credit, Failure, ToAgent, ToClient};
use crate::{process, sys};

/// How many clients there may be.
const CLIENTS: usize = 256;
/// How many frames of one client are acted on before others have their turn.
const FRAMES: usize = 64;

/// Something that can be acted on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Signal,
    Listener,
    Door,
    Stranger(usize),
    Input(u64),
    Output(u64),
    Control(u64),
    Keeper(u64),
    Stream(u64, usize),
    Feed(u64),
    Session(u32),
    TransferInput(u64),
    TransferOutput(u64),
}

impl Agent {
    /// Waits until something can be done, or something is due.
    pub(super) fn wait(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let mut watch = |event: Event, fd: BorrowedFd<'_>, flags: PollFlags| {
            events.push((event, std::os::fd::AsRawFd::as_raw_fd(&fd), flags));
        };
        let (read, write) = (PollFlags::POLLIN, PollFlags::POLLOUT);
        watch(Event::Signal, self.signals.as_fd(), read);
        watch(Event::Listener, self.listener.as_fd(), read);
        for fd in self.door.iter().flat_map(Door::fds) {
            watch(Event::Door, fd, read);
        }
        for (at, socket) in self.strangers.iter().enumerate() {
            watch(Event::Stranger(at), socket.as_fd(), read);
        }
        for (id, connection) in &self.connections {
            if connection.wants_output() {
                watch(Event::Output(*id), connection.output.as_fd(), write);
            }
            if connection.wants_input() && !connection.more {
                watch(Event::Input(*id), connection.input.as_fd(), read);
            }
            if let Some(control) = &connection.control {
                watch(Event::Control(*id), control.as_fd(), read);
            }
        }
        for (id, kept) in &self.keepers {
            watch(Event::Keeper(*id), kept.keeper.socket.as_fd(), read);
        }
        for (id, command) in &self.commands {
            let has_room = match command.owner {
                Owner::Request { connection, .. } => self
                    .connections
                    .get(&connection)
                    .is_none_or(Connection::has_room),
                _ => true,
            };
            for (at, stream) in command.streams.iter().enumerate() {
                if let Some(fd) = stream.fd.as_ref().filter(|_| stream.wants())
                    && (has_room || !matches!(stream.sink, Sink::Client))
                {
                    watch(Event::Stream(*id, at), fd.as_fd(), read);
                }
            }
            if let Some(feed) = &command.feed
                && let Some(fd) = feed.fd.as_ref().filter(|_| feed.wants())
            {
                watch(Event::Feed(*id), fd.as_fd(), write);
            }
        }
        for (id, session) in &self.sessions {
            watch(Event::Session(*id), session.control.as_fd(), read);
        }
        for (id, transfer) in &self.transfers {
            let has_room = self
                .connections
                .get(&transfer.connection)
                .is_none_or(Connection::has_room);
            if transfer.wants_input() && has_room {
                watch(Event::TransferInput(*id), transfer.socket.as_fd(), read);
            }
            if transfer.wants_output() {
                watch(Event::TransferOutput(*id), transfer.socket.as_fd(), write);
            }
        }
        for (_, fd, flags) in &events {
            #[expect(
                unsafe_code,
                reason = "the borrow of each is part of self, which nobody changes here"
            )]
            // SAFETY: every descriptor is owned by a field of self, which lives through this call.
            fds.push(PollFd::new(unsafe { BorrowedFd::borrow_raw(*fd) }, *flags));
        }
        match poll(&mut fds, self.due()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                // Without poll there is no serving: its limits were taken away from outside.
                eprintln!("sandbox-agent: poll: {errno}: the sandbox ends");
                self.broken = true;
                return Vec::new();
            }
        }
        let ready = fds
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        events
            .iter()
            .zip(ready)
            .filter(|(_, ready)| *ready)
            .map(|((event, ..), _)| *event)
            .collect()
    }

    /// Acts on one event; the exit code, if it ends the agent.
    pub(super) fn handle(&mut self, event: Event) -> Option<u8> {
        match event {
            Event::Signal => {
                while let Ok(Some(info)) = self.signals.read_signal() {
                    let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                    // Senders within the sandbox have a number here; they do not end its first
                    // process, as the kernel does not let them either.
                    let is_from_outside = info.ssi_pid == 0 || std::process::id() != 1;
                    if [Signal::SIGTERM as i32, Signal::SIGINT as i32].contains(&number)
                        && is_from_outside
                    {
                        return Some(u8::try_from(128 + number).unwrap_or(1));
                    }
                }
                self.reap();
            }
            Event::Listener => self.accept(),
            Event::Door => self.attend_door(),
            Event::Stranger(at) => self.receive_streams(at),
            Event::Input(id) => self.read_client(id),
            Event::Output(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.flush();
                }
            }
            Event::Control(id) => {
                // `connect` says nothing: that it can be read is its end.
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.dead = true;
                }
            }
            Event::Keeper(id) => self.hear_keeper(id),
            Event::Stream(id, at) => self.read_stream(id, at),
            Event::Feed(id) => {
                if let Some(feed) = self
                    .commands
                    .get_mut(&id)
                    .and_then(|command| command.feed.as_mut())
                {
                    feed.flush();
                }
            }
            Event::Session(id) => self.hear_session(id),
            Event::TransferInput(id) => self.read_transfer(id),
            Event::TransferOutput(id) => {
                if let Some(transfer) = self.transfers.get_mut(&id) {
                    transfer.flush();
                }
            }
        }
        None
    }

    /// A `connect` hands its stdin and stdout over.
    fn receive_streams(&mut self, at: usize) {
        if at >= self.strangers.len() {
            return;
        }
        let received = message::receive(self.strangers[at].as_fd());
        if matches!(received, Err(Errno::EAGAIN | Errno::EINTR)) {
            return;
        }
        let control = self.strangers.remove(at);
        let Ok(Some((_, fds))) = received else {
            return;
        };
        let Ok([input, output]) = <[_; 2]>::try_from(fds) else {
            return;
        };
        if sys::nonblocking(&input).is_err() || sys::nonblocking(&output).is_err() {
            return;
        }
        self.admit(Connection::new(input, output, Some(control)));
    }

    /// Somebody has come to the door, and the door is closed behind the client.
    fn attend_door(&mut self) {
        let Some(input) = self.door.as_mut().and_then(Door::attend) else {
            return;
        };
        self.door = None;
        if let Ok(output) = input.try_clone() {
            self.admit(Connection::new(input, output, None));
        }
    }

    fn admit(&mut self, mut connection: Connection) {
        if self.connections.len() >= CLIENTS {
            let mute = self.connections.iter().find(|(_, client)| !client.greeted);
            if let Some(id) = mute.map(|(id, _)| *id) {
                self.disconnect(id);
            } else {
                let message = format!("there are {CLIENTS} clients already");
                connection.refuse(Failure::TooMany, message);
                connection.flush();
                return;
            }
        }
        connection.send(0, &ToClient::Hello(self.hello.clone()));
        connection.flush();
        self.lease.spare(sys::since_boot());
        let id = self.number();
        self.connections.insert(id, connection);
    }

    fn read_client(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match nix::unistd::read(&connection.input, &mut self.buffer) {
            Ok(0) => connection.dead = true,
            Ok(count) => connection.decoder.push(&self.buffer[..count]),
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => connection.dead = true,
        }
        self.read_frames(id);
    }

    /// Acts on what a client has sent, as far as its answers find room; not for too long.
    fn read_frames(&mut self, id: u64) {
        for _ in 0..FRAMES {
            let Some(connection) = self
                .connections
                .get_mut(&id)
                .filter(|connection| !connection.closing)
            else {
                return;
            };
            connection.more = false;
            if !connection.wants_input() {
                connection.more = true;
                return;
            }
            match connection.decoder.next_frame() {
                Ok(Some((request, frame))) => {
                    if !looks(&frame) {
                        self.lease.renew(sys::since_boot());
                    }
                    self.request(id, request, frame);
                }
                Ok(None) => return,
                Err(error) => {
                    connection.refuse(Failure::Protocol, error.to_string());
                    return;
                }
            }
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.more = true;
        }
    }

    /// Clients of whose frames more are there than were acted on.
    pub(super) fn read_on(&mut self) {
        let waiting = self
            .connections
            .iter()
            .filter(|(_, client)| client.is_due());
        let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.read_frames(id);
        }
    }

    fn read_stream(&mut self, id: u64, at: usize) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        let got = command.streams[at].read(&mut self.buffer, &mut self.spills);
        let Owner::Request { connection, id } = command.owner else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&connection) else {
            return;
        };
        let channel = if at == 0 {
            Channel::Stdout
        } else {
            Channel::Stderr
        };
        match got {
            Got::Bytes(count) => connection.send_data(id, channel, &self.buffer[..count]),
            Got::End => connection.send_soon(id, &ToClient::Eof(channel)),
            Got::Nothing => {}
        }
    }

    fn hear_keeper(&mut self, id: u64) {
        loop {
            let Some(kept) = self.keepers.get(&id) else {
                return;
            };
            match FromKeeper::receive(kept.keeper.socket.as_fd()) {
                Ok(Some(message)) => self.keeper_says(id, message),
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Ok(None) | Err(_) => return self.keeper_is_gone(id),
            }
        }
    }

    /// What is due by now.
    pub(super) fn keep_time(&mut self) {
        let now = Instant::now();
        self.door.take_if(|door| door.left().is_zero());
        let mut late = Vec::new();
        let mut lost = Vec::new();
        for (id, command) in &mut self.commands {
            if command.killing.is_none()
                && command.end.is_none()
                && command.deadline.is_some_and(|deadline| deadline <= now)
            {
                command.timed_out = true;
                late.push(*id);
            }
            let patience = Duration::from_secs(7) + Duration::from_millis(command.grace_ms.into());
            if command.killed.is_none()
                && command.killing.is_some_and(|since| since + patience <= now)
            {
                lost.push((*id, command.keeper));
            }
        }
        for id in late {
            self.kill_command(id);
        }
        for (command, id) in lost {
            let Some(kept) = self.keepers.get(&id) else {
                // There is nobody who could report any more.
                self.was_killed(command, 0, 0);
                continue;
            };
            // It is starved, or stopped again and again. Its processes become the agent's own.
            {
                crate::massacre::signal(kept.keeper.pid.as_raw(), Signal::SIGKILL as i32)
                    .unwrap_or_default();
            }
        }
        self.give_up_openings(now);
        self.kill_strays();
    }

    /// Kills orphans of a lost keeper that have become the agent's own children.
    fn kill_strays(&mut self) {
        let Some((since, quiet)) = self.strays else {
            return;
        };
        let known = self.forks();
        let all = process::all();
        let mut any = false;
        for pid in process::own_children()
            .into_iter()
            .filter(|pid| !known.contains(pid))
        {
            let Some(stray) = all
                .get(&pid)
                .filter(|process| !process.zombie && process.started >= since)
            else {
                continue;
            };
            any = true;
            for process in process::descendants(&all, stray.pid).iter().chain([stray]) {
                crate::massacre::signal_process(process, Signal::SIGKILL as i32, None);
            }
        }
        self.reap();
        self.strays = match (any, quiet) {
            (true, _) => Some((since, 0)),
            (false, 0..5) => Some((since, quiet + 1)),
            (false, _) => None,
        };
    }

    /// Sends what can be sent, and forgets what is over.
    pub(super) fn pump(&mut self) {
        let commands: Vec<u64> = self.commands.keys().copied().collect();
        for id in commands {
            self.pump_command(id);
        }
        let transfers: Vec<u64> = self.transfers.keys().copied().collect();
        for id in transfers {
            self.pump_transfer(id);
        }
        let connections: Vec<u64> = self.connections.keys().copied().collect();
        for id in &connections {
            self.pump_follows(*id);
        }
        for id in connections {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.flush();
                if connection.is_over() {
                    self.disconnect(id);
                }
            }
        }
    }

    fn pump_follows(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let mut requests = std::mem::take(&mut connection.requests);
        let mut finished = Vec::new();
        for (request, what) in &mut requests {
            let Request::Follow(following) = what else {
                continue;
            };
            let Some(job) = self.jobs.get(&following.what.job) else {
                finished.push((*request, None));
                continue;
            };
            let running = job.command.and_then(|command| self.commands.get(&command));
            let streams = match (&job.over, running) {
                (Some(over), _) => &over.streams,
                (None, Some(command)) => &command.streams,
                (None, None) => continue,
            };
            while connection.has_room()
                && let Some((channel, bytes)) = following.next(streams)
            {
                connection.send(*request, &ToClient::Data(channel, bytes));
            }
            if following.is_level(streams) {
                match &job.over {
                    Some(over) => {
                        finished.push((*request, Some(ToClient::Ended(over.result.clone()))));
                    }
                    None if !following.what.wait => {
                        finished.push((*request, Some(ToClient::Done(0))));
                    }
                    None => {}
                }
            }
        }
        connection.requests = requests;
        for (request, frame) in finished {
            let gone =
                || crate::failure::Problem::new(Failure::NotFound, "the job has been removed");
            connection.finish(
                request,
                &frame.unwrap_or_else(|| ToClient::Failed(gone().frame())),
            );
        }
    }

    /// Gives back credit for what a command has taken.
    pub(super) fn return_credit(&mut self, id: u64) {
        let Some(command) = self.commands.get_mut(&id) else {
            return;
        };
        if let (Some(feed), Owner::Request { connection, id }) = (&mut command.feed, command.owner)
            && let Some(connection) = self.connections.get_mut(&connection)
            && let Some(bytes) = feed.credit()
        {
            connection.send(
                id,
                &ToClient::Credit(Credit {
                    channel: Channel::Stdin,
                    bytes,
                }),
            );
        }
    }
}

/// Whether a frame only asks how the sandbox is, which is no use of it: whoever watches a sandbox
/// would keep it alive.
fn looks(frame: &ToAgent) -> bool {
    matches!(
        frame,
        ToAgent::Hello(_)
            | ToAgent::Status
            | ToAgent::Metrics
            | ToAgent::SessionList
            | ToAgent::JobList
    )
}
