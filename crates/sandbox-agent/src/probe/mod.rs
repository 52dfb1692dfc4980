//! What a sandbox is really like, seen from inside: the posture probes.
//!
//! [`run`] asks the kernel; judging the answers is `sandbox_core::posture`'s business, which also
//! has the list of names. The probes never disturb what runs beside them: no limit is exhausted, no
//! job is stopped, nothing is mounted, and every call is given arguments that make it fail or come
//! to nothing where it is permitted. System calls are tried in a forked child each, so that a death
//! by seccomp or a hang is an answer like any other. The whole takes a fraction of a second, a tenth
//! of it the wait for addresses that do not answer.
//!
//! An attempt is answered with `done`, with the error's name (`EPERM`), with the signal that killed
//! it (`SIGSYS`), with `hung`, or with `not tried: …`.
//!
//! Call [`run`] in a process of its own and with one thread (the program's `probe` command is that):
//! it forks and waits for its children.

mod attempt;
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "registers hold what is put into them, with or without a sign"
)]
mod calls;
mod cgroup;
mod connect;
mod files;
mod found;
mod mounts;
mod network;
mod process;
#[expect(unsafe_code, reason = "raw system calls, which is what is probed")]
mod sys;

pub use found::{Found, Probe, to_json};

/// Whom the probes are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The process that commands must not be able to look into: the agent's, 1 by default.
    pub agent: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { agent: 1 }
    }
}

/// Runs all probes, for an agent that is process 1.
#[must_use]
pub fn run() -> Vec<Probe> {
    run_with(Settings::default())
}

/// Runs all probes.
#[must_use]
pub fn run_with(settings: Settings) -> Vec<Probe> {
    let mounts = mounts::read();
    let mut probes = process::probes();
    probes.extend(calls::probes(settings));
    probes.extend(files::probes(&mounts));
    probes.extend(cgroup::probes(&mounts));
    probes.extend(mounts::probes(&mounts));
    probes.extend(network::probes());
    probes
}
