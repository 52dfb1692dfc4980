//! Signals as events with a deadline, through a signalfd.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::BootError;

/// A set of signals that no longer interrupt and are read instead.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Signal(Signal),
    /// The other descriptor can be read.
    Readable,
    Deadline,
}

impl Signals {
    /// Blocks `signals` and makes them readable.
    pub(crate) fn take(signals: &[Signal]) -> Result<Self, BootError> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()
            .map_err(BootError::system("sigprocmask"))?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(BootError::system("signalfd"))?;
        Ok(Self { fd })
    }

    /// A signal that has come already.
    pub(crate) fn pending(&mut self) -> Result<Option<Signal>, BootError> {
        let info = self
            .fd
            .read_signal()
            .map_err(BootError::system("read signalfd"))?;
        Ok(info
            .and_then(|info| i32::try_from(info.ssi_signo).ok())
            .and_then(|number| Signal::try_from(number).ok()))
    }

    /// Waits for a signal, for `other` to become readable, or for `deadline`.
    pub(crate) fn wait(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> Result<Event, BootError> {
        loop {
            // The deadline first, or a storm of signals would put it off.
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Event::Deadline);
            }
            if let Some(signal) = self.pending()? {
                return Ok(Event::Signal(signal));
            }
            let timeout = match deadline {
                None => PollTimeout::NONE,
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Event::Deadline);
                    }
                    // Rounded up, or the last millisecond would be spent spinning.
                    PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = vec![PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(source) => {
                    return Err(BootError::System {
                        call: "poll",
                        source,
                    });
                }
            }
            let readable = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
            if fds.get(1).is_some_and(readable) && !readable(&fds[0]) {
                return Ok(Event::Readable);
            }
        }
    }
}

/// Unblocks every signal, for a program that is about to be started by hand.
pub(crate) fn unblock_all() -> Result<(), BootError> {
    SigSet::empty()
        .thread_set_mask()
        .map_err(BootError::system("sigprocmask"))
}
