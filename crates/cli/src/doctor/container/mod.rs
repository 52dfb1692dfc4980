//! The half for the inside of an agent container, as the agent's user.

mod agent;
mod environment;
mod gateways;
mod home;
mod ports;
mod run;
mod slots;
mod supervision;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use profile_boot::agent::AGENT_TOML;

use super::finding::Finding;
use crate::dashboard::Dashboard;
use crate::place::{self, Place};
use crate::view;

/// What the init leaves in every container of which it is the init.
const INIT_STATE: &str = "/run/s6/init";

/// Whether this is the inside of an agent container, or somebody says so.
pub(super) fn applies(place: &Place) -> bool {
    let is_container = Path::new(INIT_STATE).is_dir() || Path::new(AGENT_TOML).is_file();
    is_container || place.is_named()
}

/// Looks at this container. Elsewhere it says that this is none, and no more.
pub(super) fn findings(place: &Place) -> Vec<Finding> {
    if !applies(place) {
        return vec![Finding::note(
            "container",
            "this is not the inside of an agent container",
            "docker exec CONTAINER talaria doctor looks at one",
        )];
    }
    let site = match place.enter() {
        Ok(site) => site,
        Err(error) => {
            return vec![Finding::bad(
                "identity",
                error.chain(),
                "docker exec -u hermes needs no capability",
            )];
        }
    };
    if let Some(stranger) = stranger(site.scandir().path()) {
        return vec![stranger];
    }
    let mut findings = supervision::look(&site);
    findings.extend(agent::look());
    findings.extend(run::look(&site));
    findings.extend(home::look(site.home()));
    findings.extend(environment::look(place::container_variable));
    findings.extend(agent::clock());
    match Dashboard::look(&site) {
        Ok(dashboard @ Dashboard::Alone(_)) => {
            // Gateways are another container's: what they do is not to be seen from here.
            findings.extend(supervision::dashboard(&dashboard));
            return findings;
        }
        Ok(dashboard) => findings.extend(supervision::dashboard(&dashboard)),
        Err(error) => findings.push(Finding::bad(
            "dashboard",
            error.chain(),
            "talaria svc stat dashboard",
        )),
    }
    if place::agent().is_ok_and(|agent| agent.gateway.is_none()) {
        return findings;
    }
    match view::looked(&site) {
        Ok((gateways, failures)) => {
            let unread = failures.iter().map(|failure| {
                let hint = "talaria svc list tells which slots can be spoken to";
                Finding::bad("gateways", failure.chain(), hint)
            });
            findings.extend(unread);
            findings.extend(slots::look(&site));
            findings.extend(gateways::look(&site, &gateways));
            findings.extend(ports::look(&site, &gateways));
        }
        Err(failures) => {
            let hint = "see to it that the agent's user may read its own home";
            let unread = failures
                .iter()
                .map(|failure| Finding::bad("profiles", failure.chain(), hint));
            findings.extend(unread);
        }
    }
    findings
}

/// Whoever is neither root nor the agent's user sees little, and all of it wrong.
fn stranger(scandir: &Path) -> Option<Finding> {
    let owner = scandir.metadata().ok()?.uid();
    let own = rustix::process::geteuid().as_raw();
    (owner != own).then(|| {
        Finding::bad(
            "identity",
            format!("this is uid {own}, and the agent here is uid {owner}"),
            format!("docker exec -u {owner} CONTAINER talaria doctor, or as root"),
        )
    })
}
