//! The keeper of a command: a small fork of the agent that adopts every orphan among the command's
//! descendants and lives until the last of them has ended.
//!
//! So every process belongs to exactly one keeper, whatever it does with `setsid` and double
//! forks, and killing a command is killing until `waitpid` has nobody left.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::child::Child;
use crate::massacre::{self, Scope};
use crate::message::{FromKeeper, ToKeeper};
use crate::process::Process;
use crate::sys;

/// A keeper, seen from the agent.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) pid: Pid,
    pub(crate) socket: OwnedFd,
    /// When it was forked, in clock ticks since boot.
    pub(crate) since: u64,
}

/// Forks a keeper, which forks the child.
pub(crate) fn spawn(child: Child) -> Result<Keeper, Errno> {
    let (ours, theirs) = sys::messages()?;
    sys::nonblocking(&ours)?;
    let since = sys::ticks(sys::since_boot());
    let pid = sys::fork(|| keep(&theirs, child))?;
    Ok(Keeper {
        pid,
        socket: ours,
        since,
    })
}

/// What the keeper does, from its first moment to its last.
fn keep(socket: &OwnedFd, child: Child) -> i32 {
    let mut kept: Vec<RawFd> = child.stdio.iter().map(AsRawFd::as_raw_fd).collect();
    kept.push(socket.as_raw_fd());
    sys::close_others(&kept);
    let set: SigSet = [Signal::SIGCHLD].into_iter().collect();
    // The agent's signals stay blocked: its TERM is not for its forks.
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    let started = sys::become_subreaper().and(signals).and_then(|signals| {
        let (failed, failing) = sys::pipe()?;
        sys::nonblocking(&failed)?;
        let pid = sys::fork(|| {
            let (stage, errno) = child.exec();
            let report = [&[stage.number()][..], &(errno as i32).to_be_bytes()].concat();
            // Nobody else can be told.
            nix::unistd::write(&failing, &report).unwrap_or_default();
            127
        })?;
        Ok((signals, failed, pid))
    });
    drop(child);
    match started {
        Ok((signals, failed, pid)) => {
            let mut keeper = Kept {
                socket,
                signals,
                failed: Some(failed),
                child: pid,
                alive: true,
                drains: Vec::new(),
                killed: BTreeSet::new(),
            };
            keeper.run();
            0
        }
        Err(errno) => {
            let no_fork = FromKeeper::NotStarted {
                stage: 5,
                errno: errno as i32,
            };
            no_fork.send(socket.as_fd()).unwrap_or_default();
            1
        }
    }
}

struct Kept<'a> {
    socket: &'a OwnedFd,
    signals: SignalFd,
    /// Says why the child could not become its program; its end says that it could.
    failed: Option<OwnedFd>,
    child: Pid,
    alive: bool,
    /// What the command's leftovers still write to, and nobody reads.
    drains: Vec<OwnedFd>,
    /// The numbers of those that the last kill was about.
    killed: BTreeSet<i32>,
}

impl Kept<'_> {
    fn run(&mut self) {
        loop {
            if self.failed.is_none() && !self.reap() {
                return;
            }
            let mut fds = vec![
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(
                self.failed
                    .iter()
                    .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
            );
            let others = fds.len();
            fds.extend(
                self.drains
                    .iter()
                    .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
            );
            if !matches!(poll(&mut fds, PollTimeout::NONE), Ok(_) | Err(Errno::EINTR)) {
                return;
            }
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            let mut at = others;
            self.drains.retain(|fd| {
                at += 1;
                !ready[at - 1] || drain(fd)
            });
            if others == 3 && ready[2] {
                self.has_started();
            }
            if ready[1] {
                // Only wakes: what has ended is asked for at the top.
                while matches!(self.signals.read_signal(), Ok(Some(_))) {}
            }
            if ready[0] && !self.obey() {
                return;
            }
        }
    }

    fn tell(&self, message: FromKeeper) {
        // Where the agent is gone there is nobody to tell, and the socket's end is seen next.
        message.send(self.socket.as_fd()).unwrap_or_default();
    }

    fn has_started(&mut self) {
        let mut report = [0; 5];
        let read = self
            .failed
            .as_ref()
            .map(|fd| nix::unistd::read(fd, &mut report));
        match read {
            Some(Err(Errno::EAGAIN | Errno::EINTR)) => return,
            Some(Ok(5)) => {
                let [stage, errno @ ..] = report;
                let errno = i32::from_be_bytes(errno);
                self.tell(FromKeeper::NotStarted { stage, errno });
            }
            _ => self.tell(FromKeeper::Started {
                pid: self.child.as_raw(),
            }),
        }
        self.failed = None;
    }

    /// Takes what has ended. False where nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return true,
                Ok(status) => self.has_ended(status),
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn has_ended(&mut self, status: WaitStatus) {
        if let WaitStatus::Signaled(pid, Signal::SIGKILL, _) = status {
            self.killed.insert(pid.as_raw());
        }
        if status.pid() != Some(self.child) || !self.alive {
            return;
        }
        let (signalled, value) = match status {
            WaitStatus::Exited(_, code) => (false, code),
            WaitStatus::Signaled(_, signal, _) => (true, signal as i32),
            _ => return,
        };
        self.alive = false;
        self.tell(FromKeeper::Ended { signalled, value });
    }

    /// Does what the agent says. False where the agent is gone.
    fn obey(&mut self) -> bool {
        match ToKeeper::receive(self.socket.as_fd()) {
            Ok(Some((ToKeeper::Signal { signal, since }, _))) => self.signal(signal, since),
            Ok(Some((ToKeeper::Kill { grace_ms, since }, _))) => self.kill(grace_ms, since),
            Ok(Some((ToKeeper::Drain, fds))) => {
                self.drains
                    .extend(fds.into_iter().filter(|fd| sys::nonblocking(fd).is_ok()));
            }
            Ok(None) => {
                self.kill(0, 0);
                return false;
            }
            Err(_) => {}
        }
        true
    }

    /// To the command's group, or to what a session's command has started.
    fn signal(&self, signal: i32, since: u64) {
        if since == 0 {
            let child = self.child.as_raw();
            if self.alive && massacre::signal(-child, signal) == Err(Errno::ESRCH) {
                // It has only been forked, and is not yet the leader of a group.
                massacre::signal(child, signal).unwrap_or_default();
            }
            return;
        }
        let scope = Scope {
            since,
            shell: Some(self.child.as_raw()),
        };
        let victims = massacre::victims(scope);
        let is_shell = |process: &&Process| process.pid == self.child.as_raw();
        if victims.iter().all(|process| is_shell(&process)) && self.alive {
            massacre::signal(self.child.as_raw(), signal).unwrap_or_default();
        }
        for process in victims.iter().filter(|process| !is_shell(process)) {
            massacre::signal_process(process, signal, None);
        }
    }

    fn kill(&mut self, grace_ms: u32, since: u64) {
        const BOUND: Duration = Duration::from_secs(5);
        let scope = Scope {
            since,
            shell: (since != 0).then_some(self.child.as_raw()),
        };
        if grace_ms > 0 {
            for process in massacre::victims(scope) {
                massacre::signal_process(&process, Signal::SIGTERM as i32, None);
                massacre::signal_process(&process, Signal::SIGCONT as i32, None);
            }
            let end = Instant::now() + Duration::from_millis(grace_ms.into());
            while self.reap() && Instant::now() < end && !massacre::victims(scope).is_empty() {
                self.wait_for_child(end);
            }
        }
        self.killed.clear();
        let end = Instant::now() + BOUND;
        let mut quiet = 0;
        loop {
            let victims = massacre::round(scope);
            let is_quiet = victims.is_empty();
            // One of them may be waited for by its parent, which is about to end itself.
            self.killed.extend(victims);
            let left = self.reap();
            if !left {
                break;
            }
            if !is_quiet {
                quiet = 0;
            } else if since != 0 {
                // Older processes of the session stay, so the kernel cannot say that all are gone.
                quiet += 1;
                if quiet >= 3 {
                    break;
                }
                continue;
            }
            if Instant::now() >= end {
                break;
            }
            self.wait_for_child((Instant::now() + Duration::from_millis(2)).min(end));
        }
        let survivors = massacre::victims(scope);
        for survivor in &survivors {
            self.killed.remove(&survivor.pid);
        }
        self.tell(FromKeeper::Killed {
            killed: u32::try_from(self.killed.len()).unwrap_or(u32::MAX),
            survivors: u32::try_from(survivors.len()).unwrap_or(u32::MAX),
        });
    }

    fn wait_for_child(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout).is_ok() {
            while matches!(self.signals.read_signal(), Ok(Some(_))) {}
        }
    }
}

/// Reads and forgets. False where nothing will come any more.
fn drain(fd: &OwnedFd) -> bool {
    let mut scratch = [0; 16384];
    !matches!(
        nix::unistd::read(fd, &mut scratch),
        Ok(0) | Err(Errno::EIO | Errno::EBADF)
    )
}
