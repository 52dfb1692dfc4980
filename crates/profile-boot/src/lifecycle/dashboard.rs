//! What the dashboard does: a service beside the gateways, which the container's
//! environment asks for or not.

use s6_svc::{Exit, ServiceName, Tai64n, Want};

use super::status::Seen;
use super::{LifecycleError, Site, State};
use crate::gateway_state::Record;
use crate::slot;

/// All that s6 knows of the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DashboardStatus {
    /// What it does.
    pub state: State,
    /// What its supervisor wants; `None` without one.
    pub want: Option<Want>,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// Since when it is up, or down; `None` where it never ran.
    pub since: Option<Tai64n>,
    /// How often it was started again since its supervisor began. s6 remembers 100 deaths.
    pub restarts: usize,
    /// How its last process ended.
    pub last_exit: Option<Exit>,
}

impl DashboardStatus {
    /// Whether it does not run as it should, where the container's environment
    /// asks for it.
    #[must_use]
    pub fn is_unwell(&self) -> bool {
        matches!(
            self.state,
            State::Down | State::Parked | State::BackingOff | State::Unsupervised
        )
    }
}

/// The status of the dashboard; `None` where it has no slot, as in a container
/// whose agent has none.
///
/// # Errors
/// Where what s6 wrote cannot be read.
#[expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "the name is a constant"
)]
pub fn dashboard(site: &Site) -> Result<Option<DashboardStatus>, LifecycleError> {
    let name =
        ServiceName::new(slot::DASHBOARD).expect("the dashboard's slot has a service's name");
    let service = site.scandir.service(&name);
    let seen = Seen::of(&service, &Record::None, Tai64n::now())
        .map_err(|source| LifecycleError::Dashboard { source })?;
    if let Some(seen) = seen {
        return Ok(Some(DashboardStatus {
            state: seen.state,
            want: Some(seen.want),
            pid: seen.pid,
            since: seen.since,
            restarts: seen.restarts,
            last_exit: seen.last_exit,
        }));
    }
    let lost = DashboardStatus {
        state: State::Unsupervised,
        want: None,
        pid: None,
        since: None,
        restarts: 0,
        last_exit: None,
    };
    Ok(service.path().symlink_metadata().is_ok().then_some(lost))
}
