//! Connecting to several addresses at once, with one bound for all.

use std::net::SocketAddrV4;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, getsockopt, socket,
};

use super::attempt::{DONE, name};

/// What an address that says nothing is answered with.
pub(super) const SILENT: &str = "silent";

/// What became of a connection to each address: `done`, an error's name, or `silent`.
pub(super) fn connect_all(addresses: &[SocketAddrV4], within: Duration) -> Vec<String> {
    let until = Instant::now() + within;
    let mut tries: Vec<_> = addresses.iter().copied().map(begin).collect();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let pending: Vec<_> = tries
            .iter()
            .enumerate()
            .filter_map(|(index, tried)| Some((index, tried.as_ref().err()?)))
            .collect();
        if pending.is_empty() || left.is_zero() {
            break;
        }
        let mut polled: Vec<_> = pending
            .iter()
            .map(|(_, fd)| PollFd::new(fd.as_fd(), PollFlags::POLLOUT))
            .collect();
        // A millisecond more than is left, so that the last round is not a busy one.
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        if !matches!(poll(&mut polled, timeout), Ok(_) | Err(Errno::EINTR)) {
            break;
        }
        let ready = polled
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        let answered: Vec<(usize, String)> = pending
            .iter()
            .zip(ready)
            .filter(|(_, ready)| *ready)
            .map(|((index, fd), _)| (*index, outcome(fd)))
            .collect();
        for (index, answer) in answered {
            tries[index] = Ok(answer);
        }
    }
    tries
        .into_iter()
        .map(|tried| tried.unwrap_or_else(|_| SILENT.to_owned()))
        .collect()
}

/// An answer, or a socket that waits for one.
fn begin(address: SocketAddrV4) -> Result<String, OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = match socket(AddressFamily::Inet, SockType::Stream, flags, None) {
        Ok(fd) => fd,
        Err(errno) => return Ok(name(errno)),
    };
    match connect(fd.as_raw_fd(), &SockaddrIn::from(address)) {
        Ok(()) => Ok(DONE.to_owned()),
        Err(Errno::EINPROGRESS) => Err(fd),
        Err(errno) => Ok(name(errno)),
    }
}

fn outcome(fd: &OwnedFd) -> String {
    match getsockopt(fd, SocketError) {
        Ok(0) => DONE.to_owned(),
        Ok(number) => name(Errno::from_raw(number)),
        Err(errno) => name(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use nix::sys::socket::{bind, getsockname};

    use super::*;

    #[test]
    fn an_open_and_a_closed_port_are_told_apart() {
        let open = TcpListener::bind("127.0.0.1:0").expect("a port");
        let opened = open.local_addr().expect("it is bound").port();
        // Bound and not listened on: nobody else can take it meanwhile.
        let flags = SockFlag::SOCK_CLOEXEC;
        let closed = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
        bind(closed.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port");
        let bound: SockaddrIn = getsockname(closed.as_raw_fd()).expect("it is bound");
        let ports = [opened, bound.port()];
        let addresses = ports.map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let answers = connect_all(&addresses, Duration::from_secs(30));
        assert_eq!(["done", "ECONNREFUSED"], *answers);
    }
}
