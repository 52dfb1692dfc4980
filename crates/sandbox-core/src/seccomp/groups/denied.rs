//! What a sandbox does without.

use super::{Group, Verdict};

const fn deny(why: &'static str, names: &'static [&'static str]) -> Group {
    Group {
        verdict: Verdict::Deny,
        why,
        names,
    }
}

const fn with(
    capability: &'static str,
    why: &'static str,
    names: &'static [&'static str],
) -> Group {
    Group {
        verdict: Verdict::With(capability),
        why,
        names,
    }
}

pub(super) const GROUPS: &[Group] = &[
    deny(
        "its flags lie behind a pointer, where new namespaces cannot be seen; libraries use clone then",
        &["clone3"],
    ),
    deny(
        "new and other namespaces bring capabilities over kernel code that is seldom attacked otherwise",
        &["setns", "unshare"],
    ),
    deny(
        "mounts are the sandbox's walls",
        &[
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "listmount",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "pivot_root",
            "statmount",
            "umount2",
        ],
    ),
    deny(
        "a second way to most system calls that no filter sees, with a record of holes",
        &["io_uring_enter", "io_uring_register", "io_uring_setup"],
    ),
    deny(
        "programs that run in the kernel, and a look at all of it",
        &["bpf", "lookup_dcookie", "perf_event_open"],
    ),
    deny(
        "kernel key rings are not namespaced",
        &["add_key", "keyctl", "request_key"],
    ),
    deny(
        "stops kernel code at a chosen access, which turns races in it into certainties",
        &["userfaultfd"],
    ),
    deny(
        "memory that neither the engine nor a limit on dumps can look into",
        &["memfd_secret"],
    ),
    deny(
        "other kernels and modules",
        &[
            "create_module",
            "delete_module",
            "finit_module",
            "get_kernel_syms",
            "init_module",
            "kexec_file_load",
            "kexec_load",
            "query_module",
        ],
    ),
    deny(
        "the machine as a whole",
        &[
            "acct",
            "ioperm",
            "iopl",
            "quotactl",
            "quotactl_fd",
            "reboot",
            "setdomainname",
            "sethostname",
            "swapoff",
            "swapon",
            "syslog",
            "vhangup",
        ],
    ),
    deny(
        "opens files by number, past all paths and mounts",
        &["name_to_handle_at", "open_by_handle_at"],
    ),
    deny(
        "watches whole mounts, the host's among them",
        &["fanotify_init", "fanotify_mark"],
    ),
    deny(
        "16-bit and 32-bit segments, which 64-bit programs have no use for",
        &["get_thread_area", "modify_ldt", "set_thread_area"],
    ),
    deny(
        "security modules of the host",
        &["lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr"],
    ),
    deny(
        "gone from the kernel, or never there",
        &[
            "_sysctl",
            "afs_syscall",
            "epoll_ctl_old",
            "epoll_wait_old",
            "getpmsg",
            "nfsservctl",
            "putpmsg",
            "security",
            "sysfs",
            "tuxcall",
            "uselib",
            "ustat",
            "vserver",
        ],
    ),
    with(
        "SYS_PTRACE",
        "reach into other processes; debuggers without the capability go through ptrace",
        &[
            "kcmp",
            "pidfd_getfd",
            "process_vm_readv",
            "process_vm_writev",
        ],
    ),
    with(
        "SYS_NICE",
        "where memory lies on machines with several memories",
        &[
            "get_mempolicy",
            "mbind",
            "migrate_pages",
            "move_pages",
            "set_mempolicy",
            "set_mempolicy_home_node",
        ],
    ),
    with("SYS_CHROOT", "another root directory", &["chroot"]),
    with(
        "SYS_TIME",
        "the machine's clock",
        &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"],
    ),
];
