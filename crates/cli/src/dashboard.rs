//! The dashboard, seen from inside a container: beside the gateways of one, or the whole of one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use profile_boot::environment::is_truthy;
use profile_boot::lifecycle::{self, DashboardStatus, Site};

use crate::failure::Failure;
use crate::place;

/// There where the dashboard is the container's command, with the address that it listens on.
const ALONE: &str = "/run/s6/init/dashboard";
/// Where it listens unless it is told otherwise.
const PORT: &str = "9119";
const ANSWERS: Duration = Duration::from_secs(3);

/// The container's dashboard.
pub(crate) enum Dashboard {
    /// The container is there for it alone; gateways are another container's.
    Alone(Address),
    /// It has a slot beside the gateways.
    Slot {
        status: DashboardStatus,
        /// Whether the container's environment asks for it.
        wanted: bool,
        /// Where it listens, or would.
        port: String,
    },
    /// The agent has none.
    None,
}

/// Where a dashboard listens, in the words of its arguments.
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: String,
}

impl Dashboard {
    pub(crate) fn look(site: &Site) -> Result<Self, Failure> {
        if let Some(address) = alone(Path::new(ALONE)) {
            return Ok(Self::Alone(address));
        }
        let Some(status) = lifecycle::dashboard(site)? else {
            return Ok(Self::None);
        };
        let said = |name| place::container_variable(name).filter(|value| !value.is_empty());
        Ok(Self::Slot {
            status,
            wanted: said("HERMES_DASHBOARD").is_some_and(|value| is_truthy(&value)),
            port: said("HERMES_DASHBOARD_PORT").unwrap_or_else(|| PORT.to_owned()),
        })
    }
}

/// Whether this container is there for the dashboard alone.
fn alone(marker: &Path) -> Option<Address> {
    let text = std::fs::read_to_string(marker).ok()?;
    let (host, port) = text.split_once(' ').unwrap_or(("127.0.0.1", PORT));
    Some(Address {
        host: host.to_owned(),
        port: port.to_owned(),
    })
}

impl Address {
    /// Whether somebody listens there.
    pub(crate) fn answers(&self) -> io::Result<()> {
        let port = self.port.parse().map_err(io::Error::other)?;
        let ip = match self.host.as_str() {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host
                .trim_matches(['[', ']'])
                .parse()
                .map_err(io::Error::other)?,
        };
        // What listens everywhere listens on loopback.
        let ip = match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        TcpStream::connect_timeout(&SocketAddr::new(ip, port), ANSWERS).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_listens_everywhere_answers_and_what_is_gone_does_not() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let at = |host: &str| Address {
            host: host.to_owned(),
            port: port.clone(),
        };
        assert!(at("0.0.0.0").answers().is_ok());
        assert!(at("localhost").answers().is_ok());
        drop(listener);
        assert!(at("127.0.0.1").answers().is_err());
        assert!(at("no address").answers().is_err());
    }

    #[test]
    fn the_marker_says_where_it_listens() {
        let directory = tempfile::tempdir().unwrap();
        let marker = directory.path().join("dashboard");
        assert!(alone(&marker).is_none());
        std::fs::write(&marker, "0.0.0.0 80").unwrap();
        let found = alone(&marker).unwrap();
        assert_eq!((&*found.host, &*found.port), ("0.0.0.0", "80"));
    }
}
