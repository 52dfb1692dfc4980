//! Waiting for services, without polling and without missing what happens between a look and the
//! wait.
//!
//! A watch listens first and looks second: what happens in between is in its FIFO. From then on it
//! follows the events in the order in which the supervisor wrote them, so that a service which goes
//! up and down again at once has been up.

use std::fmt;
use std::io;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::deadline::Deadline;
use crate::error::{Loss, StatusError, WaitError};
use crate::fifodir::{Event, FifoDir, Subscription};
use crate::servicedir::ServiceDir;
use crate::status::{Phase, Status};
use crate::step::Steps;

/// What to wait for. The letters are those of `s6-svwait`'s options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// `u`: `run` runs.
    Up,
    /// `U`: `run` runs and has told that it is ready. A service without `notification-fd` never is.
    Ready,
    /// `d`: `run` has ended.
    Down,
    /// `D`: `run` and `finish` have ended.
    Finished,
    /// `r`: `run` has ended at least once since the watch began, and runs.
    Restarted,
    /// `R`: like [`Goal::Restarted`], and it is ready.
    RestartedAndReady,
}

impl Goal {
    fn wants_up(self) -> bool {
        !matches!(self, Self::Down | Self::Finished)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Finished => "finished",
            Self::Restarted => "restarted",
            Self::RestartedAndReady => "restarted and ready",
        })
    }
}

/// Where a service is, as its events tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Up,
    Ready,
    Finishing,
    Finished,
}

/// What is known of one service: a state machine over its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    life: Life,
    /// It was down at some time since the wait began.
    fell: bool,
    end: Option<Loss>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Pending,
    Reached,
    Lost(Loss),
}

impl Track {
    fn begin(status: &Status) -> Self {
        let life = match status.phase() {
            Phase::Up { ready: true, .. } => Life::Ready,
            Phase::Up { .. } => Life::Up,
            Phase::Finishing { .. } => Life::Finishing,
            Phase::NeverStarted | Phase::Down => Life::Finished,
        };
        Self {
            life,
            fell: !matches!(life, Life::Up | Life::Ready),
            end: None,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Supervised => {
                *self = Self {
                    life: Life::Finished,
                    fell: true,
                    end: None,
                }
            }
            Event::Up => {
                *self = Self {
                    life: Life::Up,
                    end: None,
                    ..*self
                }
            }
            Event::Ready => {
                *self = Self {
                    life: Life::Ready,
                    end: None,
                    ..*self
                }
            }
            Event::Down => {
                *self = Self {
                    life: Life::Finishing,
                    fell: true,
                    ..*self
                }
            }
            Event::Finished => {
                *self = Self {
                    life: Life::Finished,
                    fell: true,
                    ..*self
                }
            }
            Event::PermanentFailure => self.end = Some(Loss::PermanentFailure),
            Event::SupervisorExit => self.end = Some(Loss::SupervisorExit),
        }
    }

    fn is_up(self) -> bool {
        matches!(self.life, Life::Up | Life::Ready)
    }

    fn outcome(self, goal: Goal) -> Outcome {
        let reached = match goal {
            Goal::Up => self.is_up(),
            Goal::Ready => self.life == Life::Ready,
            Goal::Down => !self.is_up(),
            Goal::Finished => self.life == Life::Finished,
            Goal::Restarted => self.fell && self.is_up(),
            Goal::RestartedAndReady => self.fell && self.life == Life::Ready,
        };
        match self.end {
            _ if reached => Outcome::Reached,
            Some(Loss::PermanentFailure) if !goal.wants_up() => Outcome::Pending,
            Some(loss) => Outcome::Lost(loss),
            None => Outcome::Pending,
        }
    }
}

#[derive(Debug)]
struct Watched {
    service: ServiceDir,
    subscription: Subscription,
    track: Track,
    /// Bytes read and not yet followed, last first.
    unread: Vec<u8>,
}

impl Watched {
    fn begin(service: ServiceDir, steps: &mut Steps<'_>) -> Result<Self, WaitError> {
        let subscription = match FifoDir::of(&service).subscribe_telling(steps) {
            Err(error) if error.is_missing() && !service.is_supervised()? => {
                return Err(StatusError::NotSupervised {
                    path: service.path(),
                }
                .into());
            }
            result => result?,
        };
        let track = Track::begin(&service.status()?);
        Ok(Self {
            service,
            subscription,
            track,
            unread: Vec::new(),
        })
    }

    /// The next event that has come; it is the caller's to follow.
    fn next(&mut self) -> Result<Option<Event>, WaitError> {
        loop {
            while let Some(byte) = self.unread.pop() {
                // The FIFO is open to others: what is no event is no news.
                if let Some(event) = Event::from_byte(byte) {
                    return Ok(Some(event));
                }
            }
            let mut buffer = [0; 64];
            let length = self.subscription.read(&mut buffer)?;
            if length == 0 {
                return Ok(None);
            }
            self.unread.extend(buffer[..length].iter().rev());
        }
    }
}

/// Services that are listened to.
///
/// It begins when it is made: make it, send commands, then wait.
///
/// ```no_run
/// use std::time::Duration;
/// use s6_svc::{Command, Deadline, Goal, ServiceDir, Watch};
/// let service = ServiceDir::new("/run/service/gateway-coder")?;
/// let mut watch = Watch::new([service.clone()])?;
/// service.control(&[Command::Restart])?;
/// watch.wait_all(Goal::Restarted, Deadline::after(Duration::from_secs(10)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each service takes one file descriptor for as long as it is watched.
#[derive(Debug)]
pub struct Watch {
    watched: Vec<Watched>,
    /// Those that something may be read from.
    readable: Vec<usize>,
}

impl Watch {
    /// Listens to services, then looks at each.
    ///
    /// # Errors
    /// [`WaitError::Fs`] where one may not be listened to, [`WaitError::Status`] where its state
    /// cannot be read; that it is not supervised is [`StatusError::NotSupervised`] in there.
    pub fn new(services: impl IntoIterator<Item = ServiceDir>) -> Result<Self, WaitError> {
        Self::telling(services, &mut Steps::default())
    }

    pub(crate) fn telling(
        services: impl IntoIterator<Item = ServiceDir>,
        steps: &mut Steps<'_>,
    ) -> Result<Self, WaitError> {
        let begin = |service| Watched::begin(service, steps);
        let watched = services.into_iter().map(begin).collect::<Result<_, _>>()?;
        Ok(Self {
            watched,
            readable: Vec::new(),
        })
    }

    /// Waits until all of them are in a state at once, or some are lost.
    ///
    /// A service that was lost counts as there, so that the others are still waited for.
    ///
    /// # Errors
    /// [`WaitError::Lost`] names those that were lost, [`WaitError::TimedOut`] those that were not
    /// there in time.
    pub fn wait_all(&mut self, goal: Goal, deadline: Deadline) -> Result<(), WaitError> {
        let mut pending = self.count(goal, Outcome::Pending);
        while pending > 0 {
            let Some((index, event)) = self.advance(deadline)? else {
                return Err(self.timed_out(goal));
            };
            let track = &mut self.watched[index].track;
            pending -= usize::from(track.outcome(goal) == Outcome::Pending);
            track.apply(event);
            pending += usize::from(track.outcome(goal) == Outcome::Pending);
        }
        self.settle(goal)
    }

    /// Waits until one of them is in a state; tells which.
    ///
    /// # Errors
    /// [`WaitError::Lost`] where one was lost before any was there, [`WaitError::TimedOut`] where
    /// none was in time.
    pub fn wait_any(&mut self, goal: Goal, deadline: Deadline) -> Result<usize, WaitError> {
        loop {
            let reached = |watched: &Watched| watched.track.outcome(goal) == Outcome::Reached;
            if let Some(index) = self.watched.iter().position(reached) {
                return Ok(index);
            }
            if self.count(goal, Outcome::Pending) < self.watched.len() {
                self.settle(goal)?;
            }
            match self.advance(deadline)? {
                Some((index, event)) => self.watched[index].track.apply(event),
                None => return Err(self.timed_out(goal)),
            }
        }
    }

    /// Waits for the next event of any of them.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] where none came in time.
    pub fn next_event(&mut self, deadline: Deadline) -> Result<(usize, Event), WaitError> {
        let next = self.advance(deadline)?;
        let timed_out = WaitError::TimedOut {
            goal: None,
            waiting: Vec::new(),
        };
        next.inspect(|(index, event)| self.watched[*index].track.apply(*event))
            .ok_or(timed_out)
    }

    /// The services, in the order in which they were given.
    #[must_use]
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceDir> {
        self.watched.iter().map(|watched| &watched.service)
    }

    fn count(&self, goal: Goal, outcome: Outcome) -> usize {
        self.watched
            .iter()
            .filter(|watched| watched.track.outcome(goal) == outcome)
            .count()
    }

    /// The next event of any of them; `None` where none came in time.
    fn advance(&mut self, deadline: Deadline) -> Result<Option<(usize, Event)>, WaitError> {
        loop {
            while let Some(index) = self.readable.last().copied() {
                match self.watched[index].next()? {
                    Some(event) => return Ok(Some((index, event))),
                    None => self.readable.pop(),
                };
            }
            if !self.poll(deadline)? {
                return Ok(None);
            }
        }
    }

    fn timed_out(&self, goal: Goal) -> WaitError {
        let pending = |watched: &&Watched| watched.track.outcome(goal) == Outcome::Pending;
        let last = |watched: &Watched| watched.service.last_status().ok().map(|last| last.phase());
        let each = self.watched.iter().filter(pending);
        let waiting = each
            .map(|watched| (watched.service.path(), last(watched)))
            .collect();
        WaitError::TimedOut {
            goal: Some(goal),
            waiting,
        }
    }

    /// The result of a wait that is over; the next one for a restart begins here.
    fn settle(&mut self, goal: Goal) -> Result<(), WaitError> {
        let mut lost = Vec::new();
        for watched in &mut self.watched {
            if let Outcome::Lost(loss) = watched.track.outcome(goal) {
                lost.push((watched.service.path(), loss));
            }
            watched.track.fell = !watched.track.is_up();
        }
        if lost.is_empty() {
            Ok(())
        } else {
            Err(WaitError::Lost { lost })
        }
    }

    /// Waits until something can be read; whether it can.
    fn poll(&mut self, deadline: Deadline) -> Result<bool, WaitError> {
        let subscriptions = self.watched.iter().map(|watched| &watched.subscription);
        let mut fds: Vec<_> = subscriptions
            .map(|fifo| PollFd::new(fifo, PollFlags::IN))
            .collect();
        loop {
            match rustix::event::poll(&mut fds, deadline.timeout().as_ref()) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(WaitError::Poll {
                        source: io::Error::from(errno),
                    });
                }
            }
        }
        let readable =
            |(index, fd): (usize, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(index);
        self.readable = fds.iter().enumerate().filter_map(readable).collect();
        Ok(!self.readable.is_empty())
    }
}

impl ServiceDir {
    /// Sends commands and waits for their effect, as `s6-svc -w` does.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use s6_svc::{Command, Deadline, Goal, ServiceDir};
    /// let service = ServiceDir::new("/run/service/gateway-coder")?;
    /// let deadline = Deadline::after(Duration::from_secs(10));
    /// service.control_and_wait(&[Command::Down], Goal::Finished, deadline)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Watch::new`], [`ServiceDir::control`] and [`Watch::wait_all`]; that nobody supervises
    /// the service is always [`ControlError::NotSupervised`](crate::ControlError::NotSupervised).
    pub fn control_and_wait(
        &self,
        commands: &[crate::Command],
        goal: Goal,
        deadline: Deadline,
    ) -> Result<(), WaitError> {
        let mut watch = match Watch::new([self.clone()]) {
            Ok(watch) => watch,
            Err(WaitError::Status(StatusError::NotSupervised { path })) => {
                return Err(crate::ControlError::NotSupervised { path }.into());
            }
            Err(error) => return Err(error),
        };
        self.control(commands)?;
        watch.wait_all(goal, deadline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::status::RawStatus;

    fn track(pid: u32, ready: bool) -> Track {
        Track::begin(&Status::from(RawStatus {
            pid,
            ready,
            ..RawStatus::default()
        }))
    }

    #[rstest]
    #[case::starts(Goal::Up, track(0, true), "u", Outcome::Reached)]
    #[case::is_up(Goal::Up, track(1, false), "", Outcome::Reached)]
    #[case::not_ready(Goal::Ready, track(0, true), "u", Outcome::Pending)]
    #[case::ready(Goal::Ready, track(0, true), "uU", Outcome::Reached)]
    #[case::finishing(Goal::Down, track(1, true), "d", Outcome::Reached)]
    #[case::not_finished(Goal::Finished, track(1, true), "d", Outcome::Pending)]
    #[case::finished(Goal::Finished, track(1, true), "dD", Outcome::Reached)]
    #[case::not_restarted(Goal::Restarted, track(1, true), "", Outcome::Pending)]
    #[case::restarted(Goal::Restarted, track(1, true), "dDu", Outcome::Reached)]
    #[case::started_is_restarted(Goal::Restarted, track(0, true), "u", Outcome::Reached)]
    #[case::restarted_not_ready(Goal::RestartedAndReady, track(1, true), "dDu", Outcome::Pending)]
    #[case::failed(Goal::Up, track(1, true), "dO", Outcome::Lost(Loss::PermanentFailure))]
    #[case::failed_is_down(Goal::Finished, track(1, true), "dOD", Outcome::Reached)]
    #[case::failed_then_started(Goal::Up, track(0, true), "ODu", Outcome::Reached)]
    #[case::gone(Goal::Up, track(0, true), "x", Outcome::Lost(Loss::SupervisorExit))]
    #[case::gone_and_down(Goal::Finished, track(0, true), "x", Outcome::Reached)]
    #[case::gone_while_finishing(
        Goal::Finished,
        track(1, true),
        "dx",
        Outcome::Lost(Loss::SupervisorExit)
    )]
    #[case::supervised_anew(Goal::Up, track(0, true), "xs", Outcome::Pending)]
    fn events_lead_to_an_outcome(
        #[case] goal: Goal,
        #[case] mut track: Track,
        #[case] events: &str,
        #[case] outcome: Outcome,
    ) {
        for event in events.bytes().filter_map(Event::from_byte) {
            track.apply(event);
        }
        assert_eq!(track.outcome(goal), outcome);
    }

    proptest! {
        #[test]
        fn a_service_is_never_up_and_down(bytes: Vec<u8>, pid in 0_u32..2) {
            let mut track = track(pid, true);
            for event in bytes.into_iter().filter_map(Event::from_byte) {
                track.apply(event);
                let up = track.outcome(Goal::Up) == Outcome::Reached;
                prop_assert_ne!(up, track.outcome(Goal::Down) == Outcome::Reached);
            }
        }
    }
}
