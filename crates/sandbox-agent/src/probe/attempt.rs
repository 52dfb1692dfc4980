//! Trying something in a child that may die of it.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};

use super::found::Found;
use super::sys;

/// What became of an attempt, in a word.
pub(super) const DONE: &str = "done";

/// Runs `act` in a forked child, for at most a fifth of a second.
///
/// `act` must neither allocate nor lock, as always between fork and exit.
pub(super) fn attempt(act: impl FnOnce() -> Result<(), Errno>) -> Found {
    let child = match sys::fork_for_a_moment(|| act().map_or_else(|errno| errno as i32, |()| 0)) {
        Ok(child) => child,
        Err(errno) => return Found::Text(format!("not tried: fork: {}", name(errno))),
    };
    loop {
        return match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => DONE.into(),
            Ok(WaitStatus::Exited(_, code)) => name(Errno::from_raw(code)).into(),
            Ok(WaitStatus::Signaled(_, Signal::SIGALRM, _)) => "hung".into(),
            Ok(WaitStatus::Signaled(_, signal, _)) => signal.as_str().into(),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => Found::Text(format!("not tried: waitpid: {}", name(errno))),
        };
    }
}

/// The answer of something that was tried right here.
pub(super) fn answer(result: Result<(), Errno>) -> Found {
    result.map_or_else(|errno| name(errno).into(), |()| DONE.into())
}

/// `EPERM` and the like.
pub(super) fn name(errno: Errno) -> String {
    format!("{errno:?}")
}

/// An I/O error's number.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_tells_what_became_of_it() {
        assert_eq!(Found::from("done"), attempt(|| Ok(())));
        assert_eq!(Found::from("ENOSYS"), attempt(|| Err(Errno::ENOSYS)));
        assert_eq!(
            Found::from("SIGSYS"),
            attempt(|| nix::sys::signal::raise(Signal::SIGSYS))
        );
        assert_eq!(
            Found::from("hung"),
            attempt(|| loop {
                nix::unistd::pause();
            })
        );
    }
}
