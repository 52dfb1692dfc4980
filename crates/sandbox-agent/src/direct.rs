//! The way past the engine: a client that can reach the sandbox's network comes by a connection of
//! its own, which spares every byte five copies and every frame four processes.
//!
//! What a client has to know to be let in is said on a stream that only the engine's users have. The
//! door is open until it has come, or has said that it does not.

use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, accept4, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};

use crate::connect::ConnectError;
use crate::sys;
use crate::wire::{COME, KEY, Offer, STAY, is_same_key};

/// How long a door is open.
const OPEN: Duration = Duration::from_secs(10);

/// How many connections are listened to at once; the oldest one makes room for the next.
const STRANGERS: usize = 16;

/// After how many seconds without a word the other side's kernel is asked for one, how often again,
/// and for how many milliseconds it may leave that, or data, unanswered.
const QUIET: u32 = 2;
const AGAIN: u32 = 1;
const UNHEARD: u32 = 3_500;

/// A port at which one client is waited for.
#[derive(Debug)]
pub(crate) struct Door {
    listener: OwnedFd,
    offer: Offer,
    strangers: Vec<Stranger>,
    until: Instant,
}

/// A connection of somebody who has not shown the whole key yet.
#[derive(Debug)]
struct Stranger {
    socket: OwnedFd,
    shown: Vec<u8>,
}

impl Door {
    /// Opens one, and says so on stdout, or that there is none: without a network,
    /// or without keys that nobody can guess.
    ///
    /// # Errors
    ///
    /// Where stdout takes nothing.
    pub(crate) fn open() -> std::io::Result<Option<Self>> {
        let door = Self::listen().ok();
        let line = Offer::to_line(door.as_ref().map(|door| &door.offer));
        let mut stdout = std::io::stdout();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()?;
        Ok(door)
    }

    fn listen() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        // The kernel chooses the port.
        bind(listener.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0))?;
        listen(&listener, Backlog::new(16)?)?;
        let offer = Offer {
            port: getsockname::<SockaddrIn>(listener.as_raw_fd())?.port(),
            clients: sys::secret()?,
            agents: sys::secret()?,
        };
        Ok(Self {
            listener,
            offer,
            strangers: Vec::new(),
            until: Instant::now() + OPEN,
        })
    }

    /// How long it is still open.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// What can be read where somebody has come, or has more to show.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let strangers = self.strangers.iter();
        let strangers = strangers.map(|stranger| stranger.socket.as_fd());
        strangers.chain([self.listener.as_fd()])
    }

    /// Looks after those who have come: the client, once it has shown its key.
    pub(crate) fn attend(&mut self) -> Option<OwnedFd> {
        let mut client = None;
        let done = self.strangers.extract_if(.., Stranger::has_shown_all);
        for stranger in done {
            client = stranger.let_in(&self.offer).or(client);
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        if let Ok(fd) = accept4(self.listener.as_raw_fd(), flags) {
            if self.strangers.len() >= STRANGERS {
                self.strangers.remove(0);
            }
            #[expect(unsafe_code, reason = "accept4 gives a number")]
            // SAFETY: the kernel has just made it for this process.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            self.strangers.push(Stranger {
                socket,
                shown: Vec::new(),
            });
        }
        client
    }
}

/// What the agent reads and writes.
pub(crate) enum Streams {
    Stdio,
    Direct(OwnedFd),
}

/// Says where the client may come to, and waits for its word on stdin.
pub(crate) fn choose() -> Result<Streams, ConnectError> {
    let mut door = Door::open().map_err(|_| ConnectError::NoChoice)?;
    let until = Instant::now() + OPEN;
    let mut client = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectError::NoChoice);
        }
        let stdin = std::io::stdin();
        let fds = [stdin.as_fd()].into_iter();
        let fds = fds.chain(door.iter().flat_map(Door::fds));
        let mut fds: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(source) => {
                return Err(ConnectError::System {
                    call: "wait for the client",
                    source,
                });
            }
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if fds.first().is_some_and(ready) {
            return word(client);
        }
        drop(fds);
        client = door.as_mut().and_then(Door::attend).or(client);
    }
}

/// What the client says on stdin: one byte, and not one more is read.
fn word(client: Option<OwnedFd>) -> Result<Streams, ConnectError> {
    let mut word = [0];
    match (nix::unistd::read(std::io::stdin(), &mut word), word, client) {
        (Ok(1), [STAY], _) => Ok(Streams::Stdio),
        (Ok(1), [COME], Some(client)) => Ok(Streams::Direct(client)),
        _ => Err(ConnectError::NoChoice),
    }
}

impl Stranger {
    /// Reads what has come of its key, and nothing of what follows it. Whether no more will come.
    fn has_shown_all(&mut self) -> bool {
        let mut rest = [0; KEY];
        let missing = KEY - self.shown.len();
        match nix::unistd::read(&self.socket, &mut rest[..missing]) {
            Ok(count @ 1..) => self.shown.extend_from_slice(&rest[..count]),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => return true,
        }
        self.shown.len() == KEY
    }

    /// Shows the client, and nobody else, the agent's key: the connection, if it takes it.
    fn let_in(self, offer: &Offer) -> Option<OwnedFd> {
        let key = <[u8; KEY]>::try_from(self.shown).ok()?;
        if !is_same_key(&key, &offer.clients) {
            return None;
        }
        prepare(&self.socket).ok()?;
        let shown = nix::unistd::write(&self.socket, &offer.agents);
        (shown == Ok(KEY)).then_some(self.socket)
    }
}

fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    // Frames are small and waited for.
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &QUIET)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &AGAIN)?;
    setsockopt(socket, sockopt::TcpUserTimeout, &UNHEARD)
}
