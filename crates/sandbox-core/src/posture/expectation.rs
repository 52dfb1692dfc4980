//! What the probes should find.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::advice::words;
use super::{Check, Probe, Tmpfs};

/// Paths that show secrets of the machine or the load of others, which a sandbox's engine is told
/// to mask.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths through which the machine is changed, which a sandbox's engine is told to mount read-only.
pub const READ_ONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What network a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None but its own loopback.
    None,
    /// One on which sandboxes do not reach each other.
    Isolated,
    /// Somebody's own, on which others may be.
    Named,
}

/// What a plan says of a sandbox's walls.
///
/// The default is that of a sandbox that starts as an unprivileged user, without limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a wall that stands or does not"
)]
pub struct Posture {
    /// The uid that commands run as, where the plan names it.
    pub uid: Option<u32>,
    /// The gid, likewise.
    pub gid: Option<u32>,
    /// The capabilities that the container gets, without `CAP_`.
    pub capabilities: BTreeSet<String>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Whether the filter is our own profile.
    pub own_profile: bool,
    /// Whether the agent protects itself: it serves as process 1.
    pub agent: bool,
    /// How many processes and threads.
    pub pids: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together.
    pub memory_and_swap: Option<u64>,
    /// Thousandths of a processor.
    pub cpus: Option<u64>,
    /// Bytes of `/dev/shm`.
    pub shm: Option<u64>,
    /// File systems in memory, by where they are mounted.
    pub tmpfs: BTreeMap<String, Tmpfs>,
    /// The network.
    pub network: Network,
    /// Paths that are to show nothing.
    pub masked: BTreeSet<String>,
    /// Paths that are to be mounted read-only.
    pub read_only: BTreeSet<String>,
    /// Whether the root file system is read-only.
    pub read_only_root: bool,
    /// Sockets that the spec mounts in so many words, the engine's among them.
    pub sockets: BTreeSet<String>,
    /// Devices that it hands over.
    pub devices: BTreeSet<String>,
}

impl Default for Posture {
    fn default() -> Self {
        Self {
            uid: None,
            gid: None,
            capabilities: BTreeSet::new(),
            seccomp: true,
            own_profile: true,
            agent: true,
            pids: None,
            memory: None,
            memory_and_swap: None,
            cpus: None,
            shm: None,
            tmpfs: BTreeMap::new(),
            network: Network::Isolated,
            masked: MASKED_PATHS.map(str::to_owned).into(),
            read_only: READ_ONLY_PATHS.map(str::to_owned).into(),
            read_only_root: false,
            sockets: BTreeSet::new(),
            devices: BTreeSet::new(),
        }
    }
}

/// What a probe should find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Which probe.
    pub probe: Probe,
    /// What its answer has to be like.
    pub check: Check,
    /// Why it matters.
    pub why: &'static str,
    /// What to do where it is not so.
    pub hint: &'static str,
}

/// What the probes should find in a sandbox, in the order of [`Probe::ALL`].
///
/// Nothing is expected of probes that only inform: an own child may be debugged, and user and cgroup
/// namespaces are as the engine is set up.
#[must_use]
pub fn expected(posture: &Posture) -> Vec<Expectation> {
    let all = Probe::ALL.iter().copied();
    all.filter_map(|probe| {
        let check = check(probe, posture)?;
        let (why, hint) = words(probe);
        Some(Expectation {
            probe,
            check,
            why,
            hint,
        })
    })
    .collect()
}

fn check(probe: Probe, posture: &Posture) -> Option<Check> {
    Some(match probe {
        Probe::IdentityUid => Check::Is(posture.uid?.into()),
        Probe::IdentityGid => Check::Is(posture.gid?.into()),
        Probe::CapabilitiesBounding => Check::Within(posture.capabilities.clone()),
        Probe::CapabilitiesEffective | Probe::CapabilitiesPermitted => Check::Within(held(posture)),
        Probe::CapabilitiesInheritable
        | Probe::CapabilitiesAmbient
        | Probe::CgroupWritable
        | Probe::CgroupReleaseAgent => Check::Empty,
        Probe::NoNewPrivs => Check::Is(true.into()),
        Probe::Seccomp => Check::Is(word(if posture.seccomp { "filter" } else { "none" })),
        Probe::NamespaceNet | Probe::NamespacePid | Probe::NamespaceIpc | Probe::NamespaceUts => {
            Check::Is(word("own"))
        }
        Probe::AgentPtrace | Probe::AgentMemory | Probe::AgentEnvironment => {
            posture.agent.then_some(Check::Refused)?
        }
        Probe::PathsMasked => Check::Hidden(posture.masked.clone()),
        Probe::PathsReadOnly => {
            // The engine mounts /sys itself so, without being told.
            let paths = posture.read_only.iter().cloned();
            Check::ReadOnly(paths.chain(["/sys".to_owned()]).collect())
        }
        Probe::PathsWritten => Check::NotWritten,
        Probe::Devices => Check::Devices(posture.devices.clone()),
        Probe::EngineSockets => Check::Within(posture.sockets.clone()),
        Probe::RootReadOnly => posture.read_only_root.then_some(Check::Is(true.into()))?,
        Probe::LimitPids => Check::AtMost(posture.pids?),
        Probe::LimitMemory => Check::AtMost(posture.memory?),
        Probe::LimitMemoryAndSwap => Check::AtMost(posture.memory_and_swap?),
        Probe::LimitCpus => Check::AtMost(posture.cpus?),
        Probe::LimitShm => Check::AtMost(posture.shm?),
        Probe::Tmpfs if posture.tmpfs.is_empty() => return None,
        Probe::Tmpfs => Check::Tmpfs(posture.tmpfs.clone()),
        Probe::NetworkInterfaces => {
            (posture.network == Network::None).then(|| Check::Within(["lo".to_owned()].into()))?
        }
        Probe::NetworkMetadata => Check::Unreachable,
        Probe::NetworkEnginePort => Check::NotListening,
        Probe::NetworkNeighbours => (posture.network != Network::Named).then_some(Check::Empty)?,
        Probe::CallKcmp | Probe::CallProcessVmReadv if has(posture, "SYS_PTRACE") => return None,
        Probe::CallChroot if has(posture, "SYS_CHROOT") => return None,
        Probe::SocketRaw | Probe::SocketRaw6 if has(posture, "NET_RAW") => return None,
        // Without our profile these are anybody's, whatever the capabilities are.
        Probe::CallKcmp
        | Probe::CallProcessVmReadv
        | Probe::CallPersonality
        | Probe::CallModifyLdt
        | Probe::CallClone3
        | Probe::CallForeign
            if !posture.own_profile =>
        {
            return None;
        }
        Probe::InitProgram
        | Probe::NamespaceUser
        | Probe::NamespaceCgroup
        | Probe::Rlimits
        | Probe::PtraceChild
        | Probe::CgroupVersion
        | Probe::NetworkGateway => return None,
        _ => Check::Refused,
    })
}

fn word(word: &str) -> Value {
    Value::String(word.to_owned())
}

fn has(posture: &Posture, capability: &str) -> bool {
    posture.capabilities.contains(capability)
}

/// The capabilities that a command has from the start: only root's processes have any.
fn held(posture: &Posture) -> BTreeSet<String> {
    match posture.uid {
        Some(0) | None => posture.capabilities.clone(),
        Some(_) => BTreeSet::new(),
    }
}
