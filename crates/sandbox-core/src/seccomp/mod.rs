//! The system calls that a program in a sandbox may make.
//!
//! The profile is an allow list. What is not on it is answered with `ENOSYS`, as by a kernel that
//! does not have the call, because that is the answer for which libraries have a fallback: C
//! libraries go from `clone3` to `clone`, event loops from `io_uring` to epoll. Each known system call
//! stands in exactly one [`Group`], with the reason why it is there; a test compares the groups with
//! the kernel's own tables for `x86_64` and `aarch64`.
//!
//! ```
//! use sandbox_core::seccomp::{self, SeccompInput};
//! let profile = seccomp::profile(&SeccompInput::new(["CHOWN", "FOWNER", "DAC_OVERRIDE"]));
//! assert!(profile.allows("openat") && !profile.allows("mount"));
//! // The value of `--security-opt seccomp=…` in the Engine API, the file's content elsewhere.
//! assert!(profile.to_json().starts_with(r#"{"defaultAction":"SCMP_ACT_ERRNO""#));
//! ```
//!
//! # What engines make of it
//!
//! - Engines before 23 do not know `defaultErrnoRet` and answer `EPERM` by default. Every known call
//!   that is not allowed therefore has a rule of its own that answers `ENOSYS`.
//! - Names that the engine's libseccomp does not know are skipped by it. Newer calls are listed by
//!   name all the same, so that they work where it knows them.
//! - No 32-bit system calls: their `socketcall` and `ipc` multiplex what could then not be told
//!   apart. A 32-bit program is killed by its first system call (`SIGSYS`).
//!
//! # What it does not do
//!
//! - `ptrace` is allowed, for debuggers: the kernel limits it to processes of the same user, or to
//!   descendants where Yama says so. Whatever has to be safe from commands of its own user makes
//!   itself undumpable (`PR_SET_DUMPABLE`), which bars `ptrace` and `/proc/PID/mem` alike.
//! - Arguments behind pointers cannot be looked at. `clone3` has its flags there, hence `ENOSYS`.
//! - `ioctl` is not filtered: a comparison of its 32-bit request in a 64-bit register can be evaded.

mod groups;
mod profile;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use groups::{Group, Verdict, groups};
pub use profile::{Action, ArchMap, Argument, Comparison, Includes, Profile, Rule};

/// The version of the profile: it counts up with each change of [`Profile::to_json`].
pub const VERSION: u32 = 1;

/// `EPERM`, for what exists and is not permitted.
pub(crate) const EPERM: u32 = 1;
/// `ENOSYS`, for what is to look as if it did not exist.
pub(crate) const ENOSYS: u32 = 38;
/// `EAFNOSUPPORT`, the kernel's own answer for a socket family that it was built without.
pub(crate) const EAFNOSUPPORT: u32 = 97;

/// What the profile depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeccompInput {
    capabilities: BTreeSet<String>,
}

impl SeccompInput {
    /// A sandbox whose processes can have these capabilities, as `SYS_PTRACE`, `CAP_SYS_PTRACE` or
    /// `cap_sys_ptrace`; `ALL` stands for all of them.
    ///
    /// A capability adds the calls of its group ([`Verdict::With`]), and never what is denied.
    pub fn new<S: AsRef<str>>(capabilities: impl IntoIterator<Item = S>) -> Self {
        let plain = |name: S| {
            let name = name.as_ref().to_ascii_uppercase();
            name.strip_prefix("CAP_")
                .map_or_else(|| name.clone(), str::to_owned)
        };
        Self {
            capabilities: capabilities.into_iter().map(plain).collect(),
        }
    }

    /// Whether processes can have this capability, given without `CAP_`.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(capability) || self.capabilities.contains("ALL")
    }
}

/// The profile for a sandbox.
#[must_use]
pub fn profile(input: &SeccompInput) -> Profile {
    let mut syscalls = Vec::new();
    for group in groups() {
        group.rules(input, &mut syscalls);
    }
    // Allowances last: a reader finds what is special first. The engine's order is its own.
    syscalls.sort_by_key(|rule| (rule.action == Action::Allow, rule.names.len()));
    Profile {
        default_action: Action::Errno,
        default_errno_ret: ENOSYS,
        arch_map: ArchMap::native(),
        syscalls,
    }
}
