//! Who listens in this container on a gateway's port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use profile_boot::lifecycle::{GatewayStatus, State};
use profile_boot::port;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Whether somebody listens on a gateway's port while the gateway does not run.
pub(crate) fn has_stranger_on_port_of(gateway: &GatewayStatus) -> bool {
    let is_idle = matches!(
        gateway.state,
        State::Down | State::Parked | State::Unsupervised
    );
    let port = gateway.port.map(|assigned| assigned.port.number());
    is_idle && port.is_some_and(has_listener)
}

/// What can be done about a stranger on a gateway's port.
pub(crate) fn hint(gateway: &GatewayStatus) -> String {
    format!(
        "end what does, or set {} in {}",
        port::VARIABLE,
        gateway.directory.join(".env").display()
    )
}

/// Whether the TCP port has a listener, on any address.
///
/// The kernel is asked by binding the port, without listening on it: with `SO_REUSEADDR` only a
/// listener is in the way. To read `/proc/net/tcp` takes milliseconds, the table being walked whole
/// for every read.
fn has_listener(port: u16) -> bool {
    let [v6, v4] = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ];
    // Without IPv6 there is nobody to be in the way there.
    [v6, v4].map(can_bind).contains(&Err(Errno::ADDRINUSE))
}

fn can_bind(address: SocketAddr) -> Result<(), Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_are_seen_on_any_address_and_those_that_are_gone_are_not() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            assert!(has_listener(port), "{address}");
            drop(listener);
            assert!(!has_listener(port), "{address}");
        }
    }
}
