//! The names of the probes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that names no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no probe `{0}`")]
pub struct UnknownProbe(pub String);

macro_rules! probes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(, $known:ident)?;)*) => {
        /// A question about a sandbox that is asked inside it.
        ///
        /// An attempt is answered by `done`, an error's name, a signal's name, `hung`, or
        /// `not tried: …`; facts by a JSON value that the variant's text describes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Probe {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Probe {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as `namespace.pid`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether the engine's description of the container tells the same, so that the
            /// sandbox need not be believed.
            #[must_use]
            pub const fn engine_knows(self) -> bool {
                match self {
                    $(Self::$variant => probes!(@ $($known)?),)*
                }
            }
        }
    };
    (@ engine) => { true };
    (@) => { false };
}

probes! {
    /// The effective uid.
    IdentityUid = "identity.uid", engine;
    /// The effective gid.
    IdentityGid = "identity.gid", engine;
    /// The effective capabilities, without `CAP_`.
    CapabilitiesEffective = "capabilities.effective";
    /// The permitted capabilities, without `CAP_`.
    CapabilitiesPermitted = "capabilities.permitted";
    /// The inheritable capabilities, without `CAP_`.
    CapabilitiesInheritable = "capabilities.inheritable";
    /// The bounding capabilities, without `CAP_`.
    CapabilitiesBounding = "capabilities.bounding", engine;
    /// The ambient capabilities, without `CAP_`.
    CapabilitiesAmbient = "capabilities.ambient";
    /// Whether programs can gain rights by being run.
    NoNewPrivs = "no_new_privs", engine;
    /// Whether system calls are filtered: `none`, `strict`, `filter`.
    Seccomp = "seccomp", engine;
    /// The name of process 1.
    InitProgram = "init.program";
    /// Whether the net namespace is the machine's (`host`) or `own`.
    NamespaceNet = "namespace.net", engine;
    /// Whether the pid namespace is the machine's (`host`) or `own`.
    NamespacePid = "namespace.pid", engine;
    /// Whether the ipc namespace is the machine's (`host`) or `own`.
    NamespaceIpc = "namespace.ipc", engine;
    /// Whether the uts namespace is the machine's (`host`) or `own`.
    NamespaceUts = "namespace.uts", engine;
    /// Whether the user namespace is the machine's (`host`) or `own`.
    NamespaceUser = "namespace.user", engine;
    /// Whether the cgroup namespace is the machine's (`host`) or `own`.
    NamespaceCgroup = "namespace.cgroup", engine;
    /// Resource limits, soft and hard.
    Rlimits = "rlimits", engine;
    /// The system call `mount`.
    CallMount = "call.mount";
    /// The system call `umount`.
    CallUmount = "call.umount";
    /// The system call `fsopen`.
    CallFsopen = "call.fsopen";
    /// The system call `open_tree`.
    CallOpenTree = "call.open_tree";
    /// The system call `pivot_root`.
    CallPivotRoot = "call.pivot_root";
    /// The system call `chroot`.
    CallChroot = "call.chroot";
    /// The system call `clone3`.
    CallClone3 = "call.clone3";
    /// `clone` with a new user namespace.
    CallCloneNewuser = "call.clone_newuser";
    /// The system call `bpf`.
    CallBpf = "call.bpf";
    /// The system call `keyctl`.
    CallKeyctl = "call.keyctl";
    /// The system call `add_key`.
    CallAddKey = "call.add_key";
    /// The system call `request_key`.
    CallRequestKey = "call.request_key";
    /// The system call `io_uring_setup`.
    CallIoUringSetup = "call.io_uring_setup";
    /// The system call `userfaultfd`.
    CallUserfaultfd = "call.userfaultfd";
    /// The system call `perf_event_open`.
    CallPerfEventOpen = "call.perf_event_open";
    /// The system call `memfd_secret`.
    CallMemfdSecret = "call.memfd_secret";
    /// The system call `kexec_load`.
    CallKexecLoad = "call.kexec_load";
    /// The system call `finit_module`.
    CallFinitModule = "call.finit_module";
    /// The system call `delete_module`.
    CallDeleteModule = "call.delete_module";
    /// The system call `reboot`.
    CallReboot = "call.reboot";
    /// The system call `swapoff`.
    CallSwapoff = "call.swapoff";
    /// The system call `syslog`.
    CallSyslog = "call.syslog";
    /// The system call `sethostname`.
    CallSethostname = "call.sethostname";
    /// The system call `open_by_handle_at`.
    CallOpenByHandleAt = "call.open_by_handle_at";
    /// The system call `process_vm_readv`.
    CallProcessVmReadv = "call.process_vm_readv";
    /// The system call `kcmp`.
    CallKcmp = "call.kcmp";
    /// The system call `personality`.
    CallPersonality = "call.personality";
    /// The system call `iopl`.
    CallIopl = "call.iopl";
    /// The system call `modify_ldt`.
    CallModifyLdt = "call.modify_ldt";
    /// The system call `setns`.
    CallSetns = "call.setns";
    /// A 32-bit system call.
    CallForeign = "call.foreign";
    /// A new user namespace.
    UnshareUser = "unshare.user";
    /// A new mount namespace.
    UnshareMount = "unshare.mount";
    /// A new pid namespace.
    UnsharePid = "unshare.pid";
    /// A new net namespace.
    UnshareNet = "unshare.net";
    /// A new ipc namespace.
    UnshareIpc = "unshare.ipc";
    /// A new uts namespace.
    UnshareUts = "unshare.uts";
    /// A new cgroup namespace.
    UnshareCgroup = "unshare.cgroup";
    /// A new time namespace.
    UnshareTime = "unshare.time";
    /// A socket of the kind `packet`.
    SocketPacket = "socket.packet";
    /// A socket of the kind `vsock`.
    SocketVsock = "socket.vsock";
    /// A socket of the kind `alg`.
    SocketAlg = "socket.alg";
    /// A socket of the kind `xdp`.
    SocketXdp = "socket.xdp";
    /// A socket of the kind `raw`.
    SocketRaw = "socket.raw";
    /// A socket of the kind `raw6`.
    SocketRaw6 = "socket.raw6";
    /// Making a character device.
    MknodChar = "mknod.char";
    /// Making a block device.
    MknodBlock = "mknod.block";
    /// Tracing the agent.
    AgentPtrace = "agent.ptrace";
    /// Opening the agent's memory.
    AgentMemory = "agent.memory";
    /// Reading the agent's environment.
    AgentEnvironment = "agent.environment";
    /// Whether a debugger works on an own child.
    PtraceChild = "ptrace.child";
    /// What the paths with secrets of the machine show.
    PathsMasked = "paths.masked", engine;
    /// How the kernel's directories are mounted.
    PathsReadOnly = "paths.read_only", engine;
    /// What came of opening the machine's settings for writing.
    PathsWritten = "paths.written";
    /// The devices below `/dev`.
    Devices = "devices", engine;
    /// Sockets of engines, and sockets that are mounted.
    EngineSockets = "engine_sockets", engine;
    /// Whether the root file system is read-only.
    RootReadOnly = "root.read_only", engine;
    /// How many processes and threads.
    LimitPids = "limit.pids", engine;
    /// Bytes of memory.
    LimitMemory = "limit.memory", engine;
    /// Bytes of memory and swap together.
    LimitMemoryAndSwap = "limit.memory_and_swap", engine;
    /// Thousandths of a processor.
    LimitCpus = "limit.cpus", engine;
    /// Bytes of `/dev/shm`.
    LimitShm = "limit.shm", engine;
    /// File systems in memory, with size and options.
    Tmpfs = "tmpfs", engine;
    /// 1 or 2.
    CgroupVersion = "cgroup.version", engine;
    /// Control groups that are mounted writable.
    CgroupWritable = "cgroup.writable";
    /// Control groups whose release agent can be set, a program that the machine runs as root.
    CgroupReleaseAgent = "cgroup.release_agent";
    /// The network interfaces.
    NetworkInterfaces = "network.interfaces", engine;
    /// The default route's gateway, or `none`.
    NetworkGateway = "network.gateway", engine;
    /// Connecting to the cloud's metadata service, 169.254.169.254.
    NetworkMetadata = "network.metadata";
    /// Connecting to the port of an unencrypted engine on the gateway.
    NetworkEnginePort = "network.engine_port";
    /// Addresses near the gateway's that answer.
    NetworkNeighbours = "network.neighbours";
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Probe {
    type Err = UnknownProbe;

    fn from_str(text: &str) -> Result<Self, UnknownProbe> {
        let mut all = Self::ALL.iter().copied();
        all.find(|probe| probe.as_str() == text)
            .ok_or_else(|| UnknownProbe(text.to_owned()))
    }
}
