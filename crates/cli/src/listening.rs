//! Who listens in this container, and on whose port.

use std::collections::BTreeSet;

use profile_boot::lifecycle::{GatewayStatus, State};
use profile_boot::port;

/// `TCP_LISTEN` in the kernel's tables.
const LISTENING: &str = "0A";

/// The TCP ports that somebody listens on.
#[derive(Debug)]
pub(crate) struct Listening(BTreeSet<u16>);

impl Listening {
    pub(crate) fn now() -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let texts = tables.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let lines = texts.iter().flat_map(|text| text.lines());
        Self(lines.filter_map(listener).collect())
    }

    /// Whether somebody listens on a gateway's port while the gateway does not run.
    pub(crate) fn has_stranger_on_port_of(&self, gateway: &GatewayStatus) -> bool {
        let is_idle = matches!(
            gateway.state,
            State::Down | State::Parked | State::Unsupervised
        );
        let port = gateway.port.map(|assigned| assigned.port.number());
        is_idle && port.is_some_and(|port| self.0.contains(&port))
    }
}

/// What can be done about a stranger on a gateway's port.
pub(crate) fn hint(gateway: &GatewayStatus) -> String {
    format!(
        "end what does, or set {} in {}",
        port::VARIABLE,
        gateway.directory.join(".env").display()
    )
}

fn listener(line: &str) -> Option<u16> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (_, port) = words.next()?.rsplit_once(':')?;
    let state = words.nth(1)?;
    (state == LISTENING).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(Listening::now().0.contains(&port));
    }
}
