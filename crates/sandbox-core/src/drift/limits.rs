//! Limits.

use super::Compare;
use crate::inspect::Inspected;
use crate::plan::ContainerPlan;

pub(super) fn limits(compare: &mut Compare, plan: &ContainerPlan, found: &Inspected) {
    let (limits, host) = (&plan.limits, &found.host_config);
    let mut number = |field: &str, wanted: Option<u64>, there: i64| {
        let shown = |value: Option<u64>| value.map_or("unlimited".into(), |v| v.to_string());
        let there = u64::try_from(there).ok().filter(|&there| there > 0);
        compare.text(&format!("limits.{field}"), &shown(wanted), &shown(there));
    };
    number(
        "cpus",
        limits.cpus.map(crate::limits::Cpus::nanos),
        host.nano_cpus,
    );
    number(
        "memory",
        limits.memory.map(crate::limits::Size::bytes),
        host.memory,
    );
    if limits.memory_swap.is_some() {
        number(
            "memory_swap",
            limits.memory_swap.map(crate::limits::Size::bytes),
            host.memory_swap,
        );
    }
    number("pids", limits.pids.map(u64::from), host.pids_limit);
    number("shm", Some(limits.shm.bytes()), host.shm_size);
    let disk = limits.disk.map(|disk| disk.bytes().to_string());
    let there = host.storage_opt.get("size").map(String::as_str);
    compare.text(
        "limits.disk",
        disk.as_deref().unwrap_or("unlimited"),
        there.unwrap_or("unlimited"),
    );
}
