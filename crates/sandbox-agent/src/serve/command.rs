//! A command that runs, from its request to its result.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::output::{Capture, Sink, Stream};
use crate::child::{Asked, Child, Described};
use crate::failure::Problem;
use crate::sys;
use crate::user::Identity;
use crate::wire::{
    Bytes, Channel, End, Ended, Failure, INITIAL_CREDIT, Input, MAX_DATA, OnDisconnect, Output,
    Program, RunSpec, SessionEffect, Variable,
};

/// Whose result it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Request { connection: u64, id: u32 },
    Job(u32),
    Nobody,
}

/// What a command reads.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Nothing once the command does not read any more, or all has been given.
    pub(crate) fd: Option<OwnedFd>,
    /// Keeps a FIFO readable until the shell has opened it.
    pub(crate) held: Option<OwnedFd>,
    waiting: VecDeque<u8>,
    ended: bool,
    window: u64,
    owed: u32,
    terminal: bool,
}

/// A command that runs.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Command {
    pub(crate) owner: Owner,
    pub(crate) keeper: u64,
    pub(crate) session: Option<u32>,
    pub(crate) streams: [Stream; 2],
    pub(crate) feed: Option<Feed>,
    pub(crate) terminal: bool,
    pub(crate) pid: i32,
    /// When it began, in clock ticks since boot.
    pub(crate) since: u64,
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) grace_ms: u32,
    /// When its killing began.
    pub(crate) killing: Option<Instant>,
    pub(crate) killed: Option<(u32, u32)>,
    pub(crate) timed_out: bool,
    pub(crate) cancelled: bool,
    pub(crate) end: Option<(End, Instant)>,
    pub(crate) settled: bool,
    pub(crate) parts: Option<VecDeque<(Channel, Vec<u8>)>>,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) cwd: Option<Bytes>,
    pub(crate) effect: SessionEffect,
    pub(crate) described: Described,
    /// Requests that wait for its killing.
    pub(crate) waiters: Vec<(u64, u32)>,
}

impl Command {
    pub(crate) fn new(
        owner: Owner,
        spec: &RunSpec,
        streams: [Stream; 2],
        feed: Option<Feed>,
    ) -> Self {
        let started = Instant::now();
        let after = |ms: u64| {
            (ms > 0)
                .then(|| started.checked_add(Duration::from_millis(ms)))
                .flatten()
        };
        Self {
            owner,
            keeper: 0,
            session: None,
            streams,
            feed,
            terminal: spec.pty.is_some(),
            pid: 0,
            since: sys::ticks(sys::since_boot()),
            started,
            deadline: after(spec.timeout_ms),
            grace_ms: spec.grace_ms.min(60_000),
            killing: None,
            killed: None,
            timed_out: false,
            cancelled: false,
            end: None,
            settled: false,
            parts: None,
            on_disconnect: spec.on_disconnect,
            cwd: None,
            effect: SessionEffect::None,
            described: describe(spec),
            waiters: Vec::new(),
        }
    }

    /// Notes the end, once.
    pub(crate) fn ended(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some((end, Instant::now()));
        }
    }

    /// Whether the end is known and nothing that is being killed is left.
    pub(crate) fn is_quiet(&self) -> bool {
        self.end.is_some() && (self.killing.is_none() || self.killed.is_some())
    }

    /// Prepares what is left to send, once all that the command wrote has been read.
    pub(crate) fn collect(&mut self) {
        if !self.settled && self.is_quiet() {
            self.streams
                .iter_mut()
                .for_each(|stream| stream.settle(self.terminal));
            self.settled = true;
        }
        if self.settled
            && self.terminal
            && self
                .end
                .is_some_and(|(_, at)| at.elapsed() > TERMINAL_LINGER)
        {
            self.streams[0].limit = Some(0);
        }
        if self.settled && self.parts.is_none() && self.streams.iter().all(Stream::is_done) {
            let mut parts = self.streams[0].captured(Channel::Stdout, Channel::StdoutTail);
            parts.extend(self.streams[1].captured(Channel::Stderr, Channel::StderrTail));
            self.parts = Some(parts.into());
        }
    }

    /// The next piece of what was captured, as far as credit goes.
    pub(crate) fn next_part(&mut self) -> Option<(Channel, Vec<u8>)> {
        let parts = self.parts.as_mut()?;
        loop {
            let (channel, bytes) = parts.front_mut()?;
            if bytes.is_empty() {
                parts.pop_front();
                continue;
            }
            let stream = usize::from(matches!(channel, Channel::Stderr | Channel::StderrTail));
            let credit = &mut self.streams[stream].credit;
            let count = bytes
                .len()
                .min(MAX_DATA)
                .min(usize::try_from(*credit).unwrap_or(MAX_DATA));
            if count == 0 {
                return None;
            }
            *credit -= count as u64;
            let channel = *channel;
            let rest = bytes.split_off(count);
            return Some((channel, std::mem::replace(bytes, rest)));
        }
    }

    /// The result, once everything has been sent.
    pub(crate) fn result(&self) -> Option<Ended> {
        if !self
            .parts
            .as_ref()
            .is_some_and(|parts| parts.iter().all(|(_, bytes)| bytes.is_empty()))
        {
            return None;
        }
        let (end, at) = self.end?;
        let (killed, survivors) = self.killed.unwrap_or((0, 0));
        Some(Ended {
            end,
            stdout: self.streams[0].counts.clone(),
            stderr: self.streams[1].counts.clone(),
            timed_out: self.timed_out,
            cancelled: self.cancelled,
            killed,
            survivors,
            duration_us: u64::try_from((at - self.started).as_micros()).unwrap_or(u64::MAX),
            cwd: self.cwd.clone(),
            session: self.effect,
        })
    }
}

/// How long a terminal is read after its command has ended.
pub(crate) const TERMINAL_LINGER: Duration = Duration::from_millis(100);

fn describe(spec: &RunSpec) -> Described {
    let program = match &spec.program {
        Program::Argv(argv) => argv
            .first()
            .map(|name| format!("{name:?}"))
            .unwrap_or_default(),
        Program::Shell(_) => "a shell".to_owned(),
    };
    Described {
        program: program.chars().take(500).collect(),
        cwd: spec
            .cwd
            .as_ref()
            .map(|cwd| format!("{cwd:?}"))
            .unwrap_or_default()
            .chars()
            .take(500)
            .collect(),
    }
}

/// Where one stream's bytes go, by what was asked.
pub(crate) fn sink(output: Output, name: &str, owner: &Identity) -> Sink {
    match output {
        Output::Stream => Sink::Client,
        Output::Discard => Sink::Nobody,
        Output::Capture { head, tail, spill } => Sink::Capture(Box::new(Capture::new(
            (head, tail, spill),
            name.to_owned(),
            owner.clone(),
        ))),
    }
}

/// A command's ends of its pipes, and the child that has the others.
pub(crate) struct Prepared {
    pub(crate) child: Child,
    pub(crate) outputs: [Option<OwnedFd>; 2],
    pub(crate) feed: Option<Feed>,
}

pub(crate) fn null() -> Result<OwnedFd, Problem> {
    use nix::fcntl::{OFlag, open};
    open(
        "/dev/null",
        OFlag::O_RDWR | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )
    .map_err(Problem::system("open /dev/null"))
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Problem> {
    fd.try_clone()
        .map_err(|error| Problem::system("dup")(Errno::from_raw(error.raw_os_error().unwrap_or(0))))
}

/// Makes pipes or a terminal for a command that is no session's.
pub(crate) fn prepare(
    spec: &RunSpec,
    identity: &Identity,
    env: &[Variable],
) -> Result<Prepared, Problem> {
    if env
        .iter()
        .any(|variable| variable.name.0.is_empty() || variable.name.0.contains(&b'='))
    {
        return Err(Problem::new(
            Failure::Invalid,
            "a variable's name is empty or holds a =",
        ));
    }
    let asked = Asked {
        program: &spec.program,
        cwd: spec.cwd.as_ref(),
        env_clear: spec.env_clear,
        env,
        identity: identity.clone(),
        terminal: spec.pty.is_some(),
    };
    if let Some(window) = spec.pty {
        let pty = nix::pty::openpty(None, None).map_err(Problem::system("openpty"))?;
        sys::resize(pty.master.as_fd(), window.rows, window.columns)
            .map_err(Problem::system("ioctl"))?;
        for fd in [&pty.master, &pty.slave] {
            use nix::fcntl::{FcntlArg, FdFlag, fcntl};
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(Problem::system("fcntl"))?;
        }
        sys::nonblocking(&pty.master).map_err(Problem::system("fcntl"))?;
        if identity.switch {
            // Programs that open their terminal by its name are refused without this.
            nix::unistd::fchown(&pty.slave, Some(identity.uid.into()), None).unwrap_or_default();
        }
        let stdio = [duplicate(&pty.slave)?, duplicate(&pty.slave)?, pty.slave];
        let feed = Feed::new(duplicate(&pty.master)?, true);
        return Ok(Prepared {
            child: Child::new(&asked, stdio)?,
            outputs: [Some(pty.master), None],
            feed: Some(feed),
        });
    }
    let pipe = || sys::pipe().map_err(Problem::system("pipe"));
    let (stdin, feed) = match spec.input {
        Input::Null => (null()?, None),
        Input::Stream => {
            let (read, write) = pipe()?;
            sys::nonblocking(&write).map_err(Problem::system("fcntl"))?;
            (read, Some(Feed::new(write, false)))
        }
    };
    let (out, stdout) = pipe()?;
    let (err, stderr) = pipe()?;
    for fd in [&out, &err] {
        sys::nonblocking(fd).map_err(Problem::system("fcntl"))?;
    }
    Ok(Prepared {
        child: Child::new(&asked, [stdin, stdout, stderr])?,
        outputs: [Some(out), Some(err)],
        feed,
    })
}

impl Feed {
    pub(crate) fn new(fd: OwnedFd, terminal: bool) -> Self {
        Self {
            fd: Some(fd),
            held: None,
            waiting: VecDeque::new(),
            ended: false,
            window: INITIAL_CREDIT.into(),
            owed: 0,
            terminal,
        }
    }

    /// Takes bytes from the client. False where it sends more than it may.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let count = bytes.len() as u64;
        if self.ended || count > self.window {
            return false;
        }
        self.window -= count;
        if self.fd.is_some() {
            self.waiting.extend(bytes);
        } else {
            self.owe(bytes.len());
        }
        true
    }

    fn owe(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_add(count);
    }

    pub(crate) fn end(&mut self) {
        if self.terminal && !self.ended {
            // What a terminal takes for the end of its input.
            self.waiting.push_back(4);
        }
        self.ended = true;
    }

    pub(crate) fn wants(&self) -> bool {
        self.fd.is_some() && !self.waiting.is_empty()
    }

    /// Gives the command what it takes.
    pub(crate) fn flush(&mut self) {
        while let Some(fd) = self.fd.as_ref().filter(|_| !self.waiting.is_empty()) {
            let (first, _) = self.waiting.as_slices();
            match nix::unistd::write(fd, first) {
                Ok(count) => {
                    self.waiting.drain(..count);
                    self.owe(count);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    // It has closed its stdin; the client may as well go on.
                    let count = self.waiting.len();
                    self.waiting.clear();
                    self.owe(count);
                    self.fd = None;
                }
            }
        }
        if self.ended && !self.terminal && self.held.is_none() {
            self.fd = None;
        }
    }

    /// Credit that the client gets back.
    pub(crate) fn credit(&mut self) -> Option<u32> {
        if self.owed == 0 || (!self.waiting.is_empty() && self.owed < INITIAL_CREDIT / 4) {
            return None;
        }
        let owed = std::mem::take(&mut self.owed);
        self.window += u64::from(owed);
        Some(owed)
    }
}

impl Command {
    /// Nobody hears of its output any more.
    pub(crate) fn abandon(&mut self) {
        for stream in &mut self.streams {
            stream.sink = Sink::Nobody;
        }
        if let Some(feed) = &mut self.feed {
            feed.end();
            feed.flush();
        }
    }
}
