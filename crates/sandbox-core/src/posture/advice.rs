//! What to make of a probe's answer.

use super::Probe;

/// Why a probe matters, and what to do about it.
pub(super) fn words(probe: Probe) -> (&'static str, &'static str) {
    let family = probe.as_str().split('.').next().unwrap_or_default();
    match family {
        "identity" => (
            "commands run as another user than planned",
            "recreate the sandbox with the user that is wanted",
        ),
        "capabilities" => (
            "a capability is a part of root's power over the machine",
            "drop ALL capabilities and look for --cap-add or --privileged among the extra arguments",
        ),
        "no_new_privs" => (
            "set-user-id programs could give a command more rights than it has",
            "add --security-opt no-new-privileges",
        ),
        "seccomp" => (
            "every system call of the kernel is open to attack",
            "look for seccomp=unconfined or --privileged among the extra arguments, and for a kernel or engine without seccomp",
        ),
        "namespace" => (
            "the sandbox sees and can act on what is the machine's own",
            "look for --pid, --ipc, --uts or --network host among the extra arguments",
        ),
        "call" | "unshare" => (
            "the kernel let a system call through that the profile denies",
            "recreate the sandbox with the default seccomp profile and without extra capabilities",
        ),
        "socket" => (
            "a kind of socket that reaches beyond ordinary networks is open",
            "recreate the sandbox with the default seccomp profile and without NET_RAW",
        ),
        "mknod" => (
            "a device node is a way to the machine's disks and memory",
            "drop the capability MKNOD",
        ),
        "agent" => (
            "a command could read or change the agent that watches over it",
            "drop the capability SYS_PTRACE, and let the agent be the main process",
        ),
        "paths" => (
            "the machine's settings or secrets are open",
            "look for --privileged or systempaths=unconfined among the extra arguments",
        ),
        "devices" => (
            "a device of the machine is open",
            "look for --device or --privileged among the extra arguments, and for /dev among the mounts",
        ),
        "engine_sockets" => (
            "whoever speaks to an engine is root on its machine",
            "take the socket out of the mounts",
        ),
        "root" => ("the root file system can be changed", "add --read-only"),
        "limit" | "tmpfs" => (
            "one sandbox can use up what the others and the machine need",
            "set the limit, or let `talaria doctor` say why the engine cannot enforce it",
        ),
        "cgroup" => (
            "a writable control group lifts limits, and its release agent runs a program as root on the machine",
            "mount control groups read-only: look for --privileged or mounts of /sys/fs/cgroup",
        ),
        _ => match probe {
            Probe::NetworkMetadata => (
                "clouds hand out the machine's credentials there",
                "use --network none, or on the engine's machine: iptables -I DOCKER-USER -d \
                 169.254.169.254 -j DROP (with Podman -I FORWARD)",
            ),
            Probe::NetworkEnginePort => (
                "an engine listens without encryption: whoever reaches it is root on its machine",
                "have the engine listen on its socket alone",
            ),
            Probe::NetworkInterfaces => (
                "the sandbox has a network and should have none",
                "recreate the sandbox with the network none",
            ),
            _ => (
                "sandboxes reach each other",
                "use a network of its own with com.docker.network.bridge.enable_icc=false",
            ),
        },
    }
}
