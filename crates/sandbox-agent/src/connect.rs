//! What an attached exec runs: hands its stdin and stdout to the agent that serves, and waits.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, UnixCredentials, bind, connect,
    getsockopt, listen, socket, sockopt,
};

use crate::direct::{self, Streams};
use crate::message;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens.
    #[error("no agent serves in this sandbox")]
    NotServed(#[source] Errno),
    /// Somebody else listens.
    #[error(
        "what listens in the agent's place belongs to uid {uid}, process {pid}, not to root or uid {own}"
    )]
    Impostor {
        /// Its user id.
        uid: u32,
        /// Its process id; 0 for one that is not of this sandbox.
        pid: i32,
        /// The user id of this process.
        own: u32,
    },
    /// The agent does not serve this user.
    #[error("the agent does not serve uid {own}: run this as root, or as the agent's user")]
    Refused {
        /// The user id of this process.
        own: u32,
    },
    /// The client has gone, or has not said how it wants to go on.
    #[error("the client does not say how it wants to go on")]
    NoChoice,
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

impl ConnectError {
    fn system(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::System { call, source }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotServed(_) => Some("the sandbox's main process must be: sandbox-agent serve"),
            Self::Impostor { .. } => Some("recreate the sandbox"),
            Self::Refused { .. } | Self::NoChoice | Self::System { .. } => None,
        }
    }
}

/// Sandboxes that share a network namespace share its abstract names, so the name holds the
/// process namespace.
fn address() -> Result<UnixAddr, Errno> {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = namespace
        .to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    UnixAddr::new_abstract(format!("talaria-sandbox-agent.{digits}").as_bytes())
}

fn messages() -> Result<OwnedFd, Errno> {
    socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// Whoever is at the other end.
pub(crate) fn peer(socket: &OwnedFd) -> Result<UnixCredentials, Errno> {
    getsockopt(socket, sockopt::PeerCredentials)
}

/// Whether a client is served: one of this sandbox, root's or this user's.
pub(crate) fn is_served(peer: &UnixCredentials) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    peer.pid() != 0 && (peer.uid() == 0 || peer.uid() == own)
}

/// Whether a server is spoken to.
///
/// Root speaks to anybody's: under an init that drops privileges, the agent is another user. What
/// is handed over is the client's stream alone, over which a sandbox may claim what it likes.
fn is_spoken_to(peer: &UnixCredentials) -> bool {
    is_served(peer) || (peer.pid() != 0 && nix::unistd::geteuid().is_root())
}

/// The socket that the agent listens on.
pub(crate) fn listener() -> Result<OwnedFd, Errno> {
    let socket = messages()?;
    bind(socket.as_raw_fd(), &address()?)?;
    listen(&socket, Backlog::new(64)?)?;
    crate::sys::nonblocking(&socket)?;
    Ok(socket)
}

/// Hands stdin and stdout to the agent and waits until it is done with them. With `direct`, hands a
/// connection over instead where the client comes by one, as [`Offer`](crate::wire::Offer) says.
///
/// # Errors
///
/// [`ConnectError`]: nobody serves, or somebody who should not.
pub fn run(direct: bool) -> Result<(), ConnectError> {
    let own = nix::unistd::geteuid().as_raw();
    let socket = messages().map_err(ConnectError::system("make a socket"))?;
    let address = address().map_err(ConnectError::system("name the socket"))?;
    connect(socket.as_raw_fd(), &address).map_err(ConnectError::NotServed)?;
    let peer = peer(&socket).map_err(ConnectError::system("ask who serves"))?;
    if !is_spoken_to(&peer) {
        return Err(ConnectError::Impostor {
            uid: peer.uid(),
            pid: peer.pid(),
            own,
        });
    }
    let chosen = if direct {
        direct::choose()?
    } else {
        Streams::Stdio
    };
    let streams = match &chosen {
        Streams::Stdio => [0, 1],
        Streams::Direct(connection) => [connection.as_raw_fd(); 2],
    };
    match message::send_with(socket.as_fd(), b"c", &streams) {
        Ok(()) => {}
        Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ConnectError::Refused { own }),
        Err(source) => {
            return Err(ConnectError::System {
                call: "hand the streams over",
                source,
            });
        }
    }
    // This process keeps no end of a stream that it has handed over, so that each side sees the
    // other one's end. An exec whose stream it has not tells of the client's end all the same,
    // where a network that was taken away does not.
    let own_stdin = matches!(chosen, Streams::Direct(_));
    drop(chosen);
    crate::sys::close_others(&[socket.as_raw_fd()]);
    if !own_stdin {
        release_stdio();
    }
    loop {
        if own_stdin && !wait(&socket).map_err(ConnectError::system("wait for the agent"))? {
            return Ok(());
        }
        match message::receive(socket.as_fd()) {
            Ok(Some((bytes, _))) if bytes == b"r" => return Err(ConnectError::Refused { own }),
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Ok(None) | Err(Errno::ECONNRESET) => return Ok(()),
            Err(source) => {
                return Err(ConnectError::System {
                    call: "wait for the agent",
                    source,
                });
            }
        }
    }
}

/// Waits until the agent says something; false where stdin ends first.
fn wait(agent: &OwnedFd) -> Result<bool, Errno> {
    let stdin = std::io::stdin();
    loop {
        let mut fds = [stdin.as_fd(), agent.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        let [stdin_is_ready, agent_is_ready] =
            fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if agent_is_ready {
            return Ok(true);
        }
        // All has been said: what comes is nobody's.
        if stdin_is_ready && !matches!(nix::unistd::read(&stdin, &mut [0; 64]), Ok(1..)) {
            return Ok(false);
        }
    }
}

/// Puts `/dev/null` in the place of stdin and stdout.
fn release_stdio() {
    use nix::fcntl::{OFlag, open};
    let null = open(
        "/dev/null",
        OFlag::O_RDWR | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    );
    if let Ok(null) = null {
        for target in [0, 1] {
            // Where it fails, the client sees the end when this process does.
            crate::sys::dup_onto(null.as_raw_fd(), target).unwrap_or_default();
        }
    }
}
