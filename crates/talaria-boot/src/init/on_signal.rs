//! What s6-svscan runs when PID 1 gets a signal.

use std::convert::Infallible;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use super::{end_container, state};
use crate::error::BootError;

/// SIGTERM and SIGPWR take the container down; every other signal is the main program's.
pub(crate) fn run(signal: Signal) -> Result<Infallible, BootError> {
    match signal {
        Signal::SIGTERM | Signal::SIGPWR => end_container()?,
        signal => {
            if let Some(stage2) = state::stage2() {
                match kill(stage2, signal) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(source) => {
                        return Err(BootError::System {
                            call: "kill",
                            source,
                        });
                    }
                }
            }
        }
    }
    std::process::exit(0);
}
