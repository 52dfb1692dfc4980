//! The end of the sandbox: TERM, a short grace, KILL.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::Agent;
use crate::massacre;
use crate::process::{self, Process};
use crate::wire::Failure;

/// How long processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(3);
/// How long the kernel has to end them.
const BOUND: Duration = Duration::from_secs(5);

impl Agent {
    /// Ends every process of the sandbox: as its first process all others, otherwise its own.
    pub(super) fn end_everything(&mut self) {
        for connection in self.connections.values_mut() {
            connection.refuse(Failure::Ending, "the sandbox is ending".to_owned());
            connection.flush();
        }
        let spared = self.forks();
        self.send(Signal::SIGTERM, &spared);
        self.send(Signal::SIGCONT, &spared);
        self.wait_for_all(&spared, Instant::now() + GRACE);
        let end = Instant::now() + BOUND;
        while !self.send(Signal::SIGKILL, &[]) && Instant::now() < end {
            self.wait_for_all(&[], Instant::now() + Duration::from_millis(10));
        }
        for scratch in self.scratch.iter().chain(&self.spills) {
            scratch.destroy();
        }
    }

    /// The agent's own forks, which end with what they keep.
    pub(super) fn forks(&self) -> Vec<i32> {
        let keepers = self.keepers.values().map(|kept| kept.keeper.pid.as_raw());
        keepers
            .chain(
                self.transfers
                    .values()
                    .map(|transfer| transfer.pid.as_raw()),
            )
            .collect()
    }

    fn others(spared: &[i32]) -> Vec<Process> {
        let own = std::process::id().cast_signed();
        let all = process::all();
        let found: Vec<Process> = if own == 1 {
            all.values().copied().collect()
        } else {
            process::descendants(&all, own)
        };
        let is_other = |process: &Process| {
            process.pid != own && !process.zombie && !spared.contains(&process.pid)
        };
        found.into_iter().filter(is_other).collect()
    }

    /// Sends a signal to all others; whether there were none.
    fn send(&self, signal: Signal, spared: &[i32]) -> bool {
        let others = Self::others(spared);
        for process in &others {
            massacre::signal_process(process, signal as i32, None);
        }
        self.reap();
        others.is_empty()
    }

    fn wait_for_all(&mut self, spared: &[i32], end: Instant) {
        loop {
            self.reap();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || Self::others(spared).is_empty() {
                return;
            }
            // Orphans of a keeper end without a signal to this process.
            let step = left.min(Duration::from_millis(20));
            let timeout = PollTimeout::try_from(step.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(
                std::os::fd::AsFd::as_fd(&self.signals),
                PollFlags::POLLIN,
            )];
            if poll(&mut fds, timeout).is_ok() {
                while matches!(self.signals.read_signal(), Ok(Some(_))) {}
            }
        }
    }
}
