//! What the process itself is: its rights, limits and namespaces.

use std::fs;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::found::{Found, Probe};

/// In the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Namespaces whose first one, the machine's, has a fixed number.
const NAMESPACES: [(&str, &str, u64); 5] = [
    ("namespace.pid", "pid", 0xEFFF_FFFC),
    ("namespace.ipc", "ipc", 0xEFFF_FFFF),
    ("namespace.uts", "uts", 0xEFFF_FFFE),
    ("namespace.user", "user", 0xEFFF_FFFD),
    ("namespace.cgroup", "cgroup", 0xEFFF_FFFB),
];

const LIMITS: [(&str, Resource); 9] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("stack", Resource::RLIMIT_STACK),
];

pub(super) fn probes() -> Vec<Probe> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let set = |name| {
        field(name)
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .map(capabilities)
    };
    let number = |name| field(name).and_then(|number| number.parse::<u64>().ok());
    let id = |name| field(name).and_then(|ids| ids.split_whitespace().nth(1)?.parse::<u64>().ok());
    let mut probes = vec![
        Probe::new("identity.uid", id("Uid")),
        Probe::new("identity.gid", id("Gid")),
        Probe::new("capabilities.effective", set("CapEff")),
        Probe::new("capabilities.permitted", set("CapPrm")),
        Probe::new("capabilities.inheritable", set("CapInh")),
        Probe::new("capabilities.bounding", set("CapBnd")),
        Probe::new("capabilities.ambient", set("CapAmb")),
        Probe::new("no_new_privs", number("NoNewPrivs").map(|set| set == 1)),
        Probe::new(
            "seccomp",
            number("Seccomp").map(|mode| match mode {
                0 => "none",
                1 => "strict",
                _ => "filter",
            }),
        ),
        Probe::new("init.program", read_line("/proc/1/comm")),
        Probe::new("namespace.net", network()),
        Probe::new(
            "rlimits",
            Found::map(LIMITS.map(|(name, limit)| (name, limits(limit)))),
        ),
    ];
    probes.extend(NAMESPACES.map(|(name, file, first)| Probe::new(name, namespace(file, first))));
    probes
}

fn capabilities(mask: u64) -> Found {
    let held = (0..64_usize).filter(|bit| mask >> bit & 1 == 1);
    held.map(|bit| {
        CAPABILITIES
            .get(bit)
            .map_or_else(|| format!("CAP_{bit}"), ToString::to_string)
    })
    .collect()
}

fn read_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// `host` or `own`.
fn namespace(file: &str, first: u64) -> Option<&'static str> {
    let link = fs::read_link(format!("/proc/self/ns/{file}")).ok()?;
    let number: u64 = link.to_str()?.split(['[', ']']).nth(1)?.parse().ok()?;
    Some(if number == first { "host" } else { "own" })
}

/// The machine's own network has settings that no other has; its number differs between kernels.
fn network() -> Option<&'static str> {
    let settings = fs::read_dir("/proc/sys/net/core").ok()?;
    let mut names = settings.flatten().map(|entry| entry.file_name());
    Some(if names.any(|name| name == "netdev_max_backlog") {
        "host"
    } else {
        "own"
    })
}

fn limits(resource: Resource) -> Found {
    let number = |limit| {
        if limit == RLIM_INFINITY {
            Found::from("unlimited")
        } else {
            Found::Number(limit)
        }
    };
    getrlimit(resource).map_or(Found::Nothing, |(soft, hard)| {
        [number(soft), number(hard)].into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_names_and_unknown_ones_numbers() {
        let expected: Found = ["CHOWN", "CHECKPOINT_RESTORE", "CAP_63"]
            .into_iter()
            .collect();
        assert_eq!(expected, capabilities(1 | 1 << 40 | 1 << 63));
    }
}
