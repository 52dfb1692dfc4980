//! What the sandbox uses, from its cgroup where it is shown, version 1 or 2.

use std::fs;

use crate::process;
use crate::wire::Metrics;

fn number(paths: &[&str]) -> Option<u64> {
    let text = paths
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    // Version 1 says "no limit" with a number that no machine has.
    text.trim().parse().ok().filter(|number| *number < 1 << 60)
}

fn cpu() -> Option<u64> {
    if let Some(nanoseconds) = number(&[
        "/sys/fs/cgroup/cpuacct/cpuacct.usage",
        "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage",
    ]) {
        return Some(nanoseconds / 1000);
    }
    let stat = fs::read_to_string("/sys/fs/cgroup/cpu.stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?
        .trim()
        .parse()
        .ok()
}

pub(crate) fn measure() -> Metrics {
    let resident = fs::read_to_string("/proc/self/statm").ok();
    let pages = resident.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    Metrics {
        processes: u32::try_from(process::all().len()).unwrap_or(u32::MAX),
        processes_limit: number(&["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]),
        memory: number(&[
            "/sys/fs/cgroup/memory.current",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ]),
        memory_limit: number(&[
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ]),
        cpu_us: cpu(),
        agent_memory: pages.unwrap_or(0) * 4096,
    }
}
