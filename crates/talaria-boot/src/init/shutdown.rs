//! The end of the container: what s6-svscan becomes, as PID 1.
//!
//! Services first, the agent's before the static ones, so that gateways can
//! write their state while everything is still there; then the main program and
//! whatever else is left. Every grace is an upper bound: as soon as the last
//! process has gone, so has the container.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, geteuid};

use super::state;
use crate::error::BootError;
use crate::identity::Identity;
use crate::process_table::{self, Process};
use crate::settings::Settings;
use crate::signals::{Event, Signals};
use crate::{paths, report, sys};

/// Takes the container down and ends with the main program's exit code.
pub(crate) fn run() -> Result<Infallible, BootError> {
    let settings = Settings::from_environment();
    let mut ending = Ending {
        signals: Signals::take(&ANSWERED)?,
        agent: Identity::of_agent()?,
        own: Pid::this(),
    };
    ending.stop_everything(settings);
    // Without a word from stage 2 the main program had to be killed.
    std::process::exit(state::exit_code().unwrap_or(128 + Signal::SIGKILL as i32));
}

/// What could come while the container ends: the end of a child, and what else
/// an engine's init may hand on, none of which changes anything any more.
const ANSWERED: [Signal; 8] = [
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGPWR,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

struct Ending {
    signals: Signals,
    agent: Identity,
    own: Pid,
}

impl Ending {
    /// What fails in one phase is said, and the next begins all the same.
    fn stop_everything(&mut self, settings: Settings) {
        let deadline = Instant::now() + settings.services_grace;
        for phase in [
            &mut |ending: &mut Self| ending.orphan_agent_tree(),
            &mut |ending: &mut Self| ending.stop_services(true, deadline),
            &mut |ending: &mut Self| ending.stop_services(false, deadline),
            &mut |ending: &mut Self| ending.end_the_rest(settings.kill_grace),
        ] as [&mut dyn FnMut(&mut Self) -> Result<(), BootError>; 4]
        {
            if let Err(error) = phase(self) {
                report::error(&error);
            }
        }
    }

    /// Ends the agent's s6-svscan and what would start it again, so that nothing
    /// starts a service any more. What they supervised becomes this process' child.
    fn orphan_agent_tree(&mut self) -> Result<(), BootError> {
        let processes = list()?;
        let supervises_tree = |process: &&Process| {
            process.comm == "s6-supervise"
                && process.parent == self.own
                && process.uid == geteuid().as_raw()
                && process.first_argument().as_deref() == Some(paths::AGENT_TREE)
        };
        let Some(supervisor) = processes.iter().find(supervises_tree) else {
            return Ok(());
        };
        self.send(&[(supervisor.pid, Signal::SIGKILL)])?;
        let tree: Vec<_> = processes
            .iter()
            .filter(|process| process.parent == supervisor.pid)
            .map(|process| (process.pid, Signal::SIGKILL))
            .collect();
        self.send(&tree)?;
        let mut gone: Vec<Pid> = tree.iter().map(|(pid, _)| *pid).collect();
        gone.push(supervisor.pid);
        self.wait_for(&mut gone, Instant::now() + Duration::from_secs(1))
    }

    /// Has every s6-supervise of the agent's tree, or of root's, bring its service
    /// down and end. Loggers go on until there is nothing left to read.
    fn stop_services(&mut self, of_agent: bool, deadline: Instant) -> Result<(), BootError> {
        let mut services = Vec::new();
        let mut orders = Vec::new();
        for process in list()? {
            if process.comm != "s6-supervise"
                || process.parent != self.own
                || self.is_agents(&process) != of_agent
            {
                continue;
            }
            if process
                .first_argument()
                .is_some_and(|name| name.ends_with("/log"))
            {
                orders.push((process.pid, Signal::SIGHUP));
            } else {
                orders.push((process.pid, Signal::SIGTERM));
                services.push(process.pid);
            }
        }
        self.send(&orders)?;
        self.wait_for(&mut services, deadline)
    }

    /// SIGTERM to the main program and to all that is left, and SIGKILL when the
    /// grace is over.
    fn end_the_rest(&mut self, grace: Duration) -> Result<(), BootError> {
        let stage2 = state::stage2();
        let processes = list()?;
        // Stage 2 hands the signal to the main program's group, which is not to get it twice.
        let groups: Vec<Pid> = processes
            .iter()
            .filter(|process| Some(process.parent) == stage2)
            .map(|process| process.group)
            .collect();
        let orders: Vec<_> = self
            .others(&processes)
            .into_iter()
            .filter(|process| !groups.contains(&process.group))
            .map(|process| (process.pid, Signal::SIGTERM))
            .collect();
        self.send(&orders)?;
        if self.wait_for_all(Instant::now() + grace)? || self.own.as_raw() == 1 {
            // What is left of PID 1's ends with it.
            return Ok(());
        }
        let processes = list()?;
        let orders: Vec<_> = self
            .others(&processes)
            .into_iter()
            .map(|process| (process.pid, Signal::SIGKILL))
            .collect();
        self.send(&orders)?;
        self.wait_for_all(Instant::now() + Duration::from_secs(1))
            .map(|_| ())
    }

    /// Whether an s6-supervise is one of the agent's tree. Where everything has
    /// one owner, what tells is where it works; where not, only the owner does,
    /// since root may not look at another user's processes.
    fn is_agents(&self, supervisor: &Process) -> bool {
        if self.agent.is_switch() {
            supervisor.uid == self.agent.uid.as_raw()
        } else {
            supervisor.works_in(paths::AGENT_SCANDIR)
        }
    }

    /// The processes that are this container's, but for this one: as PID 1 all of
    /// them are; otherwise those that descend from this process.
    fn others<'a>(&self, all: &'a [Process]) -> Vec<&'a Process> {
        let mut ours: HashMap<Pid, bool> = HashMap::from([(self.own, true)]);
        let parents: HashMap<Pid, Pid> = all
            .iter()
            .map(|process| (process.pid, process.parent))
            .collect();
        let mut others = Vec::new();
        for process in all.iter().filter(|process| process.pid != self.own) {
            let mut line = Vec::new();
            let mut pid = process.pid;
            let found = loop {
                if let Some(known) = ours.get(&pid) {
                    break *known;
                }
                line.push(pid);
                match parents.get(&pid) {
                    Some(parent) if line.len() <= all.len() => pid = *parent,
                    _ => break false,
                }
            };
            ours.extend(line.into_iter().map(|pid| (pid, found)));
            if found || self.own.as_raw() == 1 {
                others.push(process);
            }
        }
        others
    }

    /// Sends signals, as the agent's user those that this process may not send.
    fn send(&self, orders: &[(Pid, Signal)]) -> Result<(), BootError> {
        let refused: Vec<_> = orders
            .iter()
            .filter(|(pid, signal)| kill(*pid, *signal) == Err(Errno::EPERM))
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        sys::with_uid_of_agent(&self.agent, || {
            for (pid, signal) in refused {
                // What is neither root's nor the agent's ends with PID 1.
                if let Err(error) = kill(*pid, *signal)
                    && !matches!(error, Errno::ESRCH | Errno::EPERM)
                {
                    report::warning(format_args!("cannot signal {pid}: {error}"));
                }
            }
        })
    }

    /// Reaps until none of `pids` is left, or until the deadline.
    fn wait_for(&mut self, pids: &mut Vec<Pid>, deadline: Instant) -> Result<(), BootError> {
        loop {
            let childless = reap(|pid| pids.retain(|other| *other != pid))?;
            if pids.is_empty() || childless {
                return Ok(());
            }
            if self.signals.wait(None, Some(deadline))? == Event::Deadline {
                return Ok(());
            }
        }
    }

    /// Reaps until there is no child left: `false` where the deadline came first.
    fn wait_for_all(&mut self, deadline: Instant) -> Result<bool, BootError> {
        loop {
            if reap(|_| ())? {
                return Ok(true);
            }
            if self.signals.wait(None, Some(deadline))? == Event::Deadline {
                return Ok(false);
            }
        }
    }
}

/// Reaps every child that has ended. Whether none is left at all.
fn reap(mut ended: impl FnMut(Pid)) -> Result<bool, BootError> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => match status.pid() {
                Some(pid) => ended(pid),
                None => return Ok(false),
            },
            Err(Errno::ECHILD) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(source) => {
                return Err(BootError::System {
                    call: "waitpid",
                    source,
                });
            }
        }
    }
}

fn list() -> Result<Vec<Process>, BootError> {
    process_table::all().map_err(BootError::file("list it", "/proc"))
}
