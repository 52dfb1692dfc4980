//! Limits and system calls, and what of them a host cannot keep.

use super::{Seccomp, Unenforced};
use crate::host::HostFacts;
use crate::limits::{Cpus, DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, DEFAULT_SHM, Limit, Limits};
use crate::problem::{Gather, Problem};
use crate::spec::{SandboxSpec, SeccompChoice};

/// Puts what cannot be enforced where it belongs: among the problems, or the notes.
pub(super) struct LeftOut<'a> {
    pub(super) gather: &'a mut Gather,
    pub(super) list: &'a mut Vec<Unenforced>,
    pub(super) allowed: bool,
}

impl LeftOut<'_> {
    fn add(&mut self, field: &str, wanted: &str, why: &str, explicit: bool) {
        if explicit && !self.allowed {
            self.gather.add(
                Problem::new(field, format!("{wanted} cannot be enforced: {why}"))
                    .hint("leave it out, or allow it to be left unenforced (--allow-unenforced)"),
            );
        } else {
            self.list.push(Unenforced {
                field: field.into(),
                wanted: wanted.into(),
                why: why.into(),
                explicit,
            });
        }
    }

    /// A limit, its default filled in, if it can be enforced.
    fn limit<T: Copy + std::fmt::Display>(
        &mut self,
        field: &str,
        limit: Limit<T>,
        default: Option<T>,
        refusal: Option<&str>,
    ) -> Option<T> {
        let (value, explicit) = match limit {
            Limit::Default => (default?, false),
            Limit::Set(value) => (value, true),
            Limit::Unlimited => return None,
        };
        let Some(why) = refusal else {
            return Some(value);
        };
        self.add(field, &value.to_string(), why, explicit);
        None
    }
}

pub(super) fn limits(spec: &SandboxSpec, host: &HostFacts, left_out: &mut LeftOut<'_>) -> Limits {
    let cannot = |works: bool, why: &'static str| (!works).then_some(why);
    let there = host.cpus.map(Cpus::whole);
    let default = there.map_or(DEFAULT_CPUS, |there| there.min(DEFAULT_CPUS));
    if let (Limit::Set(cpus), Some(there)) = (spec.cpus, there)
        && cpus > there
    {
        left_out.gather.add(
            Problem::new("cpus", format!("{cpus} is more than the host's {there}"))
                .hint(format!("ask for at most {there}, or write `unlimited`")),
        );
    }
    let memory = left_out.limit(
        "memory",
        spec.memory,
        Some(DEFAULT_MEMORY),
        cannot(host.memory_limit, "the host cannot limit memory"),
    );
    let memory_swap = memory.and_then(|memory| {
        left_out.limit(
            "memory (swap)",
            Limit::Default,
            Some(memory),
            cannot(host.swap_limit, "the host cannot limit swap"),
        )
    });
    let quota = match host.quota_works {
        Some(true) => None,
        Some(false) => Some("the storage driver cannot limit a container's layer"),
        None => Some("nobody has tried whether the storage driver can limit a container's layer"),
    };
    Limits {
        cpus: left_out.limit(
            "cpus",
            spec.cpus,
            Some(default),
            cannot(host.cpu_limit, "the host cannot limit processors"),
        ),
        memory,
        memory_swap,
        pids: left_out.limit(
            "pids",
            spec.pids,
            Some(DEFAULT_PIDS),
            cannot(host.pids_limit, "the host cannot limit processes"),
        ),
        shm: match spec.shm {
            Limit::Set(size) => size,
            Limit::Default | Limit::Unlimited => DEFAULT_SHM,
        },
        disk: left_out.limit("disk", spec.disk, None, quota),
    }
}

pub(super) fn seccomp(spec: &SandboxSpec, host: &HostFacts, left_out: &mut LeftOut<'_>) -> Seccomp {
    match spec.seccomp {
        SeccompChoice::Unconfined => Seccomp::Unconfined,
        SeccompChoice::EngineDefault => Seccomp::EngineDefault,
        SeccompChoice::Talaria if host.seccomp => Seccomp::Talaria {
            version: crate::seccomp::VERSION,
        },
        SeccompChoice::Talaria => {
            left_out.add(
                "seccomp",
                "talaria",
                "the engine applies no seccomp profiles",
                false,
            );
            Seccomp::EngineDefault
        }
    }
}
