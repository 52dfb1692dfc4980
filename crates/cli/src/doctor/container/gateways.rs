//! Gateways that do not run as they should, and records that nobody can make sense of.

use profile_boot::gateway_state::Record;
use profile_boot::lifecycle::{self, GatewayStatus, Site, State};

use super::super::finding::{Finding, or_good};
use crate::health::ailment;

/// What an operator or a gateway says of itself.
const WORDS: [&str; 6] = [
    "running",
    "draining",
    "degraded",
    "stopped",
    "starting",
    "startup_failed",
];

pub(super) fn look(site: &Site, gateways: &[GatewayStatus]) -> Vec<Finding> {
    let mut findings: Vec<_> = gateways
        .iter()
        .flat_map(|one| [unwell(site, one), record(one)])
        .flatten()
        .collect();
    let up = gateways.iter().filter(|one| one.state == State::Up).count();
    if !findings.iter().any(|one| one.name == "gateways") {
        let detail = format!(
            "{up} of {} up, the rest down as they were told",
            gateways.len()
        );
        findings.insert(0, Finding::good("gateways", detail));
    }
    or_good(findings, "gateways", "")
}

fn unwell(site: &Site, one: &GatewayStatus) -> Option<Finding> {
    if !lifecycle::is_unwell(one) {
        return None;
    }
    let profile = &one.profile;
    let log = site.logs(profile).join("current");
    let hint = match one.state {
        State::Down | State::Unsupervised => format!("talaria gateway start -p {profile}"),
        _ => format!(
            "{} says why (talaria gateway logs -p {profile}); then talaria gateway start -p {profile}",
            log.display()
        ),
    };
    let detail = format!("profile {profile}: {}", ailment(one.state, one.last_exit));
    Some(Finding::bad("gateways", detail, hint))
}

fn record(one: &GatewayStatus) -> Option<Finding> {
    let profile = &one.profile;
    let path = one.directory.join("gateway_state.json");
    let odd = match &one.record {
        Record::None => return None,
        Record::Unreadable(reason) => format!(
            "{}: {}; it counts as stopped",
            path.display(),
            reason.escape_debug()
        ),
        Record::State { desired, reported } => {
            let odd = [desired, reported]
                .into_iter()
                .flatten()
                .find(|word| !WORDS.contains(&word.as_str()));
            format!("{}: {:?} is no state that is known", path.display(), odd?)
        }
    };
    Some(Finding::note(
        "gateway state",
        odd,
        format!("talaria gateway start -p {profile}, or stop, records what is wanted anew"),
    ))
}
