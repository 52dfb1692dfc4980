//! What happens to sessions.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::command::{Command, Feed, Owner, null, sink};
use super::commands::{end, spill_name};
use super::output::Stream;
use super::session::{Said, Session};
use super::{Agent, Kept};
use crate::child::{Asked, Child, Described, Stage};
use crate::failure::Problem;
use crate::message::{FromKeeper, ToKeeper};
use crate::wire::{Bytes, End, Failure, Program, RunSpec, SessionEffect, SessionInfo, SessionSpec};
use crate::{keeper, sys};

/// How many sessions there may be.
const MOST: usize = 256;
/// How long a login profile may take.
const OPENING: Duration = Duration::from_secs(30);

impl Agent {
    pub(super) fn open_session(
        &mut self,
        connection: u64,
        id: u32,
        spec: SessionSpec,
    ) -> Result<(), Problem> {
        if self.sessions.len() >= MOST {
            return Err(Problem::new(
                Failure::TooMany,
                format!("there are {MOST} sessions already"),
            ));
        }
        let identity = self.identity(spec.user.as_deref())?;
        let number = self.small_number();
        let scratch = self
            .scratch()
            .map_err(Problem::system("make a directory for sessions"))?;
        let mut session = Session::new(scratch, number, identity)
            .map_err(Problem::system("make a session's files"))?;
        session.env = spec.env;
        session.first_cwd = spec.cwd;
        session.login = spec.login;
        session.opener = Some((connection, id));
        session.opened = Instant::now();
        self.sessions.insert(number, session);
        if let Err(problem) = self.start_shell(number) {
            self.forget_session(number);
            return Err(problem);
        }
        if let Some(client) = self.connections.get_mut(&connection) {
            client
                .requests
                .insert(id, super::connection::Request::Waiting);
        }
        Ok(())
    }

    /// A new shell, which goes on from the state that was saved last.
    fn start_shell(&mut self, number: u32) -> Result<(), Problem> {
        let id = self.number();
        let Some(session) = self.sessions.get_mut(&number) else {
            return Err(Problem::new(
                Failure::NotFound,
                format!("there is no session {number}"),
            ));
        };
        let mut argv = vec![Bytes::from("bash")];
        if session.login && session.saved.is_none() {
            argv.push("-l".into());
        }
        let cwd = session
            .first_cwd
            .clone()
            .filter(|_| session.saved.is_none());
        let asked = Asked {
            program: &Program::Argv(argv),
            cwd: cwd.as_ref(),
            env_clear: false,
            env: &session.env,
            identity: session.identity.clone(),
            terminal: false,
        };
        let (stdin, script) = sys::pipe().map_err(Problem::system("pipe"))?;
        sys::nonblocking(&script).map_err(Problem::system("fcntl"))?;
        let child = Child::new(&asked, [stdin, null()?, null()?])?;
        let keeper = keeper::spawn(child).map_err(Problem::system("fork"))?;
        session.keeper = id;
        session
            .greet(script)
            .map_err(Problem::system("write to the shell"))?;
        self.keepers.insert(
            id,
            Kept {
                keeper,
                command: None,
                session: Some(number),
            },
        );
        Ok(())
    }

    pub(super) fn run_in_session(&mut self, owner: Owner, spec: &RunSpec) -> Result<(), Problem> {
        let invalid = |message| Err(Problem::new(Failure::Invalid, message));
        let Program::Shell(script) = &spec.program else {
            return invalid("a session runs scripts, not argument lists");
        };
        if spec.user.is_some() || spec.env_clear || spec.pty.is_some() {
            return invalid("a session has its own user and environment, and no terminal");
        }
        let Some(session) = self.sessions.get_mut(&spec.session) else {
            return Err(Problem::new(
                Failure::NotFound,
                format!("there is no session {}", spec.session),
            ));
        };
        if session.command.is_some() || session.opener.is_some() {
            return Err(Problem::new(
                Failure::Busy,
                format!("session {} runs another command", spec.session),
            ));
        }
        let lost = session.script.is_none();
        if lost {
            self.start_shell(spec.session)?;
        }
        let number = self.number();
        let Some(session) = self.sessions.get_mut(&spec.session) else {
            return Ok(());
        };
        let pipes = session
            .pipes(spec.input)
            .inspect_err(|_| session.forget())
            .map_err(Problem::system("make a FIFO"))?;
        if let Err(problem) = session.start(&script.0, spec) {
            session.forget();
            return Err(problem);
        }
        let name = spill_name(number);
        let [out, err] = pipes.outputs;
        let streams = [
            Stream::new(
                Some(out),
                sink(spec.output, &name("stdout"), &session.identity),
            ),
            Stream::new(
                Some(err),
                sink(spec.output, &name("stderr"), &session.identity),
            ),
        ];
        let feed = pipes.input.map(|(fd, held)| {
            let mut feed = Feed::new(fd, false);
            feed.held = Some(held);
            feed
        });
        let mut command = Command::new(owner, spec, streams, feed);
        command.keeper = session.keeper;
        command.session = Some(spec.session);
        command.effect = if lost {
            SessionEffect::Restored
        } else {
            SessionEffect::Kept
        };
        session.command = Some(number);
        self.commands.insert(number, command);
        self.own(owner, number);
        Ok(())
    }

    /// A shell has reported something.
    pub(super) fn hear_session(&mut self, number: u32) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        for said in session.listen() {
            let Some(session) = self.sessions.get_mut(&number) else {
                return;
            };
            match said {
                Said::Ready { cwd } => {
                    session.cwd = cwd;
                    if let Some((connection, id)) = session.opener.take() {
                        self.done(connection, id, number.into());
                    }
                }
                Said::Begun => {
                    if let Some(feed) = session
                        .command
                        .and_then(|command| self.commands.get_mut(&command)?.feed.as_mut())
                    {
                        feed.held = None;
                        feed.flush();
                    }
                }
                Said::Ended {
                    number: of,
                    status,
                    cwd,
                } if of == session.number => {
                    session.cwd = cwd.clone();
                    if let Some(command) = session.command {
                        let effect = self
                            .commands
                            .get(&command)
                            .map_or(SessionEffect::Kept, |command| command.effect);
                        self.ended_in_session(command, status, cwd, effect);
                    }
                }
                Said::Leaving {
                    number: of, cwd, ..
                } if of == session.number => {
                    session.leaving = true;
                    session.cwd = cwd;
                }
                Said::Saved { file } => {
                    session.saved = Some(file);
                    session.left_saved = session.leaving;
                }
                Said::Ended { .. } | Said::Leaving { .. } => {}
            }
        }
    }

    /// What a shell's keeper reports.
    pub(super) fn shell_says(&mut self, id: u64, number: u32, message: FromKeeper) {
        let Some(session) = self
            .sessions
            .get(&number)
            .filter(|session| session.keeper == id)
        else {
            return;
        };
        let command = session.command;
        match message {
            FromKeeper::Started { .. } => {}
            FromKeeper::NotStarted { stage, errno } => {
                let errno = nix::errno::Errno::from_raw(errno);
                let cwd = session
                    .first_cwd
                    .as_ref()
                    .map(|cwd| format!("{cwd:?}"))
                    .unwrap_or_default();
                let problem =
                    if stage == Stage::Program.number() && errno == nix::errno::Errno::ENOENT {
                        Problem::errno(
                            Failure::NoShell,
                            errno,
                            "a session needs bash, and the sandbox has none",
                        )
                    } else {
                        Stage::problem(
                            stage,
                            errno,
                            &Described {
                                program: "bash".to_owned(),
                                cwd,
                            },
                        )
                    };
                self.shell_failed(number, problem);
            }
            FromKeeper::Ended { signalled, value } => {
                self.hear_session(number);
                self.shell_ended(number, end(signalled, value));
            }
            FromKeeper::Killed { killed, survivors } => {
                if let Some(command) = command {
                    self.was_killed(command, killed, survivors);
                }
            }
        }
    }

    /// The shell has ended; a command of it with it.
    fn shell_ended(&mut self, number: u32, end: End) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        session.script = None;
        if session.opener.is_some() {
            let message = "the session's shell ended while it read the user's profile";
            return self.shell_failed(number, Problem::new(Failure::System, message));
        }
        let effect = if session.left_saved {
            SessionEffect::Renewed
        } else {
            SessionEffect::Restored
        };
        let cwd = session.cwd.clone();
        if let Some(command) = session
            .command
            .and_then(|command| self.commands.get_mut(&command))
            && command.end.is_none()
        {
            command.effect = effect;
            command.cwd = Some(cwd);
            command.ended(end);
        }
    }

    pub(super) fn shell_is_gone(&mut self, id: u64, number: u32, since: u64) {
        if self
            .sessions
            .get(&number)
            .is_some_and(|session| session.keeper == id && session.script.is_some())
        {
            // The keeper itself was killed, and nobody kills the shell for it.
            self.lost(since);
            self.hear_session(number);
            self.shell_ended(number, End::Signalled(9));
        }
        let command = self
            .sessions
            .get(&number)
            .and_then(|session| session.command);
        let waits = |command: &u64| {
            self.commands.get(command).is_some_and(|command| {
                command.keeper == id && command.killing.is_some() && command.killed.is_none()
            })
        };
        if let Some(command) = command.filter(waits) {
            self.was_killed(command, 0, 0);
        }
    }

    fn shell_failed(&mut self, number: u32, problem: Problem) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        session.script = None;
        if let Some((connection, id)) = session.opener.take() {
            if let Some(client) = self.connections.get_mut(&connection) {
                client.fail(id, problem);
            }
            self.forget_session(number);
            return;
        }
        if let Some(command) = session
            .command
            .take()
            .and_then(|command| self.commands.remove(&command))
        {
            self.fail_owner(command.owner, problem);
        }
    }

    /// A command of a session is over.
    pub(super) fn command_left_session(&mut self, number: u32) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        session.forget();
        session.command = None;
        session.commands += 1;
        if session.closing {
            self.forget_session(number);
        }
    }

    pub(super) fn close_session(&mut self, number: u32) -> Result<(), Problem> {
        let Some(session) = self.sessions.get(&number) else {
            return Err(Problem::new(
                Failure::NotFound,
                format!("there is no session {number}"),
            ));
        };
        if let Some(command) = session
            .command
            .and_then(|command| self.commands.get_mut(&command))
            .filter(|command| command.end.is_none())
        {
            command.cancelled = true;
            command.killing = Some(Instant::now());
            command.effect = SessionEffect::None;
        }
        for kept in self
            .keepers
            .values()
            .filter(|kept| kept.session == Some(number))
        {
            // One that cannot be told is gone already.
            let kill = ToKeeper::Kill {
                grace_ms: 0,
                since: 0,
            };
            kill.send(kept.keeper.socket.as_fd(), &[])
                .unwrap_or_default();
        }
        match self.sessions.get_mut(&number) {
            // The command's result comes with the report of its killing.
            Some(session) if session.command.is_some() => session.closing = true,
            _ => self.forget_session(number),
        }
        Ok(())
    }

    fn forget_session(&mut self, number: u32) {
        if let Some(session) = self.sessions.remove(&number) {
            session.directory.destroy();
            for kept in self
                .keepers
                .values_mut()
                .filter(|kept| kept.session == Some(number))
            {
                kept.session = None;
                let kill = ToKeeper::Kill {
                    grace_ms: 0,
                    since: 0,
                };
                kill.send(kept.keeper.socket.as_fd(), &[])
                    .unwrap_or_default();
            }
        }
    }

    pub(super) fn give_up_openings(&mut self, now: Instant) {
        let late: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.opener.is_some() && session.opened + OPENING <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            let message = format!(
                "the user's profile took longer than {} s",
                OPENING.as_secs()
            );
            self.shell_failed(number, Problem::new(Failure::System, message));
        }
    }

    pub(super) fn list_sessions(&self) -> Vec<SessionInfo> {
        let info = |(number, session): (&u32, &Session)| SessionInfo {
            session: *number,
            uid: session.identity.uid,
            cwd: session.cwd.clone(),
            busy: session.command.is_some(),
            commands: session.commands,
        };
        self.sessions.iter().map(info).collect()
    }
}
