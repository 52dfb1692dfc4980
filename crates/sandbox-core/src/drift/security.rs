//! What a container may do.

use std::collections::BTreeSet;

use super::Compare;
use crate::host::{Flavour, MaskedPaths};
use crate::inspect::{HostConfig, Inspected};
use crate::labels;
use crate::plan::{ContainerPlan, Masks, Seccomp};
use crate::render::{self, SeccompText};

pub(super) fn security(
    compare: &mut Compare,
    plan: &ContainerPlan,
    found: &Inspected,
    flavour: Flavour,
) {
    let host = &found.host_config;
    compare.set(
        "capabilities",
        render::capabilities(plan, flavour)
            .iter()
            .map(|cap| cap.name()),
        host.cap_add
            .iter()
            .map(|cap| cap.strip_prefix("CAP_").unwrap_or(cap)),
    );
    // Podman writes out what ALL means.
    if host.cap_drop.len() < 10 {
        compare.set(
            "cap_drop",
            ["ALL"],
            host.cap_drop.iter().map(String::as_str),
        );
    }
    let mut options: Vec<&str> = host.security_opt.iter().map(String::as_str).collect();
    let no_new = options.iter().any(|o| {
        [
            "no-new-privileges",
            "no-new-privileges:true",
            "no-new-privileges=true",
        ]
        .contains(o)
    });
    options.retain(|option| !option.starts_with("no-new-privileges"));
    compare.text("no_new_privileges", "true", &no_new.to_string());
    let profile = options
        .iter()
        .find_map(|option| option.strip_prefix("seccomp="));
    let ours = || {
        let json = SeccompText::of(plan, "").json;
        serde_json::from_str::<serde_json::Value>(&json).ok()
    };
    let there = match profile {
        None => "engine-default",
        Some("unconfined") => "unconfined",
        // Podman shows the path of the file that it read. What was in it, the label tells.
        Some(path) if path.starts_with('/') => "talaria",
        Some(json) if serde_json::from_str(json).ok() == ours() => "talaria",
        Some(_) => "another profile",
    };
    let wanted = match plan.seccomp {
        Seccomp::Talaria { .. } => "talaria",
        Seccomp::EngineDefault => "engine-default",
        Seccomp::Unconfined => "unconfined",
    };
    compare.text("seccomp", wanted, there);
    compare.label(
        "seccomp.version",
        &plan.seccomp.to_string(),
        found.label(labels::SECCOMP),
    );
    options.retain(|option| !option.starts_with("seccomp="));
    compare.set("security_opt", [], options);
    compare.text("network", plan.network.engine_name(), &host.network_mode);
    compare.text("privileged", "false", &host.privileged.to_string());
    compare.text(
        "pid_mode",
        "",
        if host.pid_mode == "private" {
            ""
        } else {
            &host.pid_mode
        },
    );
    compare.text(
        "uts_mode",
        "",
        if host.uts_mode == "private" {
            ""
        } else {
            &host.uts_mode
        },
    );
    compare.text("userns_mode", "", &host.userns_mode);
    compare.text("ipc_mode", "private", &host.ipc_mode);
    compare.text("cgroupns_mode", "private", &host.cgroupns_mode);
    compare.text(
        "readonly_rootfs",
        "false",
        &host.readonly_rootfs.to_string(),
    );
    compare.set("group_add", [], host.group_add.iter().map(String::as_str));
    devices(compare, host);
    runtime(compare, plan, &host.runtime);
    masks(compare, plan, host);
}

/// What no plan asks for.
fn devices(compare: &mut Compare, host: &HostConfig) {
    compare.text("devices", "0", &host.devices.len().to_string());
    let requests = host.device_requests.len().to_string();
    compare.text("device_requests", "0", &requests);
    let rules = host.device_cgroup_rules.len().to_string();
    compare.text("device_cgroup_rules", "0", &rules);
    compare.set("ports", [], host.port_bindings.keys().map(String::as_str));
    compare.text(
        "publish_all_ports",
        "false",
        &host.publish_all_ports.to_string(),
    );
    compare.set("sysctls", [], host.sysctls.keys().map(String::as_str));
    let restart = match host.restart_policy.name.as_str() {
        "" => "no",
        name => name,
    };
    compare.text("restart_policy", "no", restart);
    compare.text(
        "oom_kill_disable",
        "false",
        &host.oom_kill_disable.to_string(),
    );
}

/// Podman's API says `oci` of every container, which tells nothing.
fn runtime(compare: &mut Compare, plan: &ContainerPlan, found: &str) {
    if found == "oci" {
        return;
    }
    match (&plan.runtime, &plan.known.host.default_runtime) {
        (Some(wanted), _) => compare.text("runtime", wanted, found),
        (None, Some(engine)) if engine != found => {
            compare.add("runtime", &format!("{engine} (the engine's own)"), found);
        }
        (None, _) => {}
    }
}

fn masks(compare: &mut Compare, plan: &ContainerPlan, host: &HostConfig) {
    let words = |list: &[String]| {
        if list.is_empty() {
            "(none)".into()
        } else {
            list.join(" ")
        }
    };
    match (&plan.masks, &plan.known.host.masks) {
        (Masks::Explicit(wanted), _) => {
            let lists = [
                ("masks.masked", &wanted.masked, &host.masked_paths),
                ("masks.readonly", &wanted.readonly, &host.readonly_paths),
            ];
            for (field, wanted, there) in lists {
                if let Some(there) = there
                    && wanted.iter().collect::<BTreeSet<_>>() != there.iter().collect()
                {
                    compare.add(field, &words(wanted), &words(there));
                }
            }
        }
        // An engine that hides more than it is known to is no less safe, and only newer.
        (Masks::EngineDefault, Some(engine)) => {
            let told = |there: &Option<Vec<String>>, engine: &[String]| {
                there.clone().unwrap_or_else(|| engine.to_vec())
            };
            let there = MaskedPaths {
                masked: told(&host.masked_paths, &engine.masked),
                readonly: told(&host.readonly_paths, &engine.readonly),
            };
            if !there.covers(engine) {
                let both = |paths: &MaskedPaths| {
                    format!(
                        "{}, read-only {}",
                        words(&paths.masked),
                        words(&paths.readonly)
                    )
                };
                let wanted = format!("{} (the engine's own)", both(engine));
                compare.add("masks", &wanted, &both(&there));
            }
        }
        (Masks::EngineDefault, None) => {}
    }
}
