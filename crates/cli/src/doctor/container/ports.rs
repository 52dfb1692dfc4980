//! Two gateways on one port, or a port that somebody else has.

use std::collections::BTreeMap;
use std::path::Path;

use profile_boot::lifecycle::{GatewayStatus, Site};
use profile_boot::{dotenv, port};

use super::super::finding::{Finding, or_good};
use crate::listening;

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
    for one in gateways {
        let Some(assigned) = one.port else { continue };
        let number = assigned.port.number();
        let shared = holders
            .get(&number)
            .is_some_and(|profiles| profiles.len() > 1);
        if !shared && listening::has_stranger_on_port_of(one) {
            findings.push(Finding::note(
                "ports",
                format!(
                    "profile {}: something else listens on its port {number}",
                    one.profile
                ),
                listening::hint(one),
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
