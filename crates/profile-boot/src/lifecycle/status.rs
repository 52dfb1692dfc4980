//! What state gateways are in, from what s6 and the records say.

use std::fmt;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use s6_svc::{
    Death, DeathTally, Exit, Phase, Scandir, ServiceDir, Status, StatusError, Tai64n, Want,
};

use super::{LifecycleError, Site};
use crate::gateway_state::Record;
use crate::port::{self, Assigned};
use crate::profile::{self, ProfileName};
use crate::slot;

/// A gateway's word for a configuration that it cannot work with: `EX_CONFIG`.
const BAD_CONFIGURATION: Exit = Exit::Code(78);
const SIGTERM: u8 = 15;
/// To look at fewer profiles costs less than to start a thread.
const WORTH_A_THREAD: usize = 64;
/// This many deaths …
const MANY: usize = 5;
/// … within this time are too many for chance.
const LATELY: Duration = Duration::from_mins(1);

/// What a gateway does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Its slot has no supervisor, or is not there.
    Unsupervised,
    /// It is down, as it was told.
    Down,
    /// It failed for good, and waits to be mended and started.
    Parked,
    /// It runs.
    Up,
    /// It has ended, and is about to be started again.
    Restarting,
    /// It keeps ending, and is started again and again.
    BackingOff,
    /// It was told to end, and has not yet.
    Stopping,
}

impl State {
    /// Its one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsupervised => "unsupervised",
            Self::Down => "down",
            Self::Parked => "parked",
            Self::Up => "up",
            Self::Restarting => "restarting",
            Self::BackingOff => "backing-off",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// All that is known of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Whose it is.
    pub profile: ProfileName,
    /// Where the profile keeps its files.
    pub directory: PathBuf,
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
    /// What the operator and the gateway itself have said.
    pub record: Record,
    /// Its port, where it has one, and who says so.
    pub port: Option<Assigned>,
}

/// The state of a gateway whose supervisor wrote `status` and `tally`.
///
/// ```
/// use profile_boot::{gateway_state::Record, lifecycle};
/// use s6_svc::{Death, DeathTally, RawStatus, Status, Tai64n};
/// let status = Status::from(RawStatus { pid: 7, want_up: true, ..RawStatus::default() });
/// let state = lifecycle::state(&status, &DeathTally::default(), &Record::None, Tai64n::now());
/// assert_eq!(state.as_str(), "up");
/// ```
#[must_use]
pub fn state(status: &Status, tally: &DeathTally, record: &Record, now: Tai64n) -> State {
    let is_failure = |death: &&Death| {
        // These are how a gateway ends that was told to.
        !matches!(death.exit, Exit::Code(0) | Exit::Signal(SIGTERM))
            && now.saturating_duration_since(death.at) < LATELY
    };
    let is_many = tally.deaths().iter().filter(is_failure).count() >= MANY;
    match (status.want(), status.phase()) {
        (Want::Up, Phase::Up { .. }) if !is_many => State::Up,
        (Want::Up, _) if is_many => State::BackingOff,
        (Want::Up, Phase::Up { .. }) => State::Up,
        (Want::Up, _) => State::Restarting,
        (Want::Down, Phase::Up { .. } | Phase::Finishing { .. }) => State::Stopping,
        (Want::Down, Phase::NeverStarted) => State::Down,
        // What an operator stopped is down, whatever it said at its end.
        (Want::Down, _) if is_stopped(record) => State::Down,
        (Want::Down, _) if status.exit() == Some(BAD_CONFIGURATION) => State::Parked,
        (Want::Down, _) => State::Down,
    }
}

fn is_stopped(record: &Record) -> bool {
    matches!(record, Record::State { desired: Some(desired), .. } if desired == "stopped")
}

/// Whether a gateway that should run does not.
#[must_use]
pub fn is_unwell(status: &GatewayStatus) -> bool {
    let should_run = status.record.want() == Some(Want::Up);
    match status.state {
        State::Parked | State::BackingOff => true,
        State::Down | State::Unsupervised => should_run,
        State::Up | State::Restarting | State::Stopping => false,
    }
}

/// The status of one profile's gateway.
///
/// # Errors
/// [`LifecycleError::NoSuchProfile`], and where what s6 wrote cannot be read.
pub fn status(site: &Site, profile: &ProfileName) -> Result<GatewayStatus, LifecycleError> {
    site.check(profile)?;
    look(site, profile.clone(), &site.scandir, None, Tai64n::now())
}

/// The status of every gateway, `default` first, the rest by name. One that
/// cannot be read does not hide the others.
///
/// # Errors
/// Where the profiles cannot be listed.
pub fn all(site: &Site) -> Result<Vec<Result<GatewayStatus, LifecycleError>>, LifecycleError> {
    let found = profile::discover(&site.home)
        .map_err(LifecycleError::file("list it", &site.home.join("profiles")))?;
    let now = Tai64n::now();
    // Without named profiles the directory need not be there.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::open(site.home.join("profiles"), flags, Mode::empty()).ok();
    let open = open.as_ref().map(AsFd::as_fd);
    let share = share(found.profiles.len());
    // Where it cannot be opened, each look says why.
    let held = site.scandir.held_open().ok();
    let scandir = held.as_ref().unwrap_or(&site.scandir);
    let look_at = |profiles: &[ProfileName]| -> Vec<_> {
        let looks = profiles.iter().cloned();
        looks
            .map(|profile| look(site, profile, scandir, open, now))
            .collect()
    };
    // A look is little more than waiting for the kernel, some twenty times.
    Ok(thread::scope(|scope| {
        let mut shares = found.profiles.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|one| (one, spawn(scope, || look_at(one))))
            .collect();
        let mut looks = look_at(own);
        for (one, thread) in others {
            let theirs = thread.and_then(|thread| thread.join().ok());
            looks.extend(theirs.unwrap_or_else(|| look_at(one)));
        }
        looks
    }))
}

/// A thread, where the system has one for us.
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work).ok()
}

/// How many of so many profiles one thread looks at.
fn share(profiles: usize) -> usize {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    profiles.div_ceil(threads).max(WORTH_A_THREAD)
}

/// Looks at one gateway; with the scandir and `profiles/` open where many are looked at.
fn look(
    site: &Site,
    profile: ProfileName,
    scandir: &Scandir,
    profiles: Option<BorrowedFd<'_>>,
    now: Tai64n,
) -> Result<GatewayStatus, LifecycleError> {
    let directory = site.directory(&profile);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match profiles.filter(|_| !profile.is_default()) {
        Some(profiles) => rustix::fs::openat(profiles, profile.as_str(), flags, Mode::empty()),
        None => rustix::fs::open(&directory, flags, Mode::empty()),
    };
    let (record, port) = match opened {
        Ok(open) => (
            Record::read_at(&open, "".as_ref()),
            port::lookup_at(&open, &profile),
        ),
        Err(_) => (Record::read(&directory), port::lookup(&site.home, &profile)),
    };
    let service = scandir.service(&slot::service_name(&profile));
    let unsupervised = GatewayStatus {
        profile: profile.clone(),
        directory,
        state: State::Unsupervised,
        want: None,
        pid: None,
        since: None,
        restarts: 0,
        last_exit: None,
        record,
        port,
    };
    let seen = match Seen::of(&service, &unsupervised.record, now) {
        Ok(Some(seen)) => seen,
        Ok(None) => return Ok(unsupervised),
        Err(source) => return Err(LifecycleError::Status { profile, source }),
    };
    Ok(GatewayStatus {
        state: seen.state,
        want: Some(seen.want),
        pid: seen.pid,
        since: seen.since,
        restarts: seen.restarts,
        last_exit: seen.last_exit,
        ..unsupervised
    })
}

/// What s6 says of a service that it supervises.
pub(super) struct Seen {
    pub(super) state: State,
    pub(super) want: Want,
    pub(super) pid: Option<u32>,
    pub(super) since: Option<Tai64n>,
    pub(super) restarts: usize,
    pub(super) last_exit: Option<Exit>,
}

impl Seen {
    /// `None` where nobody supervises it.
    pub(super) fn of(
        service: &ServiceDir,
        record: &Record,
        now: Tai64n,
    ) -> Result<Option<Self>, StatusError> {
        let status = match service.status() {
            Ok(status) => status,
            Err(StatusError::NotSupervised { .. }) => return Ok(None),
            Err(StatusError::Fs(error)) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let ran = status.phase() != Phase::NeverStarted;
        let tally = match ran.then(|| service.death_tally()) {
            Some(Ok(tally)) => tally,
            // What never ran has not died, and need not be asked. What did may have gone meanwhile.
            None | Some(Err(StatusError::NotSupervised { .. })) => DeathTally::default(),
            Some(Err(StatusError::Fs(error))) if error.is_missing() => DeathTally::default(),
            Some(Err(error)) => return Err(error),
        };
        let waits = matches!(status.phase(), Phase::Down | Phase::Finishing { .. });
        let last = tally.deaths().last().map(|death| death.exit);
        Ok(Some(Self {
            state: state(&status, &tally, record, now),
            want: status.want(),
            pid: status.pid().filter(|_| status.is_up()),
            since: ran.then(|| status.since()),
            restarts: tally.deaths().len().saturating_sub(usize::from(waits)),
            last_exit: last.or(status.exit()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use s6_svc::RawStatus;

    fn raw(pid: u32, want_up: bool, wait: u16) -> Status {
        Status::from(RawStatus {
            pid,
            want_up,
            wait_status: wait,
            stamp: Tai64n::now(),
            ..RawStatus::default()
        })
    }

    fn record(desired: Option<&str>) -> Record {
        Record::State {
            desired: desired.map(str::to_owned),
            reported: None,
        }
    }

    const EXIT_78: u16 = 78 << 8;

    #[rstest]
    #[case::up(raw(7, true, 0), 0, Some("running"), State::Up)]
    #[case::stopping(raw(7, false, 0), 0, Some("stopped"), State::Stopping)]
    #[case::restarting(raw(0, true, 256), 1, Some("running"), State::Restarting)]
    #[case::crashing(raw(0, true, 256), 5, Some("running"), State::BackingOff)]
    #[case::crashing_and_up(raw(7, true, 256), 5, Some("running"), State::BackingOff)]
    #[case::parked(raw(0, false, EXIT_78), 1, Some("running"), State::Parked)]
    #[case::parked_by_itself(raw(0, false, EXIT_78), 1, None, State::Parked)]
    #[case::stopped_after_parking(raw(0, false, EXIT_78), 1, Some("stopped"), State::Down)]
    #[case::stopped(raw(0, false, 256), 9, Some("stopped"), State::Down)]
    #[case::down_though_wanted(raw(0, false, 256), 1, Some("running"), State::Down)]
    fn the_state_follows_from_what_s6_says(
        #[case] status: Status,
        #[case] deaths: usize,
        #[case] desired: Option<&str>,
        #[case] expected: State,
    ) {
        let now = Tai64n::now();
        let death = [now.encode().as_slice(), &[1, 0]].concat();
        let bytes = death.repeat(deaths);
        let tally = DeathTally::decode(&bytes).unwrap();
        assert_eq!(state(&status, &tally, &record(desired), now), expected);
    }
}
