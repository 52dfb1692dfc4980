//! The serving agent: one thread, one loop over everything that can happen.

mod command;
mod commands;
mod connection;
mod ending;
mod events;
mod job;
mod output;
mod requests;
mod session;
mod sessions;
mod transfers;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::direct::Door;
use crate::failure::Problem;
use crate::keeper::Keeper;
use crate::lease::Lease;
use crate::scratch::Scratch;
use crate::user::Identity;
use crate::wire::AgentHello;
use crate::{connect, process, sys};

use command::Command;
use connection::Connection;
use job::Job;
use session::Session;
use transfers::Transfer;

/// Why the agent cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Processes cannot be seen, and so not be killed.
    #[error("/proc does not show the sandbox's processes")]
    NoProc,
    /// Another one serves.
    #[error("another agent serves in this sandbox")]
    Served,
    /// A system call failed.
    #[error("cannot {call}")]
    System {
        /// What was tried.
        call: &'static str,
        /// Why it failed.
        #[source]
        source: Errno,
    },
}

/// A keeper and what it keeps.
#[derive(Debug)]
struct Kept {
    keeper: Keeper,
    /// The command whose result it will tell; a session's shell otherwise, or only leftovers.
    command: Option<u64>,
    session: Option<u32>,
}

/// How many clients are taken at once.
const BACKLOG: usize = 64;

/// Everything that the agent knows.
struct Agent {
    listener: OwnedFd,
    signals: SignalFd,
    /// Where the first client may come to.
    door: Option<Door>,
    /// Connected, but nothing has been handed over yet.
    strangers: Vec<OwnedFd>,
    connections: BTreeMap<u64, Connection>,
    commands: BTreeMap<u64, Command>,
    keepers: BTreeMap<u64, Kept>,
    sessions: BTreeMap<u32, Session>,
    jobs: BTreeMap<u32, Job>,
    transfers: BTreeMap<u64, Transfer>,
    lease: Lease,
    scratch: Option<Scratch>,
    spills: Option<Scratch>,
    /// Who commands are where nobody says who, as the sandbox knew them when it began.
    own: Identity,
    hello: AgentHello,
    begun: Instant,
    last: u64,
    last_small: u32,
    /// Orphans started since this tick belong to a keeper that is lost.
    strays: Option<(u64, u32)>,
    /// Closed to have room for a client that is told that there is none.
    spare: Option<OwnedFd>,
    /// Whether nothing can be waited for any more.
    broken: bool,
    /// Whether a command ran when that was last asked.
    was_busy: bool,
    buffer: Vec<u8>,
}

/// What the agent is told when it starts.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Options {
    /// After how many seconds without use the sandbox ends; 0 for never.
    pub lease_secs: u32,
    /// Whether the first client may come by a connection of its own, as
    /// [`Offer`](crate::wire::Offer) says.
    pub direct: bool,
}

/// Serves until the lease lapses or a signal ends it; the exit code.
///
/// # Errors
///
/// [`ServeError`] where serving cannot begin.
pub fn run(options: Options) -> Result<u8, ServeError> {
    let system = |call| move |source| ServeError::System { call, source };
    if process::one(std::process::id().cast_signed()).is_none() {
        return Err(ServeError::NoProc);
    }
    sys::raise_files();
    sys::own_signals();
    sys::become_undumpable().map_err(system("become undumpable"))?;
    sys::become_subreaper().map_err(system("become a subreaper"))?;
    let set: SigSet = [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ]
    .into_iter()
    .collect();
    set.thread_block().map_err(system("block signals"))?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(system("make a signalfd"))?;
    let listener = connect::listener().map_err(|source| match source {
        Errno::EADDRINUSE => ServeError::Served,
        source => ServeError::System {
            call: "listen",
            source,
        },
    })?;
    let mut agent = Agent {
        listener,
        signals,
        door: None,
        strangers: Vec::new(),
        connections: BTreeMap::new(),
        commands: BTreeMap::new(),
        keepers: BTreeMap::new(),
        sessions: BTreeMap::new(),
        jobs: BTreeMap::new(),
        transfers: BTreeMap::new(),
        lease: Lease::new(options.lease_secs, sys::since_boot()),
        scratch: None,
        spills: None,
        own: Identity::own(),
        hello: crate::identity::hello(),
        begun: Instant::now(),
        last: 0,
        last_small: 0,
        strays: None,
        spare: command::null().ok(),
        broken: false,
        was_busy: false,
        buffer: vec![0; 64 << 10],
    };
    if options.direct {
        // Where nobody hears of it, nobody comes.
        agent.door = Door::open().unwrap_or_default();
    }
    Ok(agent.serve())
}

impl Agent {
    fn serve(&mut self) -> u8 {
        loop {
            if let Some(code) = self.is_over() {
                self.end_everything();
                return code;
            }
            let ready = self.wait();
            for event in ready {
                if let Some(code) = self.handle(event) {
                    self.end_everything();
                    return code;
                }
            }
            self.keep_time();
            self.read_on();
            self.pump();
        }
    }

    /// Whom a request means.
    fn identity(&self, named: Option<&str>) -> Result<Identity, Problem> {
        named.map_or_else(|| Ok(self.own.clone()), Identity::find)
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn small_number(&mut self) -> u32 {
        self.last_small += 1;
        self.last_small
    }

    fn is_busy(&self) -> bool {
        // A result that waits for a client that does not take it, like a transfer, is no use by
        // itself: what moves of either renews the lease.
        self.commands.values().any(|command| !command.is_quiet())
    }

    /// The exit code, if the lease has lapsed.
    fn is_over(&mut self) -> Option<u8> {
        if self.broken {
            return Some(1);
        }
        let now = sys::since_boot();
        let is_busy = self.is_busy();
        // The end of a command is a use as well: the last renewal may be a whole lease ago.
        if is_busy || self.was_busy {
            self.lease.renew(now);
        }
        self.was_busy = is_busy;
        (self.lease.left(now)? == Duration::ZERO).then_some(0)
    }

    /// When something is due even if nothing happens.
    fn due(&self) -> PollTimeout {
        let now = Instant::now();
        let mut left = self.lease.left(sys::since_boot());
        let mut at_most =
            |duration: Duration| left = Some(left.map_or(duration, |left| left.min(duration)));
        for command in self.commands.values() {
            if let Some(deadline) = command
                .deadline
                .filter(|_| command.killing.is_none() && command.end.is_none())
            {
                at_most(deadline.saturating_duration_since(now));
            }
            if command.killing.is_some() && command.killed.is_none() {
                at_most(Duration::from_millis(200));
            }
            if command.terminal && command.settled {
                at_most(Duration::from_millis(20));
            }
        }
        if let Some(door) = &self.door {
            at_most(door.left());
        }
        for connection in self.connections.values() {
            if connection.is_due() {
                at_most(Duration::ZERO);
            }
            if let Some(until) = connection.lingers() {
                at_most(until.saturating_duration_since(now));
            }
        }
        if self.strays.is_some() {
            at_most(Duration::from_millis(5));
        }
        if self
            .sessions
            .values()
            .any(|session| session.opener.is_some())
        {
            at_most(Duration::from_millis(200));
        }
        match left {
            None => PollTimeout::NONE,
            // Rounded up, or the last millisecond would be spent spinning.
            Some(left) => PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX),
        }
    }

    fn scratch(&mut self) -> Result<&Scratch, Errno> {
        if self.scratch.is_none() {
            self.scratch = Some(Scratch::small()?);
        }
        self.scratch.as_ref().ok_or(Errno::ENOENT)
    }

    /// Takes what has ended; keepers tell of their own end by their sockets. What of the agent's own
    /// has been stopped goes on.
    fn reap(&self) {
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        while let Ok(status) = waitpid(None, Some(flags)) {
            match status {
                WaitStatus::StillAlive => return,
                WaitStatus::Stopped(pid, _) if self.forks().contains(&pid.as_raw()) => {
                    crate::massacre::signal(pid.as_raw(), Signal::SIGCONT as i32)
                        .unwrap_or_default();
                }
                _ => {}
            }
        }
    }

    /// A keeper was killed: what it kept is the agent's own now, and is killed.
    fn lost(&mut self, since: u64) {
        let since = self.strays.map_or(since, |(other, _)| other.min(since));
        self.strays = Some((since, 0));
    }

    fn accept(&mut self) {
        use nix::sys::socket::{SockFlag, accept4};
        use std::os::fd::{AsRawFd, FromRawFd};
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        for _ in 0..BACKLOG {
            let fd = match accept4(self.listener.as_raw_fd(), flags) {
                Ok(fd) => fd,
                Err(Errno::EMFILE | Errno::ENFILE) => {
                    // Whoever waits is turned away, or it would be heard of for ever.
                    self.spare = None;
                    if let Ok(fd) = accept4(self.listener.as_raw_fd(), flags) {
                        nix::unistd::close(fd).unwrap_or_default();
                    }
                    self.spare = command::null().ok();
                    return;
                }
                Err(_) => return,
            };
            #[expect(unsafe_code, reason = "accept4 gives a number")]
            // SAFETY: the kernel has just made it for this process.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            if connect::peer(&socket).is_ok_and(|peer| connect::is_served(&peer)) {
                if self.strangers.len() >= 4 * BACKLOG {
                    // Whoever connects and says nothing makes room for who comes now.
                    self.strangers.remove(0);
                }
                self.strangers.push(socket);
            } else {
                // It hears it if it still listens.
                crate::message::send_with(socket.as_fd(), b"r", &[]).unwrap_or_default();
            }
        }
    }
}
