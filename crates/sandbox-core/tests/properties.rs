//! What holds for every spec without extra arguments.

mod common;

use std::collections::BTreeSet;

use common::engine::{any_spec, implied};
use common::{SECRET, inputs, plan_of};
use proptest::prelude::*;
use rstest::rstest;
use sandbox_core::drift::drift;
use sandbox_core::inspect::HostConfig;
use sandbox_core::posture::{MASKED_PATHS, Posture, READ_ONLY_PATHS};
use sandbox_core::render::{argv, body};
use sandbox_core::{ContainerPlan, MaskedPaths};

proptest! {
    #[test]
    fn no_capability_is_added_but_those_six(plan in any_spec()) {
        let body = body::create(&plan, &inputs());
        let mut allowed = vec!["CHOWN", "DAC_OVERRIDE", "FOWNER"];
        if plan.starts_as_root {
            allowed.extend(["KILL", "SETGID", "SETUID"]);
        }
        prop_assert_eq!(&body.host_config.cap_add, &allowed);
        prop_assert_eq!(&body.host_config.cap_drop, &["ALL"]);
        prop_assert_eq!(&body.host_config.security_opt[0], "no-new-privileges");
    }

    #[test]
    fn processes_and_memory_are_limited_unless_it_says_unlimited(plan in any_spec()) {
        let argv = &argv::create(&plan, &inputs()).steps[0].argv;
        let value = |flag: &str| argv.iter().position(|a| a == flag).map(|at| argv[at + 1].clone());
        prop_assert_eq!(value("--pids-limit") == Some("-1".into()), plan.limits.pids.is_none());
        prop_assert_eq!(value("--memory").is_none(), plan.limits.memory.is_none());
        prop_assert_eq!(value("--memory"), value("--memory-swap"));
        prop_assert!(plan.unenforced.is_empty());
    }

    #[test]
    fn no_engine_socket_is_there_unless_it_was_named(plan in any_spec()) {
        let body = serde_json::to_string(&body::create(&plan, &inputs())).unwrap();
        let argv = format!("{:?}", argv::create(&plan, &inputs()));
        prop_assert!(!body.contains(".sock") && !argv.contains(".sock"));
    }

    #[test]
    fn rendering_is_deterministic_and_both_say_the_same_labels(plan in any_spec()) {
        let body = body::create(&plan, &inputs());
        prop_assert_eq!(&body, &body::create(&plan.clone(), &inputs()));
        let commands = argv::create(&plan, &inputs());
        prop_assert_eq!(&commands, &argv::create(&plan.clone(), &inputs()));
        for (key, value) in &body.labels {
            let label = format!("{key}={value}");
            prop_assert!(commands.steps[0].argv.contains(&label));
        }
    }

    #[test]
    fn what_its_own_body_makes_does_not_differ(plan in any_spec()) {
        prop_assert_eq!(drift(&plan, &implied(&plan)), vec![]);
    }

    #[test]
    fn the_digest_differs_exactly_where_the_body_does(one in any_spec(), other in any_spec()) {
        // The body without the digest itself, and what a body only names.
        let bare = |plan: &ContainerPlan| {
            let mut body = body::create(plan, &inputs());
            body.labels.remove("talaria.plan");
            (body, plan.name.clone(), plan.image_id.clone())
        };
        prop_assert_eq!(bare(&one) == bare(&other), one.digest() == other.digest());
    }
}

#[rstest]
#[case("env.A = { secret = 'one' }", "env.A = { secret = 'two' }", false)]
#[case("env.A = { secret = 'one' }", "env.A = { secret = 'one' }", true)]
#[case("lease = '1h'", "lease = '2h'", false)]
#[case("lease = '1h'", "lease = '60m'", true)]
#[case("memory = '1g'", "memory = '1024m'", true)]
#[case("", "pids = 256", true)]
#[case("", "on_drift = 'reuse'", true)]
#[case("", "forward = ['A']", true)]
#[case("", "allow_unenforced = true", true)]
#[case("", "extra_args = ['-t']", false)]
fn the_digest_counts_what_is_created(#[case] one: &str, #[case] other: &str, #[case] same: bool) {
    assert_eq!(plan_of(one).digest() == plan_of(other).digest(), same);
}

#[rstest]
#[case("image", "image = 'other'", &[])]
#[case("memory", "memory = '1g'", &["limits.memory", "limits.memory_swap"])]
#[case("pids", "pids = 9", &["limits.pids"])]
#[case("unlimited", "pids = 'unlimited'", &["limits.pids"])]
#[case("cpus", "cpus = 1", &["limits.cpus"])]
#[case("disk", "disk = '1g'", &["limits.disk"])]
#[case("shm", "shm = '1g'", &["limits.shm"])]
#[case("network", "network = 'none'", &["network"])]
#[case("cwd", "cwd = '/srv'", &["cwd"])]
#[case("mount", "mounts = ['/d:/d:ro']", &["mounts./d"])]
#[case("mount z", "mounts = ['/d:/d:z']", &["mounts./d"])]
#[case("workspace", "mount_cwd = true", &["mounts./workspace", "tmpfs./workspace"])]
#[case("env", "env.A = 'x'", &["env.A"])]
#[case("secret", "env.A = { secret = 's3cr3t-value' }", &["env.A"])]
#[case("lease", "lease = '2h'", &["lease", "command"])]
#[case("persist", "persist = true", &["persist", "auto_remove"])]
#[case("seccomp", "seccomp = 'unconfined'", &["seccomp", "seccomp.version"])]
#[case("runtime", "runtime = 'runsc'", &["runtime"])]
#[case("task", "task = 'x'", &["identity"])]
fn drift_names_the_fields(#[case] what: &str, #[case] toml: &str, #[case] fields: &[&str]) {
    // The image's id is the same, so its name does not matter.
    let differences = drift(&plan_of(toml), &implied(&plan_of("")));
    let found: Vec<&str> = differences.iter().map(|d| d.field.as_str()).collect();
    assert_eq!(found, fields, "{what}");
    assert!(!format!("{differences:?}").contains(SECRET));
    // And the other way round.
    let mut back: Vec<String> = drift(&plan_of(""), &implied(&plan_of(toml)))
        .into_iter()
        .map(|d| d.field)
        .collect();
    let mut fields = fields.to_vec();
    back.sort();
    fields.sort_unstable();
    assert_eq!(back, fields, "{what}, back");
}

#[test]
fn what_was_loosened_behind_our_back_is_drift() {
    let plan = plan_of("");
    let mut found = implied(&plan);
    found.host_config.privileged = true;
    found.host_config.pid_mode = "host".into();
    found.host_config.cap_add.push("CAP_SYS_ADMIN".into());
    found
        .host_config
        .security_opt
        .retain(|option| option.starts_with("seccomp="));
    found
        .host_config
        .binds
        .push("/var/run/docker.sock:/s".into());
    found.host_config.masked_paths = Some(vec![]);
    let more = serde_json::json!({
        "DeviceRequests": [{ "Count": -1 }], "DeviceCgroupRules": ["c *:* rwm"],
        "PortBindings": { "80/tcp": [{ "HostPort": "80" }] }, "PublishAllPorts": true,
        "Sysctls": { "kernel.shmmax": "1" }, "RestartPolicy": { "Name": "always" },
        "OomKillDisable": true,
    });
    let more: HostConfig = serde_json::from_value(more).unwrap();
    found.host_config = HostConfig {
        device_requests: more.device_requests,
        device_cgroup_rules: more.device_cgroup_rules,
        port_bindings: more.port_bindings,
        publish_all_ports: more.publish_all_ports,
        sysctls: more.sysctls,
        restart_policy: more.restart_policy,
        oom_kill_disable: more.oom_kill_disable,
        ..found.host_config
    };
    let fields: Vec<String> = drift(&plan, &found).into_iter().map(|d| d.field).collect();
    assert_eq!(
        fields,
        [
            "mounts./s",
            "capabilities",
            "no_new_privileges",
            "privileged",
            "pid_mode",
            "device_requests",
            "device_cgroup_rules",
            "ports",
            "publish_all_ports",
            "sysctls",
            "restart_policy",
            "oom_kill_disable",
            "masks.masked",
        ]
    );
}

#[test]
fn another_seccomp_profile_is_drift() {
    let plan = plan_of("");
    let mut found = implied(&plan);
    found.host_config.security_opt[1] = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#.into();
    let differences = drift(&plan, &found);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].found, "another profile");
}

#[test]
fn a_plan_says_what_the_probes_should_find() {
    let posture = Posture::of(&plan_of(
        "user = '5:6'\nnetwork = 'none'\npids = 'unlimited'",
    ));
    assert_eq!(
        (posture.uid, posture.gid, posture.pids),
        (Some(5), Some(6), None)
    );
    assert_eq!(posture.cpus, Some(2000));
    assert!(posture.tmpfs["/run"].options.contains("noexec"));
    assert!(!posture.tmpfs["/tmp"].options.contains("noexec"));
    assert_eq!(posture.capabilities.len(), 3);
    let masks = MaskedPaths::talaria();
    let set = |paths: &[String]| paths.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&masks.masked), MASKED_PATHS.map(str::to_owned).into());
    assert_eq!(
        set(&masks.readonly),
        READ_ONLY_PATHS.map(str::to_owned).into()
    );
}

#[test]
fn another_agent_is_told_and_decides_nothing() {
    let plan = plan_of("");
    let mut found = implied(&plan);
    for mount in &mut found.host_config.mounts {
        mount.source = "talaria-agent-ffff".into();
    }
    let differences = drift(&plan, &found);
    assert_eq!(differences.len(), 1);
    assert!(differences[0].field == "agent" && !differences[0].decides());
    found.host_config.mounts[0].source = "evil".into();
    assert!(drift(&plan, &found)[0].decides());
}

#[test]
fn with_extra_arguments_the_digest_alone_tells() {
    let plan = plan_of("extra_args = ['-t']");
    assert_eq!(drift(&plan, &implied(&plan)), vec![]);
    assert_eq!(
        drift(&plan, &implied(&plan_of("extra_args = ['-i']"))).len(),
        1
    );
    assert_eq!(drift(&plan_of(""), &implied(&plan)).len(), 1);
}
