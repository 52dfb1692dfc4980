//! Who supervises, and whether the agent's tree answers and has room.

use profile_boot::lifecycle::Site;
use profile_boot::slot::MAX_SUPERVISED;
use s6_svc::detect::{Comm, Evidence};

use super::super::finding::Finding;
use crate::dashboard::Dashboard;
use crate::health::ailment;

const NO_INIT: &str = "start the image with its own entrypoint, /init; no --entrypoint";

pub(super) fn look(site: &Site) -> Vec<Finding> {
    vec![supervisor(&Evidence::gather()), tree(site), capacity(site)]
}

fn supervisor(evidence: &Evidence) -> Finding {
    let name = "supervisor";
    let first = match &evidence.comm {
        Comm::Svscan => "s6-svscan".to_owned(),
        Comm::Other(other) => other.escape_default().to_string(),
        Comm::Unreadable => "unknown".to_owned(),
    };
    match (evidence.is_s6(), evidence.has_basedir) {
        (true, _) => Finding::good(name, "s6-svscan is PID 1"),
        (false, true) => Finding::note(
            name,
            format!(
                "PID 1 is {first}; the init supervises below it, unseen by the agent's own command line"
            ),
            "start the container without --init (in Compose: init: false)",
        ),
        (false, false) => Finding::bad(
            name,
            format!("nothing supervises, PID 1 is {first}"),
            NO_INIT,
        ),
    }
}

fn tree(site: &Site) -> Finding {
    let name = "agent's tree";
    let path = site.scandir().path().display();
    match site.scandir().is_scanned() {
        Ok(true) => Finding::good(name, format!("{path} is scanned")),
        Ok(false) => Finding::bad(
            name,
            format!("{path}: no s6-svscan runs there"),
            "docker restart brings it back; the container's log says why it ended",
        ),
        Err(error) => Finding::bad(
            name,
            format!("{path}: {error}"),
            "it has to be the agent's user's own: docker restart makes it anew",
        ),
    }
}

/// A slot with a logger has two supervisors.
fn capacity(site: &Site) -> Finding {
    let name = "capacity";
    let entries = match site.scandir().entries() {
        Ok(entries) => entries,
        Err(error) => return Finding::bad(name, error.to_string(), NO_INIT),
    };
    room(u32::try_from(entries.len()).unwrap_or(u32::MAX))
}

fn room(slots: u32) -> Finding {
    let name = "capacity";
    let limit = MAX_SUPERVISED / 2;
    let detail = format!("{slots} of {limit} slots");
    let hint = "talaria profile delete what is not needed, or use a second container";
    if slots > limit {
        let detail = format!("{detail}: beyond the limit none of them starts");
        Finding::bad(name, detail, hint)
    } else if slots > limit / 10 * 9 {
        Finding::note(name, detail, hint)
    } else {
        Finding::good(name, detail)
    }
}

pub(super) fn dashboard(dashboard: &Dashboard) -> Option<Finding> {
    let name = "dashboard";
    match dashboard {
        Dashboard::None => None,
        Dashboard::Alone(address) => Some(match address.answers() {
            Ok(()) => Finding::good(name, format!("answers on port {}", address.port)),
            Err(error) => Finding::bad(
                name,
                format!(
                    "nobody answers on {}, port {}: {error}",
                    address.host, address.port
                ),
                "the container's log says why; it may still be starting",
            ),
        }),
        Dashboard::Slot {
            wanted: false,
            status,
            ..
        } => Some(Finding::good(
            name,
            format!("{}; HERMES_DASHBOARD=1 asks for it", status.state),
        )),
        Dashboard::Slot { status, port, .. } if !status.is_unwell() => Some(Finding::good(
            name,
            format!("{}, port {port}", status.state),
        )),
        Dashboard::Slot { status, .. } => Some(Finding::bad(
            name,
            ailment(status.state, status.last_exit),
            "docker logs CONTAINER 2>&1 | grep dashboard says why; talaria svc control dashboard up tries it again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::super::finding::State;
    use super::*;

    #[rstest]
    #[case(0, State::Good)]
    #[case(1836, State::Good)]
    #[case(1837, State::Note)]
    #[case(2048, State::Note)]
    #[case(2049, State::Bad)]
    fn a_tree_near_its_limit_is_told(#[case] slots: u32, #[case] state: State) {
        assert_eq!(room(slots).state, state);
    }

    #[rstest]
    #[case(Comm::Svscan, true, State::Good)]
    #[case(Comm::Other("docker-init".into()), true, State::Note)]
    #[case(Comm::Other("bash".into()), false, State::Bad)]
    #[case(Comm::Unreadable, false, State::Bad)]
    fn an_init_above_the_init_is_a_note(
        #[case] comm: Comm,
        #[case] has_basedir: bool,
        #[case] state: State,
    ) {
        assert_eq!(supervisor(&Evidence { comm, has_basedir }).state, state);
    }
}
