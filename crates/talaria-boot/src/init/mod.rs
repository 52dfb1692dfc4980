//! `/init`: prepares the container, forks stage 2, and becomes s6-svscan.
//!
//! PID 1 is s6-svscan on a scandir that only root can write. Stage 2, its child,
//! runs the hooks, has the static services supervised, lets the agent's tree
//! become one, and runs the main program ([`stage2`]). When that ends, or when the container is
//! told to stop, s6-svscan becomes [`shutdown`], which takes everything down and
//! ends with the main program's exit code.

mod handover;
mod hooks;
mod main_program;
pub(crate) mod on_signal;
mod run_directory;
pub(crate) mod shutdown;
mod stage2;
pub(crate) mod state;
mod static_services;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, dup2_stdin, pipe2};

use crate::error::BootError;
use crate::identity::{self, Identity};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::{containment, main_wrapper, paths, remap, report, routing, setup, sys};

/// The signals that PID 1 answers, each by a program in its scandir.
const SIGNALS: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGPWR,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Boots the container whose main program `args` name.
pub(crate) fn run(args: &[OsString]) -> Result<Infallible, BootError> {
    let mut signals = Signals::take(&SIGNALS)?;
    remap::apply()?;
    let identity = Identity::of_agent()?;
    if !identity.is_switch() {
        setup::check_writable(Path::new("/run"))?;
        setup::check_writable(&identity::home())?;
    }
    run_directory::prepare(&identity)?;
    state::make_exit_code()?;
    let tree = state::make_tree_ready()?;
    if Pid::this().as_raw() != 1 {
        nix::sys::prctl::set_child_subreaper(true).map_err(BootError::system("prctl"))?;
    }
    let (ready, scanning) = pipe2(OFlag::O_CLOEXEC).map_err(BootError::system("pipe"))?;
    let stage2 = sys::fork(|| stage2::run(args, &identity, &ready, &tree))?;
    state::keep_stage2(stage2)?;
    run_directory::link_programs()?;
    static_services::publish_agent_tree(Settings::from_environment().services_grace)?;
    // A service that reads its standard input would otherwise eat the user's keys.
    let null = File::open("/dev/null").map_err(BootError::file("open it", "/dev/null"))?;
    dup2_stdin(&null).map_err(BootError::system("dup2"))?;
    if let Some(signal) = signals.pending()?
        && matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGPWR)
    {
        std::process::exit(128 + signal as i32);
    }
    handover::become_svscan(&scanning, &path_with_commands(&identity))
}

/// What stage 2 is to run in the foreground.
#[derive(Debug)]
enum MainProgram {
    /// Nothing: services alone.
    None,
    /// A command line, with this process' own rights.
    Raw(Vec<OsString>),
    /// The user's arguments, routed, as the agent's user.
    Routed(routing::Route, profile_boot::agent::Agent),
    /// A gateway that its slot runs: stage 2 waits.
    Gateway(profile_boot::profile::ProfileName),
}

impl MainProgram {
    /// What `args` mean, noted where others of the container have to know.
    fn noted(args: &[OsString], identity: &Identity) -> Result<Self, BootError> {
        let main = Self::of(args)?;
        match &main {
            Self::Gateway(profile) => state::keep_supervised_gateway(profile, identity)?,
            Self::Routed(route, _) if routing::is_dashboard(route) => {
                state::keep_dashboard_container(&routing::dashboard_address(route))?;
            }
            _ => {}
        }
        Ok(main)
    }

    fn of(args: &[OsString]) -> Result<Self, BootError> {
        if args.is_empty() {
            return Ok(Self::None);
        }
        let Some(args) = routing::wrapped(args) else {
            return Ok(Self::Raw(args.to_vec()));
        };
        let agent = main_wrapper::load_agent()?;
        let route = main_wrapper::route(args, &agent);
        let unsupervised = std::env::var("HERMES_GATEWAY_NO_SUPERVISE")
            .is_ok_and(|value| profile_boot::environment::is_truthy(&value));
        match routing::supervised_gateway(&route, &agent) {
            Some(profile) if !unsupervised => Ok(Self::Gateway(profile)),
            _ => Ok(Self::Routed(route, agent)),
        }
    }
}

/// Services for s6-rc would stay dark without a word.
fn refuse_s6_rc_services() -> Result<(), BootError> {
    let directory = Path::new(paths::S6_RC_SERVICES);
    let Ok(entries) = directory.read_dir() else {
        return Ok(());
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let kind = std::fs::read_to_string(entry.path().join("type")).unwrap_or_default();
            matches!(kind.trim(), "longrun" | "oneshot")
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        return Ok(());
    }
    Err(BootError::S6RcServices {
        path: directory.to_owned(),
        names: names.join(", "),
    })
}

/// `PATH` for what root runs: s6's programs first, and no directory in which
/// the agent's user could put a program of its own.
fn path_with_commands(identity: &Identity) -> OsString {
    let path = containment::trusted_path(&std::env::var_os("PATH").unwrap_or_default(), identity);
    let directories = std::env::split_paths(&path).filter(|path| !path.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(PathBuf::from(paths::COMMANDS)).chain(directories))
        .unwrap_or_else(|_| OsStr::new(paths::COMMANDS).to_owned())
}

/// Whether an init stands in this container already.
pub(crate) fn is_alive() -> bool {
    // Nobody but its owner may write the control FIFO: not being allowed to says that it is there.
    matches!(open_control(), Ok(_) | Err(Errno::EACCES))
}

/// Has PID 1 take the container down.
pub(crate) fn end_container() -> Result<(), BootError> {
    match open_control() {
        Ok(control) => {
            nix::unistd::write(&control, b"b").map_err(BootError::system("write"))?;
            Ok(())
        }
        // Nobody reads it: PID 1 is taking the container down already.
        Err(Errno::ENXIO) => Ok(()),
        Err(error) => Err(BootError::file("write it", paths::ROOT_CONTROL)(
            error.into(),
        )),
    }
}

/// Makes up for a stage 2 that was killed. A main program that it ran was killed
/// with it, and so the container ends; a gateway is its slot's, and comes back.
pub(crate) fn replace_stage2() -> Result<(), BootError> {
    let Some(profile) = state::supervised_gateway() else {
        report::line(&"the init was killed, the container ends");
        return end_container();
    };
    let identity = Identity::of_agent()?;
    let stage2 = sys::fork(|| stage2::resume(&MainProgram::Gateway(profile), &identity))?;
    state::keep_stage2(stage2)
}

fn open_control() -> Result<OwnedFd, Errno> {
    open(
        paths::ROOT_CONTROL,
        OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW,
        Mode::empty(),
    )
}

/// Says how the boot failed, and returns the exit code of it.
fn failed(error: &BootError) -> i32 {
    report::error(error);
    error.exit_code()
}
