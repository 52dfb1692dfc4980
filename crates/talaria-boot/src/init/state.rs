//! What the init keeps about this run of the container, in a directory that
//! only it can write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo, setegid};
use profile_boot::profile::ProfileName;

use crate::error::BootError;
use crate::identity::Identity;
use crate::report;

/// The process that runs the main program.
const STAGE2_PID: &str = "/run/s6/init/pid";
/// How the main program ended.
const EXIT_CODE: &str = "/run/s6/init/exitcode";
/// How the text of an exit code ends that stage 2 has written, and how until then.
const SAID: char = '\n';
const UNSAID: char = '?';
/// The profile whose gateway is the container's command.
const GATEWAY: &str = "/run/s6/init/gateway";
/// There where the container's command is the dashboard: where that listens.
const DASHBOARD: &str = "/run/s6/init/dashboard";
/// Where a gateway's finish program says that it failed for good.
const GATEWAY_FAILED: &str = "/run/s6/init/gateway-failed";
/// Where the agent's tree says that it stands.
pub(crate) const TREE_READY: &str = "/run/s6/init/agent-tree-ready";

pub(crate) fn keep_stage2(pid: Pid) -> Result<(), BootError> {
    fs::write(STAGE2_PID, pid.to_string()).map_err(BootError::file("write it", STAGE2_PID))
}

pub(crate) fn stage2() -> Option<Pid> {
    Some(Pid::from_raw(
        fs::read_to_string(STAGE2_PID).ok()?.trim().parse().ok()?,
    ))
}

/// Whether the process that runs the main program is there.
pub(crate) fn stage2_is_alive() -> bool {
    stage2().is_some_and(|pid| kill(pid, None) != Err(Errno::ESRCH))
}

/// Makes the file of the exit code, with what is true until stage 2 says
/// otherwise: the main program was killed. It never changes its length, so that
/// saying otherwise needs no space, of which the agent may leave none.
pub(crate) fn make_exit_code() -> Result<(), BootError> {
    fs::write(EXIT_CODE, exit_text(128 + Signal::SIGKILL as i32, UNSAID))
        .map_err(BootError::file("write it", EXIT_CODE))
}

pub(crate) fn keep_exit_code(code: i32) -> Result<(), BootError> {
    let kept = OpenOptions::new()
        .write(true)
        .open(EXIT_CODE)
        .and_then(|file| file.write_all_at(exit_text(code, SAID).as_bytes(), 0));
    kept.map_err(BootError::file("write it", EXIT_CODE))
}

fn exit_text(code: i32, end: char) -> String {
    format!("{:03}{end}", code & 0xff)
}

pub(crate) fn exit_code() -> Option<i32> {
    let text = fs::read_to_string(EXIT_CODE).ok()?;
    text.trim_end_matches([SAID, UNSAID]).parse().ok()
}

/// Whether stage 2 has said how the main program ended: then PID 1 is told to end
/// the container, and nobody has to stand in for it.
pub(crate) fn has_exit_code() -> bool {
    fs::read_to_string(EXIT_CODE).is_ok_and(|text| text.ends_with(SAID))
}

/// Notes that the container was asked to run this profile's gateway, and opens
/// a way for its slot to say that it failed for good.
pub(crate) fn keep_supervised_gateway(
    profile: &ProfileName,
    identity: &Identity,
) -> Result<(), BootError> {
    fs::write(GATEWAY, profile.as_str()).map_err(BootError::file("write it", GATEWAY))?;
    // The FIFO belongs to the agent's group from its first moment, without a chown,
    // which a container may not be allowed.
    let own = nix::unistd::getegid();
    setegid(identity.gid).map_err(BootError::not_the_agent(identity))?;
    let made = mkfifo(GATEWAY_FAILED, Mode::empty());
    setegid(own).map_err(BootError::system("setegid"))?;
    made.map_err(|error| BootError::file("make it", GATEWAY_FAILED)(error.into()))?;
    fs::set_permissions(GATEWAY_FAILED, Permissions::from_mode(0o620))
        .map_err(BootError::file("make it", GATEWAY_FAILED))
}

/// Notes that the container's command is the dashboard: gateways are another
/// container's. `address` is where the dashboard will listen.
pub(crate) fn keep_dashboard_container(address: &str) -> Result<(), BootError> {
    fs::write(DASHBOARD, address).map_err(BootError::file("write it", DASHBOARD))
}

/// Whether the container's command is the dashboard.
pub(crate) fn is_dashboard_container() -> bool {
    Path::new(DASHBOARD).exists()
}

/// The profile whose gateway is the container's command.
pub(crate) fn supervised_gateway() -> Option<ProfileName> {
    fs::read_to_string(GATEWAY).ok()?.parse().ok()
}

/// Tells stage 2 that the gateway it waits for will not come back.
pub(crate) fn tell_gateway_failed(code: i32) {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let told = open(GATEWAY_FAILED, flags, Mode::empty())
        .and_then(|fifo| nix::unistd::write(&fifo, &[u8::try_from(code).unwrap_or(u8::MAX)]));
    match told {
        // Nobody reads it: stage 2 has ended, and the container with it.
        Ok(_) | Err(Errno::ENXIO) => {}
        Err(error) => report::warning(format_args!("{GATEWAY_FAILED}: cannot write it: {error}")),
    }
}

/// The reading end of [`tell_gateway_failed`].
pub(crate) fn open_gateway_failed() -> Result<OwnedFd, BootError> {
    // Open for both, so that a writer that goes away is no end of file.
    open(
        GATEWAY_FAILED,
        OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| BootError::file("open it", GATEWAY_FAILED)(error.into()))
}

/// Makes the FIFO on which the agent's tree says that it stands, and opens it
/// with a lock on it: what becomes the tree is started at once, and waits for
/// the lock to go, which it does with this file or with [`File::unlock`].
pub(crate) fn make_tree_ready() -> Result<File, BootError> {
    let make = || {
        mkfifo(TREE_READY, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fifo = File::from(open(TREE_READY, flags, Mode::empty())?);
        fifo.lock()?;
        Ok(fifo)
    };
    make().map_err(BootError::file("make it", TREE_READY))
}
