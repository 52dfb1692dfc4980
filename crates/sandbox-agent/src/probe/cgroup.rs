//! The limits that the kernel holds the sandbox to, and whether it could change them.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::found::{Found, Probe};
use super::mounts::Mount;

/// A limit, as cgroup files tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Unlimited,
    At(u64),
}

impl From<Limit> for Found {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Unlimited => "unlimited".into(),
            Limit::At(number) => number.into(),
        }
    }
}

pub(super) fn probes(mounts: &[Mount]) -> Vec<Probe> {
    let groups = Groups::read(mounts);
    let cgroups = mounts
        .iter()
        .filter(|mount| mount.kind.starts_with("cgroup"));
    let writable = cgroups.filter(|mount| mount.is_writable());
    let agents = mounts
        .iter()
        .filter(|mount| mount.kind == "cgroup")
        .filter(|mount| {
            let agent = mount.target.join("release_agent");
            OpenOptions::new().write(true).open(agent).is_ok()
        });
    let targets = |mount: &Mount| mount.target.display().to_string();
    vec![
        Probe::new("limit.pids", groups.limit("pids", "pids.max", "pids.max")),
        Probe::new(
            "limit.memory",
            groups.limit("memory", "memory.limit_in_bytes", "memory.max"),
        ),
        Probe::new("limit.memory_and_swap", groups.with_swap()),
        Probe::new("limit.cpus", groups.cpus()),
        Probe::new("cgroup.version", groups.version()),
        Probe::new("cgroup.writable", writable.map(targets).collect::<Found>()),
        Probe::new(
            "cgroup.release_agent",
            agents.map(targets).collect::<Found>(),
        ),
    ]
}

/// Where the own cgroup's files may be: by controller for version 1, one for version 2.
struct Groups<'a> {
    mounts: &'a [Mount],
    own: String,
}

impl<'a> Groups<'a> {
    fn read(mounts: &'a [Mount]) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { mounts, own }
    }

    /// 1 or 2, for the hierarchy that holds the limits.
    fn version(&self) -> Option<u64> {
        if self.old("pids").is_some() || self.old("memory").is_some() {
            return Some(1);
        }
        self.new_mount().map(|_| 2)
    }

    fn old(&self, controller: &str) -> Option<&Mount> {
        let mut old = self.mounts.iter().filter(|mount| mount.kind == "cgroup");
        old.find(|mount| mount.inner.iter().any(|option| option == controller))
    }

    fn new_mount(&self) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.kind == "cgroup2")
    }

    /// The text of a file of the own cgroup; seen from inside, that is mostly the mount's root.
    fn read_file(&self, controller: &str, old: &str, new: &str) -> Option<String> {
        let (mount, file, wanted) = match self.old(controller) {
            Some(mount) => (mount, old, controller),
            None => (self.new_mount()?, new, ""),
        };
        let own = self.own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers
                .split(',')
                .any(|name| name == wanted)
                .then_some(path)
        });
        let inside = |path: &str| mount.target.join(path.trim_start_matches('/')).join(file);
        let places: [PathBuf; 2] = [inside(own.unwrap_or_default()), mount.target.join(file)];
        let text = places.iter().find_map(|path: &PathBuf| read(path))?;
        Some(text.trim().to_owned())
    }

    fn limit(&self, controller: &str, old: &str, new: &str) -> Option<Limit> {
        limit(&self.read_file(controller, old, new)?)
    }

    /// Memory and swap together.
    fn with_swap(&self) -> Option<Limit> {
        if self.old("memory").is_some() {
            return self.limit("memory", "memory.memsw.limit_in_bytes", "");
        }
        let memory = self.limit("memory", "", "memory.max")?;
        Some(
            match (memory, self.limit("memory", "", "memory.swap.max")?) {
                (Limit::At(memory), Limit::At(swap)) => Limit::At(memory.saturating_add(swap)),
                _ => Limit::Unlimited,
            },
        )
    }

    /// Thousandths of a processor.
    fn cpus(&self) -> Option<Limit> {
        let (quota, period) = if self.old("cpu").is_some() {
            let file = |name| self.read_file("cpu", name, "");
            (file("cpu.cfs_quota_us")?, file("cpu.cfs_period_us")?)
        } else {
            let both = self.read_file("cpu", "", "cpu.max")?;
            let (quota, period) = both.split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        };
        cpus(&quota, &period)
    }
}

fn read(path: &Path) -> Option<String> {
    if path.is_dir() {
        return None;
    }
    fs::read_to_string(path).ok()
}

/// Version 1 says "none" by the largest number of whole pages.
fn limit(text: &str) -> Option<Limit> {
    match text {
        "max" => Some(Limit::Unlimited),
        number => number.parse().ok().map(|number| match number {
            0x7FFF_FFFF_FFFF_0000.. => Limit::Unlimited,
            number => Limit::At(number),
        }),
    }
}

fn cpus(quota: &str, period: &str) -> Option<Limit> {
    if quota == "max" || quota == "-1" {
        return Some(Limit::Unlimited);
    }
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period).map(Limit::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions() {
        assert_eq!(Some(Limit::Unlimited), limit("max"));
        assert_eq!(Some(Limit::Unlimited), limit("9223372036854771712"));
        assert_eq!(Some(Limit::At(4_294_967_296)), limit("4294967296"));
        assert_eq!(None, limit("many"));
        assert_eq!(Some(Limit::At(1500)), cpus("150000", "100000"));
        assert_eq!(Some(Limit::Unlimited), cpus("-1", "100000"));
        assert_eq!(None, cpus("1", "0"));
    }
}
