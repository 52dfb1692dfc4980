//! Raw system calls. Everything unsafe of the probes is here.

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::unistd::{ForkResult, Pid, fork};

/// How long a child may live, in microseconds.
const MOMENT: i64 = 200_000;

/// Forks a child that runs `act`, ends with its result as exit code, and is killed by `SIGALRM`
/// when it takes longer than a moment.
pub(super) fn fork_for_a_moment(act: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: the child makes system calls only, by the contract of `attempt`, and `_exit`s.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            limit_own_life();
            let code = act();
            // SAFETY: it ends the process, without the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Sets a timer that kills this process, and sees to it that it leaves no core file.
fn limit_own_life() {
    let timer = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: MOMENT,
        },
    };
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: all pointers are to values of this frame, or null where that is allowed; the calls
    // change this child's own signal state, timer and limit alone. If one of them is refused, the
    // child merely lives or dumps as before.
    unsafe {
        let mut alarm: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut alarm);
        libc::sigaddset(&raw mut alarm, libc::SIGALRM);
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const alarm, std::ptr::null_mut());
        libc::syscall(
            libc::SYS_setitimer,
            libc::ITIMER_REAL,
            &raw const timer,
            std::ptr::null_mut::<()>(),
        );
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
}

/// A system call's number and arguments. Pointers are given as numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: c_long,
    pub(super) arguments: [usize; 6],
}

impl Call {
    pub(super) const fn new<const N: usize>(number: c_long, given: [usize; N]) -> Self {
        let mut arguments = [0; 6];
        let mut index = 0;
        while index < N {
            arguments[index] = given[index];
            index += 1;
        }
        Self { number, arguments }
    }

    /// Makes the call, in a child whose memory nobody misses.
    pub(super) fn make(self) -> Result<usize, Errno> {
        let with = self.arguments;
        // SAFETY: callers are the closures of `attempt`: whatever the kernel writes, it writes to
        // the memory of a child that does nothing afterwards but exit.
        let returned = unsafe {
            libc::syscall(
                self.number,
                with[0],
                with[1],
                with[2],
                with[3],
                with[4],
                with[5],
            )
        };
        usize::try_from(returned).map_err(|_| Errno::last())
    }
}

/// A process in a new user namespace, made and gone.
pub(super) fn clone_new_user() -> Result<(), Errno> {
    let flags = libc::CLONE_NEWUSER as usize | libc::SIGCHLD as usize;
    // SAFETY: without a stack of its own the new process goes on in a copy of this one, like after
    // a fork, and exits at once.
    let returned =
        unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match returned {
        // SAFETY: it ends the new process.
        0 => unsafe { libc::_exit(0) },
        -1 => Err(Errno::last()),
        _ => Ok(()),
    }
}

/// `getpid` by the door of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(super) fn foreign_getpid() -> Result<(), Errno> {
    let mut returned: usize = 20;
    // SAFETY: the interrupt is the 32-bit call 20, getpid, which has no arguments and touches no
    // memory; the kernel clears r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") returned, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    let returned = i32::try_from(returned.cast_signed()).unwrap_or(0);
    if returned < 0 {
        return Err(Errno::from_raw(-returned));
    }
    Ok(())
}

/// `access(2)` with the effective ids, for writing.
pub(super) fn may_write(path: &std::ffi::CStr) -> Result<(), Errno> {
    // SAFETY: the path is a terminated string that outlives the call.
    let returned =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) };
    Errno::result(returned).map(drop)
}
