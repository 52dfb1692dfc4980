//! Starting commands, hearing of them, killing them.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;

use super::command::{Command, Owner, prepare, sink};
use super::connection::Request;
use super::job::{Job, Over};
use super::output::{Ring, Sink, Stream};
use super::{Agent, Kept};
use crate::child::Stage;
use crate::failure::Problem;
use crate::keeper;
use crate::message::{FromKeeper, ToKeeper};
use crate::wire::{Bytes, End, Failure, Program, RunSpec, SessionEffect, ToClient};

/// How many jobs there may be, and how many bytes of their output they may keep together.
const JOBS: usize = 256;
const JOB_MEMORY: u64 = 256 << 20;
/// How many bytes of each stream a job keeps at least and at most.
const RING: (u32, u32) = (4096, 64 << 20);

impl Agent {
    /// Starts a command. Its owner hears of it when it runs, or does not.
    pub(super) fn run_command(&mut self, owner: Owner, spec: &RunSpec) -> Result<(), Problem> {
        if spec.session != 0 {
            return self.run_in_session(owner, spec);
        }
        let identity = self.identity(spec.user.as_deref())?;
        let prepared = prepare(spec, &identity, &spec.env)?;
        let number = self.number();
        let name = spill_name(number);
        let [out, err] = prepared.outputs;
        let streams = [
            Stream::new(out, sink(spec.output, &name("stdout"), &identity)),
            Stream::new(err, sink(spec.output, &name("stderr"), &identity)),
        ];
        let keeper = keeper::spawn(prepared.child).map_err(Problem::system("fork"))?;
        let mut command = Command::new(owner, spec, streams, prepared.feed);
        command.keeper = number;
        self.keepers.insert(
            number,
            Kept {
                keeper,
                command: Some(number),
                session: None,
            },
        );
        self.commands.insert(number, command);
        self.own(owner, number);
        Ok(())
    }

    /// Notes at the request whose command it is.
    pub(super) fn own(&mut self, owner: Owner, command: u64) {
        if let Owner::Request { connection, id } = owner
            && let Some(client) = self.connections.get_mut(&connection)
        {
            client.requests.insert(id, Request::Command(command));
        }
    }

    pub(super) fn keeper_says(&mut self, id: u64, message: FromKeeper) {
        let Some(kept) = self.keepers.get(&id) else {
            return;
        };
        if let Some(session) = kept.session {
            return self.shell_says(id, session, message);
        }
        let Some((number, command)) = kept
            .command
            .and_then(|number| Some((number, self.commands.get_mut(&number)?)))
        else {
            return;
        };
        match message {
            FromKeeper::Started { pid } => {
                command.pid = pid;
                match command.owner {
                    Owner::Request { connection, id } => {
                        if let Some(client) = self.connections.get_mut(&connection) {
                            client.send_soon(id, &ToClient::Started(pid.unsigned_abs()));
                        }
                    }
                    Owner::Job(job) => self.job_started(job, pid),
                    Owner::Nobody => {}
                }
            }
            FromKeeper::NotStarted { stage, errno } => {
                let problem = Stage::problem(stage, Errno::from_raw(errno), &command.described);
                let owner = command.owner;
                self.commands.remove(&number);
                self.fail_owner(owner, problem);
            }
            FromKeeper::Ended { signalled, value } => command.ended(end(signalled, value)),
            FromKeeper::Killed { killed, survivors } => self.was_killed(number, killed, survivors),
        }
    }

    pub(super) fn fail_owner(&mut self, owner: Owner, problem: Problem) {
        let (connection, id) = match owner {
            Owner::Request { connection, id } => (connection, id),
            Owner::Job(job) => match self.jobs.remove(&job).and_then(|job| job.starter) {
                Some(starter) => starter,
                None => return,
            },
            Owner::Nobody => return,
        };
        if let Some(client) = self.connections.get_mut(&connection) {
            client.fail(id, problem);
        }
    }

    pub(super) fn was_killed(&mut self, number: u64, killed: u32, survivors: u32) {
        let Some(command) = self.commands.get_mut(&number) else {
            return;
        };
        command.killed = Some((killed, survivors));
        if survivors > 0 {
            // Its end will not come, and its result must.
            command.ended(End::Signalled(9));
        }
        let waiters = std::mem::take(&mut command.waiters);
        for (connection, id) in waiters {
            self.done(connection, id, killed.into());
        }
    }

    /// A keeper has ended: everything that it kept has, or it was killed itself.
    pub(super) fn keeper_is_gone(&mut self, id: u64) {
        let Some(kept) = self.keepers.remove(&id) else {
            return;
        };
        if let Some(session) = kept.session {
            self.shell_is_gone(id, session, kept.keeper.since);
        }
        let Some(number) = kept.command else {
            return;
        };
        let Some(command) = self.commands.get_mut(&number) else {
            return;
        };
        let mut lost = None;
        if command.end.is_none() || (command.killing.is_some() && command.killed.is_none()) {
            if command.end.is_none() {
                lost = Some(kept.keeper.since);
            }
            command.ended(End::Signalled(9));
            self.was_killed(number, 0, 0);
        }
        if let Some(since) = lost {
            self.lost(since);
        }
    }

    pub(super) fn signal_command(&mut self, number: u64, signal: u8) {
        self.tell_keeper(number, |since| ToKeeper::Signal {
            signal: signal.into(),
            since,
        });
    }

    pub(super) fn cancel_command(&mut self, number: u64) {
        if let Some(command) = self
            .commands
            .get_mut(&number)
            .filter(|command| command.killing.is_none() && command.end.is_none())
        {
            command.cancelled = true;
            self.kill_command(number);
        }
    }

    /// Has everything that a command has started killed.
    pub(super) fn kill_command(&mut self, number: u64) {
        let Some(command) = self.commands.get_mut(&number) else {
            return;
        };
        command.killing = Some(Instant::now());
        let grace_ms = command.grace_ms;
        self.tell_keeper(number, |since| ToKeeper::Kill { grace_ms, since });
    }

    fn tell_keeper(&mut self, number: u64, message: impl FnOnce(u64) -> ToKeeper) {
        let Some(command) = self.commands.get(&number) else {
            return;
        };
        let since = if command.session.is_some() {
            command.since
        } else {
            0
        };
        if let Some(kept) = self.keepers.get(&command.keeper) {
            // A keeper that cannot be told is gone or stopped, which is seen elsewhere.
            message(since)
                .send(kept.keeper.socket.as_fd(), &[])
                .unwrap_or_default();
        }
    }

    /// Moves a command on: what can be sent, what has ended.
    pub(super) fn pump_command(&mut self, number: u64) {
        self.return_credit(number);
        let Some(command) = self.commands.get_mut(&number) else {
            return;
        };
        command.collect();
        if let Owner::Request { connection, id } = command.owner {
            while let Some(client) = self
                .connections
                .get_mut(&connection)
                .filter(|client| client.has_room())
                && let Some((channel, bytes)) = command.next_part()
            {
                client.send(id, &ToClient::Data(channel, bytes));
            }
        } else {
            command.parts = command.parts.take().map(|_| VecDeque::new());
        }
        let Some(result) = command.result() else {
            return;
        };
        let Some(mut command) = self.commands.remove(&number) else {
            return;
        };
        if let Owner::Request { connection, id } = command.owner {
            self.answer(connection, id, &ToClient::Ended(result.clone()));
            // Whoever waits for it need not wait for what is still to do here.
            self.flush(connection);
        }
        self.drain_leftovers(&mut command);
        if let Some(session) = command.session {
            self.command_left_session(session);
        }
        match command.owner {
            Owner::Job(job) => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.command = None;
                    job.over = Some(Over {
                        result,
                        streams: command.streams,
                    });
                }
            }
            Owner::Request { .. } | Owner::Nobody => {}
        }
    }

    fn flush(&mut self, connection: u64) {
        if let Some(client) = self.connections.get_mut(&connection) {
            client.flush();
        }
    }

    /// What the command left running may go on writing; its keeper reads and forgets it.
    fn drain_leftovers(&mut self, command: &mut Command) {
        use std::os::fd::AsRawFd;
        let Some(kept) = self.keepers.get(&command.keeper) else {
            return;
        };
        for stream in &mut command.streams {
            stream.drain(&mut self.buffer);
        }
        let open: Vec<i32> = command
            .streams
            .iter()
            .filter_map(|stream| Some(stream.fd.as_ref()?.as_raw_fd()))
            .collect();
        if !open.is_empty() {
            // Where the keeper is gone, so are all that could write.
            ToKeeper::Drain
                .send(kept.keeper.socket.as_fd(), &open)
                .unwrap_or_default();
        }
    }

    pub(super) fn start_job(
        &mut self,
        connection: u64,
        id: u32,
        spec: &RunSpec,
        kept: u32,
    ) -> Result<(), Problem> {
        if spec.session != 0 {
            return Err(Problem::new(Failure::Invalid, "a job runs in no session"));
        }
        let kept = kept.clamp(RING.0, RING.1);
        if self.jobs.len() >= JOBS || self.kept_by_jobs() + 2 * u64::from(kept) > JOB_MEMORY {
            let message = format!(
                "there may be {JOBS} jobs that keep {JOB_MEMORY} bytes: remove some that have ended"
            );
            return Err(Problem::new(Failure::TooMany, message));
        }
        let rings = [0, 1].map(|_| Ring::new(kept).map_err(Problem::system("memfd_create")));
        let [out, err] = rings;
        let (out, err) = (out?, err?);
        let number = self.small_number();
        let label = match &spec.program {
            Program::Argv(argv) => argv
                .iter()
                .map(|argument| argument.0.clone())
                .collect::<Vec<_>>()
                .join(&b' '),
            Program::Shell(script) => script.0.clone(),
        };
        let job = Job {
            command: None,
            pid: 0,
            label: Bytes(label.into_iter().take(256).collect()),
            started: Instant::now(),
            over: None,
            starter: Some((connection, id)),
            kept,
        };
        self.jobs.insert(number, job);
        let owner = Owner::Job(number);
        if let Err(problem) = self.run_command(owner, spec) {
            self.jobs.remove(&number);
            return Err(problem);
        }
        let command = self.last;
        if let Some(found) = self.commands.get_mut(&command) {
            found.streams[0].sink = Sink::Ring(out);
            found.streams[1].sink = Sink::Ring(err);
        }
        if let Some(job) = self.jobs.get_mut(&number) {
            job.command = Some(command);
        }
        if let Some(client) = self.connections.get_mut(&connection) {
            client.requests.insert(id, Request::Waiting);
        }
        Ok(())
    }

    fn kept_by_jobs(&self) -> u64 {
        self.jobs.values().map(|job| 2 * u64::from(job.kept)).sum()
    }

    fn job_started(&mut self, number: u32, pid: i32) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        job.pid = pid;
        if let Some((connection, id)) = job.starter.take() {
            self.done(connection, id, number.into());
        }
    }

    /// The command of a job, while it runs.
    pub(super) fn job_command(&self, number: u32) -> Result<Option<u64>, Problem> {
        let job = self.jobs.get(&number);
        let missing = || Problem::new(Failure::NotFound, format!("there is no job {number}"));
        Ok(job.ok_or_else(missing)?.command)
    }

    pub(super) fn kill_job(
        &mut self,
        connection: u64,
        id: u32,
        number: u32,
    ) -> Result<(), Problem> {
        let Some(command) = self.job_command(number)? else {
            self.done(connection, id, 0);
            return Ok(());
        };
        self.cancel_command(command);
        match self
            .commands
            .get_mut(&command)
            .filter(|command| command.killing.is_some() && command.killed.is_none())
        {
            Some(found) => {
                found.waiters.push((connection, id));
                if let Some(client) = self.connections.get_mut(&connection) {
                    client.requests.insert(id, Request::Waiting);
                }
            }
            None => self.done(connection, id, 0),
        }
        Ok(())
    }

    pub(super) fn remove_job(&mut self, number: u32) -> Result<(), Problem> {
        if self.job_command(number)?.is_some() {
            let message = format!("job {number} runs: kill it first");
            return Err(Problem::new(Failure::Busy, message));
        }
        self.jobs.remove(&number);
        Ok(())
    }

    /// A command in a session has told its own end.
    pub(super) fn ended_in_session(
        &mut self,
        number: u64,
        status: u8,
        cwd: Bytes,
        effect: SessionEffect,
    ) {
        if let Some(command) = self
            .commands
            .get_mut(&number)
            .filter(|command| command.killing.is_none())
        {
            command.cwd = Some(cwd);
            command.effect = effect;
            command.ended(End::Exited(status));
        }
    }
}

/// What the streams of a command are spilled to. Nobody can guess it, for where the files cannot be
/// given away, they are everybody's.
pub(super) fn spill_name(number: u64) -> impl Fn(&str) -> String {
    let random = crate::sys::random_name();
    move |suffix| format!("{number}-{random}.{suffix}")
}

pub(super) fn end(signalled: bool, value: i32) -> End {
    let value = u8::try_from(value & 0xff).unwrap_or(0);
    if signalled {
        End::Signalled(value)
    } else {
        End::Exited(value)
    }
}
