//! The agent's own commands at boot: as its user, once its home is there.
//!
//! Root waits for each and ends it when its time is up; the agent's user could
//! stop a process of its own that did, and the boot with it.

use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use profile_boot::agent::{AGENT_TOML, Agent, BootCommand};

use crate::error::BootError;
use crate::identity::Identity;
use crate::init::state;
use crate::signals::{Event, Signals};
use crate::{exec, report, signals, sys};

/// The exit code of what SIGTERM ended.
const STOPPED: i32 = 128 + Signal::SIGTERM as i32;

/// Runs those that the boot waits for, and leaves the rest to a process in the
/// background, one after the other. What fails is said, and the boot goes on.
///
/// A dashboard beside an agent in another container leaves them to that one.
pub(crate) fn run(home: &Path, identity: &Identity) -> Result<(), BootError> {
    let agent = match Agent::load(Path::new(AGENT_TOML)) {
        Ok(agent) if !state::is_dashboard_container() => agent,
        Ok(_) => return Ok(()),
        Err(error) => {
            report::warning(format_args!("{AGENT_TOML}: {}", report::chain(&error)));
            return Ok(());
        }
    };
    let (waited, background): (Vec<_>, Vec<_>) = agent.boot.iter().partition(|one| one.wait);
    if run_all(&waited, home, identity).is_break() {
        std::process::exit(STOPPED);
    }
    if !background.is_empty() {
        sys::fork(|| match run_all(&background, home, identity) {
            ControlFlow::Continue(()) => 0,
            ControlFlow::Break(()) => STOPPED,
        })?;
    }
    Ok(())
}

/// Breaks off where the container is told to stop, which is no failure of theirs.
fn run_all(commands: &[&BootCommand], home: &Path, identity: &Identity) -> ControlFlow<()> {
    for one in commands {
        match run_one(one, home, identity) {
            Ok(Ended::Code(0)) => {}
            Ok(Ended::Stopped) => return ControlFlow::Break(()),
            Ok(Ended::Code(code)) => {
                report::warning(format_args!(
                    "boot command {:?}: exited with {code}",
                    one.command
                ));
            }
            Ok(Ended::TooLate) => report::warning(format_args!(
                "boot command {:?}: killed, it took longer than {} s",
                one.command,
                one.timeout.as_secs()
            )),
            Err(error) => report::warning(format_args!(
                "boot command {:?}: {}",
                one.command,
                report::chain(&error)
            )),
        }
    }
    ControlFlow::Continue(())
}

enum Ended {
    Code(i32),
    TooLate,
    /// With the container.
    Stopped,
}

fn run_one(one: &BootCommand, home: &Path, identity: &Identity) -> Result<Ended, BootError> {
    let mut signals = Signals::take(&[Signal::SIGCHLD, Signal::SIGTERM])?;
    let deadline = Instant::now() + one.timeout;
    let child = sys::fork(|| {
        let Err(error) = become_command(one, home, identity);
        report::error(&error);
        error.exit_code()
    })?;
    let mut late = false;
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            // So everything ends that is left when the container does.
            Ok(WaitStatus::Signaled(_, Signal::SIGTERM, _)) => return Ok(Ended::Stopped),
            Ok(status) => {
                if let Some(code) = sys::exit_code(status) {
                    return Ok(if late {
                        Ended::TooLate
                    } else {
                        Ended::Code(code)
                    });
                }
            }
            Err(Errno::EINTR) => continue,
            Err(source) => {
                return Err(BootError::System {
                    call: "waitpid",
                    source,
                });
            }
        }
        // Once it has been killed, its end is all that is left to wait for.
        match signals.wait(None, (!late).then_some(deadline))? {
            Event::Signal(Signal::SIGTERM) => return Ok(Ended::Stopped),
            Event::Signal(_) | Event::Readable => {}
            Event::Deadline => {
                late = true;
                kill_group(child, identity)?;
            }
        }
    }
}

/// Kills what the command and its children are, as the user that they are.
fn kill_group(child: Pid, identity: &Identity) -> Result<(), BootError> {
    let end = || match killpg(child, Signal::SIGKILL) {
        // It has not made its group yet.
        Err(Errno::ESRCH) => kill(child, Signal::SIGKILL),
        done => done,
    };
    match sys::with_uid_of_agent(identity, end)? {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(source) => Err(BootError::System {
            call: "kill",
            source,
        }),
    }
}

/// In the command's process: a group of its own, the agent's user, the agent's home.
fn become_command(
    one: &BootCommand,
    home: &Path,
    identity: &Identity,
) -> Result<std::convert::Infallible, BootError> {
    let own = Pid::from_raw(0);
    nix::unistd::setpgid(own, own).map_err(BootError::system("setpgid"))?;
    signals::unblock_all()?;
    identity.assume()?;
    let (program, args) = one.command.split_first().ok_or(BootError::NoArguments)?;
    let mut command = Command::new(Path::new(program));
    command
        .args(args)
        .env("HERMES_HOME", home)
        .env("HOME", home)
        .stdin(Stdio::null())
        .current_dir(home)
        .arg0(program);
    Err(exec::exec(&mut command))
}
