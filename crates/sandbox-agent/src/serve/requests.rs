//! What clients ask for, frame by frame.

use super::connection::Request;
use super::job::Following;
use super::{Agent, command::Owner};
use crate::failure::Problem;
use crate::wire::{
    Channel, Credit, Failure, Follow, MAX_REQUESTS, OnDisconnect, Status, ToAgent, ToClient,
    VERSION,
};
use crate::{metrics, sys};

impl Agent {
    /// Acts on one frame of a client.
    pub(super) fn request(&mut self, connection: u64, id: u32, frame: ToAgent) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        if !client.greeted {
            match frame {
                ToAgent::Hello(hello) if hello.version == VERSION => client.greeted = true,
                ToAgent::Hello(hello) => {
                    let message =
                        format!("this agent speaks version {VERSION}, not {}", hello.version);
                    client.refuse(Failure::Version, message);
                }
                _ => client.refuse(
                    Failure::Protocol,
                    "a client's first frame is its hello".to_owned(),
                ),
            }
            return;
        }
        if let Some(frame) = self.continue_request(connection, id, frame) {
            self.begin_request(connection, id, frame);
        }
    }

    /// Frames that belong to a request that is under way; the frame itself, if it begins one.
    fn continue_request(&mut self, connection: u64, id: u32, frame: ToAgent) -> Option<ToAgent> {
        match frame {
            ToAgent::Data(_, bytes) => self.take_data(connection, id, bytes),
            ToAgent::Eof(channel) => self.take_end(connection, id, channel),
            ToAgent::Entry(entry) => self.pass_on(connection, id, &ToAgent::Entry(entry)),
            ToAgent::Credit(credit) => self.take_credit(connection, id, credit),
            ToAgent::Signal(signal) => {
                if let Some(command) = self.command_of(connection, id) {
                    self.signal_command(command, signal);
                }
            }
            ToAgent::Resize(window) => {
                let command = self
                    .command_of(connection, id)
                    .and_then(|command| self.commands.get(&command));
                if let Some(fd) = command
                    .filter(|command| command.terminal)
                    .and_then(|command| command.streams[0].fd.as_ref())
                {
                    // A terminal that is gone has no size.
                    sys::resize(std::os::fd::AsFd::as_fd(fd), window.rows, window.columns)
                        .unwrap_or_default();
                }
            }
            ToAgent::Cancel => self.cancel(connection, id),
            ToAgent::Hello(_) => {
                if let Some(client) = self.connections.get_mut(&connection) {
                    client.refuse(Failure::Protocol, "a second hello".to_owned());
                }
            }
            frame => return Some(frame),
        }
        None
    }

    fn begin_request(&mut self, connection: u64, id: u32, frame: ToAgent) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        if matches!(frame, ToAgent::Ping) {
            return client.send(id, &ToClient::Pong);
        }
        if id == 0 || client.requests.contains_key(&id) {
            return client.refuse(Failure::Protocol, format!("request id {id} is taken"));
        }
        if client.requests.len() >= MAX_REQUESTS {
            return client.fail(
                id,
                Problem::new(Failure::TooMany, "too many requests at once"),
            );
        }
        let done = match frame {
            ToAgent::Run(spec) => self.run_command(Owner::Request { connection, id }, &spec),
            ToAgent::SessionOpen(spec) => self.open_session(connection, id, spec),
            ToAgent::SessionClose(session) => self
                .close_session(session)
                .map(|()| self.done(connection, id, 0)),
            ToAgent::SessionList => {
                let sessions = self.list_sessions();
                self.answer(connection, id, &ToClient::Sessions(sessions));
                Ok(())
            }
            ToAgent::JobStart(spec, kept) => self.start_job(connection, id, &spec, kept),
            ToAgent::JobList => {
                let running =
                    |job: &super::job::Job| Some(&self.commands.get(&job.command?)?.streams);
                let jobs = self
                    .jobs
                    .iter()
                    .map(|(id, job)| job.info(*id, running(job)))
                    .collect();
                self.answer(connection, id, &ToClient::Jobs(jobs));
                Ok(())
            }
            ToAgent::JobFollow(follow) => self.follow(connection, id, follow),
            ToAgent::JobSignal(job, signal) => self.job_command(job).map(|command| {
                if let Some(command) = command {
                    self.signal_command(command, signal);
                }
                self.done(connection, id, 0);
            }),
            ToAgent::JobKill(job) => self.kill_job(connection, id, job),
            ToAgent::JobRemove(job) => self.remove_job(job).map(|()| self.done(connection, id, 0)),
            ToAgent::Put(put) => self.put(connection, id, put),
            ToAgent::Get(get) => self.get(connection, id, get),
            ToAgent::Status => {
                let status = self.status();
                self.answer(connection, id, &ToClient::Status(status));
                Ok(())
            }
            ToAgent::Metrics => {
                self.answer(connection, id, &ToClient::Metrics(metrics::measure()));
                Ok(())
            }
            ToAgent::Probe => self.probe(connection, id),
            _ => Ok(()),
        };
        if let (Err(problem), Some(client)) = (done, self.connections.get_mut(&connection)) {
            client.fail(id, problem);
        }
    }

    pub(super) fn answer(&mut self, connection: u64, id: u32, frame: &ToClient) {
        if let Some(client) = self.connections.get_mut(&connection) {
            client.finish(id, frame);
        }
    }

    pub(super) fn done(&mut self, connection: u64, id: u32, value: u64) {
        self.answer(connection, id, &ToClient::Done(value));
    }

    fn status(&self) -> Status {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let jobs = self.jobs.values().filter(|job| job.end().is_none()).count();
        Status {
            lease_secs: self.lease.secs(),
            lease_left_ms: self
                .lease
                .left(sys::since_boot())
                .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            busy: self.is_busy(),
            clients: count(self.connections.len()),
            commands: count(self.commands.len() - jobs.min(self.commands.len())),
            jobs: count(jobs),
            sessions: count(self.sessions.len()),
            uptime_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn command_of(&self, connection: u64, id: u32) -> Option<u64> {
        match self.connections.get(&connection)?.requests.get(&id)? {
            Request::Command(command) => Some(*command),
            _ => None,
        }
    }

    fn take_data(&mut self, connection: u64, id: u32, bytes: Vec<u8>) {
        let overdrawn = match self
            .connections
            .get(&connection)
            .and_then(|client| client.requests.get(&id))
        {
            Some(Request::Command(command)) => {
                let feed = self
                    .commands
                    .get_mut(command)
                    .and_then(|command| command.feed.as_mut());
                feed.is_some_and(|feed| {
                    let fine = feed.take(&bytes);
                    feed.flush();
                    !fine
                })
            }
            Some(Request::Transfer(transfer)) => {
                let transfer = self.transfers.get_mut(transfer);
                transfer.is_some_and(|transfer| !transfer.take(bytes))
            }
            // The request has ended meanwhile; its last frame is on the way.
            _ => false,
        };
        if let Some(client) = self.connections.get_mut(&connection).filter(|_| overdrawn) {
            client.refuse(
                Failure::Protocol,
                format!("request {id} sends more than its credit"),
            );
        }
    }

    fn take_end(&mut self, connection: u64, id: u32, channel: Channel) {
        if let Some(command) = self.command_of(connection, id) {
            if let Some(feed) = self
                .commands
                .get_mut(&command)
                .and_then(|command| command.feed.as_mut())
            {
                feed.end();
                feed.flush();
            }
        } else {
            self.pass_on(connection, id, &ToAgent::Eof(channel));
        }
    }

    fn take_credit(&mut self, connection: u64, id: u32, credit: Credit) {
        let at = usize::from(matches!(
            credit.channel,
            Channel::Stderr | Channel::StderrTail
        ));
        let add = |to: &mut u64| *to = to.saturating_add(credit.bytes.into());
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        match client.requests.get_mut(&id) {
            Some(Request::Command(command)) => {
                if let Some(command) = self.commands.get_mut(command) {
                    add(&mut command.streams[at].credit);
                }
            }
            Some(Request::Follow(following)) => add(&mut following.credit[at]),
            Some(Request::Transfer(transfer)) => {
                if let Some(transfer) = self.transfers.get_mut(transfer) {
                    add(&mut transfer.credit);
                }
            }
            _ => {}
        }
    }

    fn cancel(&mut self, connection: u64, id: u32) {
        let Some(client) = self.connections.get_mut(&connection) else {
            return;
        };
        match client.requests.get(&id) {
            Some(Request::Command(command)) => {
                let command = *command;
                self.cancel_command(command);
            }
            Some(Request::Transfer(transfer)) => {
                let transfer = *transfer;
                self.transfers.remove(&transfer);
                let problem = Problem::new(Failure::Cancelled, "the transfer was cancelled");
                client.fail(id, problem);
            }
            Some(Request::Follow(_)) => client.finish(id, &ToClient::Done(0)),
            _ => {}
        }
    }

    /// The client is gone: what was its alone goes with it.
    pub(super) fn disconnect(&mut self, connection: u64) {
        let Some(client) = self.connections.remove(&connection) else {
            return;
        };
        for (_, request) in client.requests {
            match request {
                Request::Command(command) => {
                    let Some(found) = self.commands.get_mut(&command) else {
                        continue;
                    };
                    found.owner = Owner::Nobody;
                    found.abandon();
                    if found.on_disconnect == OnDisconnect::Kill {
                        self.cancel_command(command);
                    }
                }
                Request::Transfer(transfer) => {
                    self.transfers.remove(&transfer);
                }
                Request::Follow(_) | Request::Waiting => {}
            }
        }
    }

    fn follow(&mut self, connection: u64, id: u32, follow: Follow) -> Result<(), Problem> {
        let command = self.job_command(follow.job)?;
        let job = self.jobs.get(&follow.job);
        let over = job
            .and_then(|job| job.over.as_ref())
            .map(|over| &over.streams);
        let running = command
            .and_then(|command| self.commands.get(&command))
            .map(|command| &command.streams);
        if let (Some(streams), Some(client)) =
            (over.or(running), self.connections.get_mut(&connection))
        {
            let following = Following::new(follow, streams);
            client
                .requests
                .insert(id, Request::Follow(Box::new(following)));
        }
        Ok(())
    }
}
