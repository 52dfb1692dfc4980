//! The way past the engine: a client that can reach the sandbox's network comes by a connection of
//! its own, which spares every byte five copies and every frame four processes.
//!
//! What a client has to know to be let in goes over the exec's stream, which only the engine's users
//! have. The port is open until it has come, or has said that it does not.

use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
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

/// How long a client may take to choose.
const CHOOSING: Duration = Duration::from_secs(10);

/// How many connections are listened to at once; the oldest one makes room for the next.
const STRANGERS: usize = 16;

/// What the agent reads and writes.
pub(crate) enum Streams {
    Stdio,
    Direct(OwnedFd),
}

/// A connection of somebody who has not shown the whole key yet.
struct Stranger {
    socket: OwnedFd,
    shown: Vec<u8>,
}

/// Says where the client may come to, and waits until it has chosen.
pub(crate) fn offer() -> Result<Streams, ConnectError> {
    // Where there is no network, there is the stream.
    let listener = listener().ok();
    let offer = listener.as_ref().map(|(_, port)| Offer {
        port: *port,
        clients: sys::random(),
        agents: sys::random(),
    });
    let line = Offer::to_line(offer.as_ref());
    let mut stdout = std::io::stdout();
    let said = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush());
    said.map_err(|_| ConnectError::NoChoice)?;
    let listener = listener.as_ref().map(|(listener, _)| listener);
    choose(listener.zip(offer.as_ref()))
}

/// A port that the kernel chooses.
fn listener() -> Result<(OwnedFd, u16), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    bind(listener.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0))?;
    listen(&listener, Backlog::new(16)?)?;
    let port = getsockname::<SockaddrIn>(listener.as_raw_fd())?.port();
    Ok((listener, port))
}

/// Waits for the client's word on stdin, and lets it in at the port meanwhile.
fn choose(open: Option<(&OwnedFd, &Offer)>) -> Result<Streams, ConnectError> {
    let until = Instant::now() + CHOOSING;
    let mut strangers: Vec<Stranger> = Vec::new();
    let mut client = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectError::NoChoice);
        }
        let stdin = std::io::stdin();
        let mut fds = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if let Some((listener, _)) = open {
            let all = strangers.iter().map(|stranger| stranger.socket.as_fd());
            let all = all.chain([listener.as_fd()]);
            fds.extend(all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        }
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
        if fds.first().is_some_and(is_ready) {
            return word(client);
        }
        let Some((listener, offer)) = open else {
            continue;
        };
        for stranger in strangers.extract_if(.., Stranger::has_shown_all) {
            client = stranger.let_in(offer).or(client);
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        if let Ok(fd) = accept4(listener.as_raw_fd(), flags) {
            if strangers.len() >= STRANGERS {
                strangers.remove(0);
            }
            #[expect(unsafe_code, reason = "accept4 gives a number")]
            // SAFETY: the kernel has just made it for this process.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            strangers.push(Stranger {
                socket,
                shown: Vec::new(),
            });
        }
    }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|events| !events.is_empty())
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
        // Frames are small and waited for.
        setsockopt(&self.socket, sockopt::TcpNoDelay, &true).ok()?;
        let shown = nix::unistd::write(&self.socket, &offer.agents);
        (shown == Ok(KEY)).then_some(self.socket)
    }
}
