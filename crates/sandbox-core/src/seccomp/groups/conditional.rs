//! What depends on an argument.
//!
//! An allowance compares exactly or under a mask, so that upper bits that the kernel drops cannot
//! make a forbidden value look like another one: what matches nothing gets the default.

use super::{Case, Group, Verdict};
use crate::seccomp::{Argument, EAFNOSUPPORT, EPERM};

const fn allow(argument: Argument) -> Case {
    Case {
        argument,
        errno: None,
    }
}

const fn refuse(argument: Argument, errno: u32) -> Case {
    Case {
        argument,
        errno: Some(errno),
    }
}

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u64 = 0x7E02_0000;

/// `S_IFMT`, the bits of a mode that say what kind of file it is.
const KIND: u64 = 0o170_000;

/// By kind of file, in the argument of this index.
const fn nodes(index: u32) -> [Case; 6] {
    const fn of(index: u32, kind: u64) -> Argument {
        Argument::masked(index, KIND, kind)
    }
    [
        allow(of(index, 0)),
        allow(of(index, 0o010_000)),
        allow(of(index, 0o100_000)),
        allow(of(index, 0o140_000)),
        refuse(of(index, 0o020_000), EPERM),
        refuse(of(index, 0o060_000), EPERM),
    ]
}

const fn no_family(family: u64) -> Case {
    refuse(Argument::equal(0, family), EAFNOSUPPORT)
}

pub(super) const GROUPS: &[Group] = &[
    Group {
        verdict: Verdict::ByArgument(&[allow(Argument::masked(0, NEW_NAMESPACES, 0))]),
        why: "processes and threads, in the namespaces that are there",
        names: &["clone"],
    },
    Group {
        verdict: Verdict::ByArgument(&[
            allow(Argument::equal(0, 1)),
            allow(Argument::equal(0, 2)),
            allow(Argument::equal(0, 10)),
            allow(Argument::equal(0, 16)),
            // The families that are probed for and attacked most; all others get the default.
            no_family(17),
            no_family(21),
            no_family(29),
            no_family(30),
            no_family(31),
            no_family(38),
            no_family(39),
            no_family(40),
            no_family(41),
            no_family(44),
        ]),
        why: "unix, inet, inet6 and netlink sockets, and no packet, rds, can, tipc, bluetooth, alg, nfc, vsock, kcm or xdp ones",
        names: &["socket"],
    },
    Group {
        verdict: Verdict::ByArgument(&[allow(Argument::equal(0, 1))]),
        why: "pairs of unix sockets; no other family of those above has pairs",
        names: &["socketpair"],
    },
    Group {
        verdict: Verdict::ByArgument(&[
            allow(Argument::equal(0, 0)),
            allow(Argument::equal(0, 0x8)),
            allow(Argument::equal(0, 0x2_0000)),
            allow(Argument::equal(0, 0x2_0008)),
            allow(Argument::equal(0, 0x4_0000)),
            allow(Argument::equal(0, 0xffff_ffff)),
        ]),
        why: "the usual, 32-bit and 2.6 names of the machine, fixed addresses for debuggers, and the question; nothing that makes data executable",
        names: &["personality"],
    },
    Group {
        verdict: Verdict::ByArgument(&[allow(Argument::equal(0, 0))]),
        why: "a process's own limits; by those of another, a command could end the sandbox's first process",
        names: &["prlimit64"],
    },
    Group {
        verdict: Verdict::ByArgument(&nodes(1)),
        why: "files, FIFOs and sockets, no devices",
        names: &["mknod"],
    },
    Group {
        verdict: Verdict::ByArgument(&nodes(2)),
        why: "files, FIFOs and sockets, no devices",
        names: &["mknodat"],
    },
];
