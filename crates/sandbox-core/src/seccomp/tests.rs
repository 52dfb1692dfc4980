use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;

use super::{
    Action, Comparison, ENOSYS, Profile, Rule, SeccompInput, VERSION, Verdict, groups, profile,
};

/// `name number` for each system call of a machine, from the kernel's headers (6.17).
const TABLES: [&str; 2] = [
    include_str!("tables/x86_64.txt"),
    include_str!("tables/aarch64.txt"),
];

/// What no sandbox may do, with whatever capability.
const FORBIDDEN: &[&str] = &[
    "add_key",
    "bpf",
    "clone3",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "memfd_secret",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "pivot_root",
    "reboot",
    "request_key",
    "setns",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
];

/// The capabilities of a sandbox that starts as root.
const USUAL: [&str; 6] = [
    "DAC_OVERRIDE",
    "CHOWN",
    "FOWNER",
    "SETUID",
    "SETGID",
    "KILL",
];

fn names(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| line.split(' ').next())
}

fn known() -> BTreeSet<&'static str> {
    TABLES.into_iter().flat_map(names).collect()
}

fn usual() -> Profile {
    profile(&SeccompInput::new(USUAL))
}

/// What the kernel would do: the first rule that matches, else the default.
fn answer(profile: &Profile, syscall: &str, arguments: [u64; 6]) -> Result<(), u32> {
    let matches = |rule: &&Rule| {
        let named = rule.names.iter().any(|name| name == syscall);
        named
            && rule.args.iter().all(|argument| {
                let value = arguments[argument.index as usize];
                match argument.op {
                    Comparison::Equal => value == argument.value,
                    Comparison::MaskedEqual => value & argument.value == argument.value_two,
                }
            })
    };
    match profile.syscalls.iter().find(matches) {
        None => Err(profile.default_errno_ret),
        Some(rule) if rule.action == Action::Allow => Ok(()),
        Some(rule) => Err(rule.errno_ret.unwrap_or(1)),
    }
}

#[test]
fn every_known_system_call_is_in_exactly_one_group() {
    let mut seen = BTreeMap::<&str, usize>::new();
    for name in groups().flat_map(|group| group.names) {
        *seen.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(known(), seen.into_keys().collect());
}

#[test]
fn every_machine_has_calls_that_are_allowed_and_denied() {
    let profile = usual();
    for table in TABLES {
        let (allowed, denied): (Vec<_>, Vec<_>) =
            names(table).partition(|name| profile.allows_some(name));
        assert!(
            allowed.len() > 200 && denied.len() > 60,
            "{} {}",
            allowed.len(),
            denied.len()
        );
    }
}

#[test]
fn every_group_says_why() {
    assert!(groups().all(|group| !group.why.is_empty() && !group.names.is_empty()));
}

#[test]
fn nothing_forbidden_is_allowed_whatever_the_capabilities() {
    let every = profile(&SeccompInput::new(["ALL"]));
    for name in FORBIDDEN {
        assert!(known().contains(name), "{name} is no system call");
        assert!(!every.allows_some(name), "{name}");
        assert_eq!(Err(ENOSYS), answer(&every, name, [0; 6]), "{name}");
    }
}

#[test]
fn what_is_denied_says_enosys_by_a_rule_and_not_by_default() {
    let profile = usual();
    for name in known().iter().filter(|name| !profile.allows_some(name)) {
        let rules: Vec<_> = profile
            .syscalls
            .iter()
            .filter(|rule| rule.names.iter().any(|n| n == name))
            .collect();
        let [rule] = rules[..] else {
            panic!("{name}: {rules:?}")
        };
        assert_eq!(
            (Action::Errno, Some(ENOSYS), true),
            (rule.action, rule.errno_ret, rule.args.is_empty()),
            "{name}"
        );
    }
}

#[rstest]
#[case::debugger("SYS_PTRACE", "process_vm_readv")]
#[case::memories("SYS_NICE", "mbind")]
#[case::chroot("cap_sys_chroot", "chroot")]
#[case::clock("CAP_SYS_TIME", "clock_settime")]
fn a_capability_brings_its_calls(#[case] capability: &str, #[case] syscall: &str) {
    assert!(!usual().allows_some(syscall));
    assert!(profile(&SeccompInput::new([capability])).allows(syscall));
}

#[rstest]
#[case::fork(0x11, Ok(()))]
#[case::thread(0x003d_0f00, Ok(()))]
#[case::user(0x1000_0011, Err(ENOSYS))]
#[case::mount(0x0002_0011, Err(ENOSYS))]
#[case::cgroup(0x0200_0011, Err(ENOSYS))]
#[case::network(0x4000_0011, Err(ENOSYS))]
#[case::upper_bits(0x1_1000_0011, Err(ENOSYS))]
fn clone_makes_no_namespaces(#[case] flags: u64, #[case] expected: Result<(), u32>) {
    assert_eq!(expected, answer(&usual(), "clone", [flags, 0, 0, 0, 0, 0]));
}

#[rstest]
#[case::unix(1, Ok(()))]
#[case::inet(2, Ok(()))]
#[case::inet6(10, Ok(()))]
#[case::netlink(16, Ok(()))]
#[case::packet(17, Err(97))]
#[case::alg(38, Err(97))]
#[case::vsock(40, Err(97))]
#[case::ax25(3, Err(ENOSYS))]
#[case::upper_bits(0x1_0000_0028, Err(ENOSYS))]
fn sockets_are_of_four_families(#[case] family: u64, #[case] expected: Result<(), u32>) {
    assert_eq!(
        expected,
        answer(&usual(), "socket", [family, 1, 0, 0, 0, 0])
    );
}

#[rstest]
#[case::plain(0, Ok(()))]
#[case::fixed_addresses(0x4_0000, Ok(()))]
#[case::question(0xffff_ffff, Ok(()))]
#[case::data_is_executable(0x40_0000, Err(ENOSYS))]
fn personalities_are_the_harmless_ones(#[case] persona: u64, #[case] expected: Result<(), u32>) {
    assert_eq!(
        expected,
        answer(&usual(), "personality", [persona, 0, 0, 0, 0, 0])
    );
}

#[rstest]
#[case::fifo(0o010_644, Ok(()))]
#[case::file(0o100_644, Ok(()))]
#[case::file_by_default(0o644, Ok(()))]
#[case::socket(0o140_777, Ok(()))]
#[case::character_device(0o020_666, Err(1))]
#[case::block_device(0o060_660, Err(1))]
#[case::block_device_with_upper_bits(0xffff_0000 | 0o060_660, Err(1))]
fn mknod_makes_no_devices(#[case] mode: u64, #[case] expected: Result<(), u32>) {
    assert_eq!(expected, answer(&usual(), "mknodat", [0, 0, mode, 0, 0, 0]));
    assert_eq!(expected, answer(&usual(), "mknod", [0, mode, 0, 0, 0, 0]));
}

#[test]
fn no_conditional_call_has_two_rules_that_can_match_at_once() {
    // Two rules of a call, one of them without a condition, would make the other void.
    for group in groups() {
        if let Verdict::ByArgument(cases) = group.verdict {
            let index = cases[0].argument.index;
            let values: BTreeSet<_> = cases
                .iter()
                .map(|case| {
                    let argument = case.argument;
                    assert_eq!((index, cases[0].argument.op), (argument.index, argument.op));
                    match argument.op {
                        Comparison::Equal => argument.value,
                        Comparison::MaskedEqual => argument.value_two,
                    }
                })
                .collect();
            assert_eq!(cases.len(), values.len(), "{:?}", group.names);
        }
    }
}

#[test]
fn the_json_reads_back_and_is_the_same_each_time() {
    let json = usual().to_json();
    assert_eq!(
        usual(),
        serde_json::from_str(&json).expect("it is a profile")
    );
    assert_eq!(
        json,
        profile(&SeccompInput::new(USUAL.iter().rev())).to_json()
    );
}

/// A change here is a change of [`VERSION`].
#[test]
fn the_profile_as_it_is_sent() {
    let pretty = serde_json::to_string_pretty(&usual()).expect("a profile has a JSON form");
    insta::assert_snapshot!(format!("version-{VERSION}"), pretty);
}

proptest! {
    #[test]
    fn no_flags_make_a_namespace(flags: u64) {
        let made = answer(&usual(), "clone", [flags, 0, 0, 0, 0, 0]).is_ok();
        prop_assert_eq!(made, flags & 0x7E02_0000 == 0);
    }

    #[test]
    fn what_the_kernel_takes_for_a_family_is_one_of_four(domain: u64) {
        // The kernel takes the lower 32 bits.
        let truncated = u32::try_from(domain & 0xffff_ffff).expect("it is masked");
        if answer(&usual(), "socket", [domain, 0, 0, 0, 0, 0]).is_ok() {
            prop_assert!([1, 2, 10, 16].contains(&truncated));
        }
    }

    #[test]
    fn any_capabilities_leave_what_is_denied_denied(capabilities in proptest::collection::vec("[A-Z_]{1,12}", 0..8)) {
        let profile = profile(&SeccompInput::new(capabilities));
        for name in FORBIDDEN {
            prop_assert!(!profile.allows_some(name));
        }
    }
}
