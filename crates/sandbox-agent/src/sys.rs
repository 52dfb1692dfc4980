//! The system calls that have no safe form, and small ones that nix does not have.
#![expect(unsafe_code, reason = "fork, ioctl and close_range have no safe form")]

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid};

/// Forks. The child runs `child` and ends with the exit code that it returns.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: the agent never starts a thread, so the child is a whole copy of the process, with
    // no lock held by anybody who is not there.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = child();
            // SAFETY: ends this process; nothing of the parent's is run on the way out.
            unsafe { libc::_exit(code) }
        }
    }
}

fn close_range(first: RawFd, last: libc::c_uint, flags: libc::c_uint) -> Result<(), Errno> {
    let first = libc::c_uint::try_from(first).unwrap_or(0);
    // SAFETY: three numbers; the callers own every descriptor in the range, or only mark it.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Closes every descriptor but those in `keep` and 0 to 2, whose numbers nothing else may get. For
/// a fork that goes on by itself.
pub(crate) fn close_others(keep: &[RawFd]) {
    let mut kept: BTreeSet<RawFd> = BTreeSet::new();
    kept.extend(keep.iter().chain(&[0, 1, 2]));
    let mut first = 0;
    let mut whole = true;
    for fd in &kept {
        if *fd > first {
            whole &= close_range(first, fd.unsigned_abs() - 1, 0).is_ok();
        }
        first = fd + 1;
    }
    whole &= close_range(first, libc::c_uint::MAX, 0).is_ok();
    if !whole {
        for fd in open_descriptors() {
            if !kept.contains(&fd) {
                // SAFETY: this fork never uses the descriptors that it inherited and does not keep.
                unsafe { libc::close(fd) };
            }
        }
    }
}

/// Marks everything from 3 on to be closed by exec.
pub(crate) fn close_on_exec() {
    const CLOEXEC: libc::c_uint = 4;
    if close_range(3, libc::c_uint::MAX, CLOEXEC).is_err() {
        for fd in open_descriptors().into_iter().filter(|fd| *fd > 2) {
            // SAFETY: sets a flag on a number.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

fn open_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return (0..1024).collect();
    };
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// Makes `fd` the descriptor `target`.
pub(crate) fn dup_onto(fd: RawFd, target: RawFd) -> Result<(), Errno> {
    if fd == target {
        // SAFETY: clears a flag on a number.
        return Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: two numbers.
    Errno::result(unsafe { libc::dup2(fd, target) }).map(drop)
}

/// Makes the terminal at descriptor 0 this session's own.
pub(crate) fn control_terminal() -> Result<(), Errno> {
    // SAFETY: an ioctl with a number as its argument.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// How many bytes can be read now.
pub(crate) fn readable(fd: BorrowedFd<'_>) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `count` is one.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if done == 0 {
        u64::try_from(count).unwrap_or(0)
    } else {
        0
    }
}

/// Sets the size of a terminal.
pub(crate) fn resize(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one winsize, and `size` lives through the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
        .map(drop)
}

/// What the agent ignores: that a pipe is closed, and that a file would grow beyond its limit, are
/// errors of the write.
const IGNORED: [libc::c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Gives all signals their default meaning, whatever this process inherited, but for those that it
/// ignores.
pub(crate) fn own_signals() {
    for signal in 1..=64 {
        let meaning = if IGNORED.contains(&signal) {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        // SAFETY: neither meaning is a handler.
        unsafe { libc::signal(signal, meaning) };
    }
}

/// Gives the ignored signals their default meaning too, and unblocks all: for a fork of a process
/// with [`own_signals`] that is about to exec.
pub(crate) fn default_signals() {
    for signal in IGNORED {
        // SAFETY: the default is no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    if let Err(error) = nix::sys::signal::SigSet::empty().thread_set_mask() {
        eprintln!("sandbox-agent: cannot unblock signals: {error}");
    }
}

/// Makes this process adopt the orphans among its descendants.
pub(crate) fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Makes this process undumpable: nobody without `CAP_SYS_PTRACE` reads or traces it.
pub(crate) fn become_undumpable() -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Sends a signal by number to a process, or with a negative id to a group.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// The limits of open descriptors that this process was started with.
static FILES: std::sync::OnceLock<(u64, u64)> = std::sync::OnceLock::new();

/// Raises the soft limit of open descriptors to the hard one, for this process.
pub(crate) fn raise_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        FILES.get_or_init(|| (soft, hard));
    }
}

/// Puts the limit of open descriptors back to what it was at the start.
pub(crate) fn restore_files() -> Result<(), Errno> {
    use nix::sys::resource::{Resource, setrlimit};
    FILES.get().map_or(Ok(()), |(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, *soft, *hard)
    })
}

/// A handle of a process, whose number may become another's once it has been waited for.
pub(crate) fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: two numbers; the kernel sets the descriptor close-on-exec.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to a process by its handle.
pub(crate) fn pidfd_kill(process: &OwnedFd, signal: i32) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    let fd = process.as_raw_fd();
    // SAFETY: without a siginfo, the kernel reads nothing of this process's memory.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0) };
    Errno::result(done).map(drop)
}

/// Time since boot, suspended time included: no clock setting moves it.
pub(crate) fn since_boot() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .unwrap_or_default()
}

/// Clock ticks a second, the unit of start times in `/proc`.
pub(crate) fn ticks(time: Duration) -> u64 {
    let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
    let hertz = hertz
        .ok()
        .flatten()
        .and_then(|hertz| u128::try_from(hertz).ok());
    u64::try_from(time.as_micros() * hertz.unwrap_or(100) / 1_000_000).unwrap_or(u64::MAX)
}

/// Random bytes that nobody can guess.
pub(crate) fn secret<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    // SAFETY: fills at most the N bytes that `bytes` has.
    let got = Errno::result(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) })?;
    (usize::try_from(got) == Ok(N))
        .then_some(bytes)
        .ok_or(Errno::EIO)
}

/// Random bytes, for names and the like: where there are none, this process's id.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    secret().unwrap_or_else(|_| {
        let pid = std::process::id().to_be_bytes();
        std::array::from_fn(|at| pid[at % pid.len()])
    })
}

/// Sets real, effective and saved ids for good.
pub(crate) fn assume(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    use nix::unistd::{Gid, Uid};
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    nix::unistd::setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)
}

/// A pair of connected sockets that keep message boundaries, closed on exec.
pub(crate) fn messages() -> Result<(OwnedFd, OwnedFd), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
}

/// Makes reads and writes give up instead of waiting.
pub(crate) fn nonblocking(fd: impl AsFd) -> Result<(), Errno> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Random letters and digits, for names.
pub(crate) fn random_name() -> String {
    format!("{:016x}", u64::from_be_bytes(random()))
}

/// Has a pipe hold more, so that its two ends take fewer turns. What is no pipe, or may not, stays as
/// it is.
pub(crate) fn widen(fd: impl AsFd) {
    use nix::fcntl::{FcntlArg, fcntl};
    fcntl(fd.as_fd(), FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap_or_default();
}

/// A pipe, closed on exec: what is read, what is written.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
}
