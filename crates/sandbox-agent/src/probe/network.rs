//! Whom a sandbox reaches.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use super::connect::{SILENT, connect_all};
use super::found::{Found, Probe};

/// Where clouds tell machines their credentials.
const METADATA: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);

/// How long all addresses together have to answer.
const WITHIN: Duration = Duration::from_millis(100);

/// How many addresses beside the gateway's are asked.
const NEIGHBOURS: u32 = 8;

/// A port that hardly anything listens on: a refusal shows that somebody is there.
const DISCARD: u16 = 9;

/// Where an engine listens that was told to without encryption.
const ENGINE: u16 = 2375;

pub(super) fn probes() -> Vec<Probe> {
    let gateway = fs::read_to_string("/proc/net/route")
        .ok()
        .and_then(|table| gateway(&table));
    let neighbours = gateway.map(neighbours).unwrap_or_default();
    let mut addresses = vec![METADATA];
    addresses.extend(gateway.map(|gateway| SocketAddrV4::new(gateway, ENGINE)));
    addresses.extend(
        neighbours
            .iter()
            .map(|address| SocketAddrV4::new(*address, DISCARD)),
    );
    let mut answers = connect_all(&addresses, WITHIN).into_iter();
    let metadata = answers.next();
    let engine = gateway.and_then(|_| answers.next());
    let answering = neighbours
        .iter()
        .zip(answers)
        .filter(|(_, answer)| is_somebody(answer));
    let answering: Vec<_> = answering
        .map(|(address, answer)| (address.to_string(), answer))
        .collect();
    vec![
        Probe::new("network.interfaces", interfaces()),
        Probe::new(
            "network.gateway",
            gateway.map_or_else(|| "none".to_owned(), |gateway| gateway.to_string()),
        ),
        Probe::new("network.metadata", metadata),
        Probe::new(
            "network.engine_port",
            engine.unwrap_or_else(|| "no gateway".to_owned()),
        ),
        Probe::new("network.neighbours", Found::map(answering)),
    ]
}

/// Whether an answer shows that somebody is there, and not that the way is barred.
fn is_somebody(answer: &str) -> bool {
    !matches!(
        answer,
        SILENT | "ENETUNREACH" | "EHOSTUNREACH" | "EACCES" | "EPERM" | "ENOSYS"
    )
}

fn interfaces() -> Option<Found> {
    let table = fs::read_to_string("/proc/net/dev").ok()?;
    let names = table
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'));
    Some(names.map(|(name, _)| name.trim()).collect())
}

/// The gateway of the default route, which `/proc/net/route` tells in the machine's own byte order.
fn gateway(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (target, gateway) = (words.next()?, words.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        (target == "00000000" && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

/// The first addresses after the gateway's, less the own one: engines give them out in order.
fn neighbours(gateway: Ipv4Addr) -> Vec<Ipv4Addr> {
    let own = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        // Nothing is sent: it only has the kernel choose the address.
        socket.connect(SocketAddrV4::new(gateway, DISCARD))?;
        socket.local_addr()
    });
    let own = own.map(|address| address.ip()).ok();
    let next = (1..=NEIGHBOURS).filter_map(|step| gateway.to_bits().checked_add(step));
    let next = next.map(Ipv4Addr::from_bits);
    next.filter(|address| Some(std::net::IpAddr::V4(*address)) != own)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let table = "Iface\tDestination\tGateway\tFlags\neth0\t000011AC\t00000000\t0001\neth0\t00000000\t010011AC\t0003\n";
        assert_eq!(Some(Ipv4Addr::new(172, 17, 0, 1)), gateway(table));
        assert_eq!(None, gateway("Iface\n"));
    }
}
