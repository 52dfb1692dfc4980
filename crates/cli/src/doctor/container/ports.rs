//! Two gateways on one port, or a port that somebody else has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use profile_boot::lifecycle::{GatewayStatus, Site, State};
use profile_boot::{dotenv, port};

use super::super::finding::{Finding, or_good};

/// `TCP_LISTEN` in the kernel's tables.
const LISTENING: &str = "0A";

pub(super) fn look(site: &Site, gateways: &[GatewayStatus]) -> Vec<Finding> {
    let mut holders: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for one in gateways {
        if let Some(assigned) = one.port {
            let holder = holders.entry(assigned.port.number()).or_default();
            holder.push(one.profile.as_str());
        }
    }
    let mut findings = Vec::new();
    for (port, profiles) in holders.iter().filter(|(_, profiles)| profiles.len() > 1) {
        findings.push(Finding::bad(
            "ports",
            format!(
                "port {port} is that of the profiles {}",
                profiles.join(", ")
            ),
            "take API_SERVER_PORT out of the .env of all but one, or have each say another",
        ));
    }
    let listening = listening();
    for one in gateways {
        let Some(assigned) = one.port else { continue };
        let idle = matches!(one.state, State::Down | State::Parked | State::Unsupervised);
        let number = assigned.port.number();
        let shared = holders
            .get(&number)
            .is_some_and(|profiles| profiles.len() > 1);
        if idle && !shared && listening.contains(&number) {
            findings.push(Finding::note(
                "ports",
                format!(
                    "profile {}: something else listens on its port {number}",
                    one.profile
                ),
                format!(
                    "end what does, or set API_SERVER_PORT in {}",
                    one.directory.join(".env").display()
                ),
            ));
        }
    }
    for one in gateways {
        findings.extend(no_port(&site.directory(&one.profile)));
    }
    or_good(findings, "ports", "each gateway has its own")
}

/// An `.env` whose port is none.
fn no_port(directory: &Path) -> Option<Finding> {
    let path = directory.join(".env");
    let variables = match dotenv::load(&path) {
        Ok(variables) => variables,
        Err(odd) => {
            return Some(Finding::note(
                "ports",
                odd.to_string(),
                "a port that was to be set there is not: make it a regular file that the agent can read",
            ));
        }
    };
    let (_, value) = variables
        .iter()
        .rev()
        .find(|(name, _)| name == port::VARIABLE)?;
    let is_port = value.trim().parse::<u16>().is_ok_and(|port| port != 0);
    (!is_port).then(|| {
        Finding::note(
            "ports",
            format!(
                "{}: {}={:?} is no port",
                path.display(),
                port::VARIABLE,
                value
            ),
            "it should be a number from 1 to 65535",
        )
    })
}

/// The TCP ports that somebody listens on in this container.
fn listening() -> BTreeSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.map(|path| std::fs::read_to_string(path).unwrap_or_default());
    texts
        .iter()
        .flat_map(|text| text.lines().filter_map(listener))
        .collect()
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
        assert!(listening().contains(&port));
    }
}
