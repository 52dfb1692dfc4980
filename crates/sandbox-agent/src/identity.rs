//! What the agent says of itself.

use std::fs;

use sha2::{Digest, Sha256};

use crate::sys;
use crate::wire::{AgentHello, VERSION};

/// The agent's first frame.
pub(crate) fn hello() -> AgentHello {
    let program = fs::read("/proc/self/exe").ok();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    AgentHello {
        version: VERSION,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        hash: program.map_or([0; 32], |program| Sha256::digest(program).into()),
        pid: std::process::id(),
        uid: nix::unistd::geteuid().as_raw(),
        instance: sys::random(),
        boot_id: boot_id.trim().to_owned(),
    }
}
