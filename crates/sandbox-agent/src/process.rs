//! The processes of the sandbox, as `/proc` shows them.

use std::collections::BTreeMap;
use std::fs;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// In clock ticks since boot.
    pub(crate) started: u64,
    pub(crate) zombie: bool,
}

/// Every process that is there now. One that ends while this looks is left out.
pub(crate) fn all() -> BTreeMap<i32, Process> {
    let mut all = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for process in pids.filter_map(one) {
        all.insert(process.pid, process);
    }
    all
}

/// The process with this id.
pub(crate) fn one(pid: i32) -> Option<Process> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Those of `all` that descend from `root`, which is not one of them.
pub(crate) fn descendants(all: &BTreeMap<i32, Process>, root: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in all.values() {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found: Vec<Process> = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// The children of this process, from the kernel's own list.
pub(crate) fn own_children() -> Vec<i32> {
    let pid = std::process::id();
    if let Ok(list) = fs::read_to_string(format!("/proc/self/task/{pid}/children")) {
        list.split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    } else {
        let pid = i32::try_from(pid).unwrap_or(0);
        all()
            .values()
            .filter(|process| process.parent == pid)
            .map(|process| process.pid)
            .collect()
    }
}

/// The real user id of a process.
pub(crate) fn user(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Reads `/proc/PID/stat`: the command's name stands in parentheses and may hold any byte, so the
/// fields are counted from the last one that closes.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(stat.get(close + 1..)?);
    let mut fields = rest.split_ascii_whitespace();
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        started,
        zombie,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_no_obstacle() {
        let stat = b"7 (a) b (c)) S 3 4 5 0 -1 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        let process = parse(7, stat).unwrap();
        assert_eq!(
            (process.parent, process.group, process.started),
            (3, 4, 777)
        );
        assert_eq!(parse(7, b"7 (a"), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let process = |pid, parent| {
            (
                pid,
                Process {
                    pid,
                    parent,
                    group: 0,
                    started: 0,
                    zombie: false,
                },
            )
        };
        let all = [process(2, 1), process(3, 2), process(4, 3), process(5, 1)].into();
        let found: Vec<i32> = descendants(&all, 2)
            .iter()
            .map(|process| process.pid)
            .collect();
        assert_eq!(found, [3, 4]);
    }
}
