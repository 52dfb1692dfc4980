//! System calls that a sandbox should not get far with.
//!
//! A call that the kernel looks into although it then fails (`EINVAL`, `EFAULT`, `ENOENT`) is one
//! that was let through; the arguments are chosen so that nothing comes of it.

use std::ffi::CStr;

use nix::errno::Errno;
use nix::libc;

use super::Settings;
use super::attempt::attempt;
use super::found::{Found, Probe};
use super::sys::{self, Call};

/// A directory that is no mount point.
const NO_MOUNT: &CStr = c"/proc/self";
/// A name that nothing has.
const NOTHING: &CStr = c"/talaria-no-such-thing";
const HERE: usize = libc::AT_FDCWD as usize;
const NO_FILE: usize = -1_isize as usize;

pub(super) fn probes(settings: Settings) -> Vec<Probe> {
    let mut probes = plain();
    probes.extend(namespaces());
    probes.extend(sockets());
    probes.extend(nodes());
    probes.extend(tracing(settings.agent));
    probes.push(Probe::new(
        "call.clone_newuser",
        attempt(sys::clone_new_user),
    ));
    #[cfg(target_arch = "x86_64")]
    probes.push(Probe::new("call.foreign", attempt(sys::foreign_getpid)));
    probes
}

fn tried(call: Call) -> Found {
    attempt(|| call.make().map(drop))
}

fn plain() -> Vec<Probe> {
    let zeroes = [0_u64; 16];
    let at = zeroes.as_ptr().addr();
    let text = |text: &CStr| text.as_ptr().addr();
    let me = std::process::id() as usize;
    let handle = [8_u32, 1, 0, 0];
    let own_time = [at, 8];
    let read_own = own_time.as_ptr().addr();
    let remount = (libc::MS_REMOUNT | libc::MS_BIND) as usize;
    // A segment count and flags that no kernel takes, so that nothing is unloaded.
    let kexec = [0, 0xffff, 0, 0xfff0];
    let tried = |name, number, arguments: &[usize]| {
        let mut six = [0; 6];
        six[..arguments.len()].copy_from_slice(arguments);
        Probe::new(name, tried(Call::new(number, six)))
    };
    let mut probes = vec![
        tried(
            "call.mount",
            libc::SYS_mount,
            &[0, text(NO_MOUNT), 0, remount],
        ),
        tried("call.umount", libc::SYS_umount2, &[text(NO_MOUNT), 8]),
        tried("call.fsopen", libc::SYS_fsopen, &[text(c"tmpfs")]),
        tried(
            "call.open_tree",
            libc::SYS_open_tree,
            &[HERE, text(c"/"), 1],
        ),
        tried(
            "call.pivot_root",
            libc::SYS_pivot_root,
            &[text(NO_MOUNT), text(NO_MOUNT)],
        ),
        tried("call.chroot", libc::SYS_chroot, &[text(c"/")]),
        tried("call.clone3", libc::SYS_clone3, &[]),
        tried("call.bpf", libc::SYS_bpf, &[0, at, 64]),
        tried("call.keyctl", libc::SYS_keyctl, &[0, -3_isize as usize, 0]),
        tried(
            "call.add_key",
            libc::SYS_add_key,
            &[text(c"user"), text(c"talaria"), 0, 0, -2_isize as usize],
        ),
        tried(
            "call.request_key",
            libc::SYS_request_key,
            &[text(c"user"), text(c"talaria"), 0, 0],
        ),
        tried("call.io_uring_setup", libc::SYS_io_uring_setup, &[1, 0]),
        tried("call.userfaultfd", libc::SYS_userfaultfd, &[]),
        tried(
            "call.perf_event_open",
            libc::SYS_perf_event_open,
            &[at, 0, NO_FILE, NO_FILE],
        ),
        tried("call.memfd_secret", libc::SYS_memfd_secret, &[]),
        tried("call.kexec_load", libc::SYS_kexec_load, &kexec),
        tried(
            "call.finit_module",
            libc::SYS_finit_module,
            &[NO_FILE, text(c"")],
        ),
        tried(
            "call.delete_module",
            libc::SYS_delete_module,
            &[text(c"talaria_none"), libc::O_NONBLOCK as usize],
        ),
        tried("call.reboot", libc::SYS_reboot, &[]),
        tried("call.swapoff", libc::SYS_swapoff, &[text(NOTHING)]),
        tried("call.syslog", libc::SYS_syslog, &[10]),
        tried(
            "call.sethostname",
            libc::SYS_sethostname,
            &[0, -1_isize as usize],
        ),
        tried(
            "call.open_by_handle_at",
            libc::SYS_open_by_handle_at,
            &[HERE, handle.as_ptr().addr(), 0],
        ),
        tried(
            "call.process_vm_readv",
            libc::SYS_process_vm_readv,
            &[me, read_own, 1, read_own, 1],
        ),
        tried("call.kcmp", libc::SYS_kcmp, &[me, me, 1]),
        tried(
            "call.personality",
            libc::SYS_personality,
            &[libc::READ_IMPLIES_EXEC as usize],
        ),
    ];
    #[cfg(target_arch = "x86_64")]
    probes.extend([
        tried("call.iopl", libc::SYS_iopl, &[3]),
        tried("call.modify_ldt", libc::SYS_modify_ldt, &[0, at, 64]),
    ]);
    probes
}

fn namespaces() -> Vec<Probe> {
    let unshare =
        |name, flags: i32| Probe::new(name, tried(Call::new(libc::SYS_unshare, [flags as usize])));
    let setns = attempt(|| {
        let own = Call::new(
            libc::SYS_openat,
            [
                HERE,
                c"/proc/self/ns/uts".as_ptr().addr(),
                libc::O_CLOEXEC as usize,
            ],
        );
        Call::new(libc::SYS_setns, [own.make()?, 0])
            .make()
            .map(drop)
    });
    vec![
        unshare("unshare.user", libc::CLONE_NEWUSER),
        unshare("unshare.mount", libc::CLONE_NEWNS),
        unshare("unshare.pid", libc::CLONE_NEWPID),
        unshare("unshare.net", libc::CLONE_NEWNET),
        unshare("unshare.ipc", libc::CLONE_NEWIPC),
        unshare("unshare.uts", libc::CLONE_NEWUTS),
        unshare("unshare.cgroup", libc::CLONE_NEWCGROUP),
        unshare("unshare.time", 0x80),
        Probe::new("call.setns", setns),
    ]
}

fn sockets() -> Vec<Probe> {
    let socket = |name, family: i32, kind: i32, protocol: i32| {
        let kind = kind | libc::SOCK_CLOEXEC;
        Probe::new(
            name,
            tried(Call::new(
                libc::SYS_socket,
                [family as usize, kind as usize, protocol as usize],
            )),
        )
    };
    vec![
        socket("socket.packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
        socket("socket.vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        socket("socket.alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        socket("socket.xdp", libc::AF_XDP, libc::SOCK_RAW, 0),
        socket(
            "socket.raw",
            libc::AF_INET,
            libc::SOCK_RAW,
            libc::IPPROTO_ICMP,
        ),
        socket(
            "socket.raw6",
            libc::AF_INET6,
            libc::SOCK_RAW,
            libc::IPPROTO_ICMPV6,
        ),
    ]
}

/// Devices that are harmless even if they come to be, and that are removed at once.
fn nodes() -> Vec<Probe> {
    let name = std::ffi::CString::new(format!(".talaria-probe-{}", std::process::id()))
        .unwrap_or_default();
    let made = |kind: u32, major: u32, minor: u32| {
        let device = usize::try_from(libc::makedev(major, minor)).unwrap_or(0);
        attempt(|| {
            let mut last = Errno::ENOENT;
            for place in [c"/tmp", c"/dev/shm", c"/var/tmp", c"/run", c"/"] {
                let open = [
                    HERE,
                    place.as_ptr().addr(),
                    (libc::O_PATH | libc::O_DIRECTORY) as usize,
                ];
                let Ok(place) = Call::new(libc::SYS_openat, open).make() else {
                    continue;
                };
                let named = [place, name.as_ptr().addr(), (kind | 0o600) as usize, device];
                match Call::new(libc::SYS_mknodat, named).make() {
                    Ok(_) => {
                        return Call::new(libc::SYS_unlinkat, [place, name.as_ptr().addr(), 0])
                            .make()
                            .map(drop);
                    }
                    Err(Errno::ENOENT | Errno::EROFS | Errno::EACCES) => {}
                    Err(errno) => last = errno,
                }
            }
            Err(last)
        })
    };
    vec![
        Probe::new("mknod.char", made(libc::S_IFCHR, 1, 3)),
        Probe::new("mknod.block", made(libc::S_IFBLK, 7, 0)),
    ]
}

/// Whether a process can be looked into: the agent, which must not be, and an own child, which may.
fn tracing(agent: i32) -> Vec<Probe> {
    let ptrace = |request: libc::c_uint, process: usize| {
        Call::new(libc::SYS_ptrace, [request as usize, process])
            .make()
            .map(drop)
    };
    // Seizing stops nothing, and ends with the child.
    let seized = attempt(|| ptrace(libc::PTRACE_SEIZE, agent.cast_unsigned() as usize));
    let opened = |file: &str, how: i32| {
        let path = std::ffi::CString::new(format!("/proc/{agent}/{file}")).unwrap_or_default();
        attempt(|| {
            let open = [HERE, path.as_ptr().addr(), (how | libc::O_CLOEXEC) as usize];
            Call::new(libc::SYS_openat, open).make().map(drop)
        })
    };
    vec![
        Probe::new("agent.ptrace", seized),
        Probe::new("agent.memory", opened("mem", libc::O_RDWR)),
        Probe::new("agent.environment", opened("environ", libc::O_RDONLY)),
        Probe::new("ptrace.child", attempt(|| ptrace(libc::PTRACE_TRACEME, 0))),
    ]
}
