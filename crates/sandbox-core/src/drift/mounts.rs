//! Mounts and temporary file systems.

use std::collections::BTreeMap;

use super::Compare;
use crate::host::{AgentDelivery, Flavour};
use crate::inspect::Inspected;
use crate::mount::Role;
use crate::plan::ContainerPlan;
use crate::render::tmpfs_options;

pub(super) fn mounts(
    compare: &mut Compare,
    plan: &ContainerPlan,
    found: &Inspected,
    flavour: Flavour,
) {
    let host = &found.host_config;
    let mut there: BTreeMap<&str, String> = BTreeMap::new();
    for mount in &host.mounts {
        let mode = if mount.read_only { "ro" } else { "rw" };
        there.insert(
            &mount.target,
            format!("{} {} {mode}", mount.kind, mount.source),
        );
    }
    for bind in &host.binds {
        let target = bind.split(':').nth(1).unwrap_or_default();
        there.insert(target, bind.clone());
    }
    for mount in &plan.mounts {
        // Podman does not tell labels of SELinux.
        let wanted = if mount.selinux.is_some() && flavour == Flavour::Docker {
            mount.bind_string()
        } else {
            let kind = match mount.source {
                crate::mount::Source::Bind(_) => "bind",
                crate::mount::Source::Volume(_) => "volume",
            };
            let mode = if mount.read_only { "ro" } else { "rw" };
            format!("{kind} {} {mode}", mount.source.as_str())
        };
        let there = there.remove(mount.target.as_str());
        let agent = mount.role == Role::Agent;
        // Another version of our agent is one thing, something else in its place is another.
        let ours = there.as_deref().is_some_and(|there| {
            there.starts_with("volume talaria-agent-") && there.ends_with(" ro")
        });
        let field = if agent && ours {
            "agent".to_owned()
        } else {
            format!("mounts.{}", mount.target)
        };
        compare.text(&field, &wanted, there.as_deref().unwrap_or("(not mounted)"));
    }
    for (target, there) in there {
        let volume = there.starts_with("volume talaria-agent-") && there.ends_with(" ro");
        let agent = target == crate::plan::AGENT_DIRECTORY && volume;
        let field = if agent && plan.agent != AgentDelivery::None {
            "agent".to_owned()
        } else {
            format!("mounts.{target}")
        };
        compare.text(&field, "(not mounted)", &there);
    }
    let options = |text: &str| {
        let mut options: Vec<&str> = text.split(',').collect();
        options.sort_unstable();
        options.join(",")
    };
    let mut tmpfs: BTreeMap<&str, &str> = host
        .tmpfs
        .iter()
        .map(|(target, options)| (target.as_str(), options.as_str()))
        .collect();
    for wanted in &plan.tmpfs {
        let there = tmpfs.remove(wanted.target.as_str()).map(options);
        compare.text(
            &format!("tmpfs.{}", wanted.target),
            &options(&tmpfs_options(wanted, flavour)),
            there.as_deref().unwrap_or("(not mounted)"),
        );
    }
    for (target, there) in tmpfs {
        compare.text(&format!("tmpfs.{target}"), "(not mounted)", there);
    }
    compare.set(
        "volumes_from",
        [],
        host.volumes_from.iter().map(String::as_str),
    );
}
