//! The agent's home: whose it is, what is free in it, and what others left there.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use profile_boot::profile;
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::process::{getegid, geteuid};

use super::super::finding::{Finding, or_good};

/// How many files are looked at for their owner.
const BOUND: usize = 20_000;
/// Below this an agent cannot work: one log and one session take it.
const LITTLE: u64 = 64 << 20;
const FEW_INODES: u64 = 1000;

pub(super) fn look(home: &Path) -> Vec<Finding> {
    let metadata = match home.metadata() {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let detail = format!("{}: not a directory", home.display());
            return vec![Finding::bad(
                "home",
                detail,
                "mount a volume or a directory there",
            )];
        }
        Err(error) => {
            let detail = format!("{}: {error}", home.display());
            let hint = "mount a volume there, or have HERMES_HOME name where it is";
            return vec![Finding::bad("home", detail, hint)];
        }
    };
    let mut findings = vec![owner(home, &metadata)];
    findings.extend(space(home));
    findings.extend(secrets(home));
    findings.extend(foreign(home));
    findings
}

fn owner(home: &Path, metadata: &Metadata) -> Finding {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let (owner, group) = (metadata.uid(), metadata.gid());
    let shown = home.display();
    let hint = format!(
        "start the container as root with HERMES_UID={owner} HERMES_GID={group}, or chown -R {uid}:{gid} the volume"
    );
    match access(home, Access::WRITE_OK | Access::EXEC_OK) {
        Err(rustix::io::Errno::ROFS) => {
            let hint = "mount it without :ro";
            Finding::bad("home", format!("{shown}: read-only file system"), hint)
        }
        Err(_) => Finding::bad(
            "home",
            format!("{shown}: belongs to {owner}:{group} and cannot be written by {uid}:{gid}"),
            if owner == uid {
                format!("chmod u+rwx {shown}")
            } else {
                hint
            },
        ),
        Ok(()) if owner == uid => Finding::good("home", format!("{shown}, of uid {uid}")),
        Ok(()) => Finding::note(
            "home",
            format!(
                "{shown}: belongs to {owner}:{group}, the agent is {uid}:{gid}, and may write it"
            ),
            if owner == 0 {
                format!("docker restart gives it to uid {uid}, where the container starts as root")
            } else {
                hint
            },
        ),
    }
}

fn space(home: &Path) -> Option<Finding> {
    let name = "space";
    let found = match statvfs(home) {
        Ok(found) => found,
        Err(error) => {
            let detail = format!("{}: {error}", home.display());
            return Some(Finding::bad(name, detail, "see what is mounted there"));
        }
    };
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        // Told with the home.
        return None;
    }
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let inodes = (found.f_files > 0).then_some((found.f_favail, found.f_files));
    Some(room(bytes(found.f_bavail), bytes(found.f_blocks), inodes))
}

/// How much is free of how many bytes, and of how many inodes where they are counted.
fn room(free: u64, all: u64, inodes: Option<(u64, u64)>) -> Finding {
    let name = "space";
    let mib = free >> 20;
    let left = inodes.map_or_else(String::new, |(left, _)| format!(", {left} inodes"));
    let detail = format!("{mib} MiB free{left}");
    let hint =
        "du -x -d 2 $HERMES_HOME | sort -n tells what takes it; logs and backups can go first";
    let few = inodes.is_some_and(|(left, _)| left < FEW_INODES);
    let rare = inodes.is_some_and(|(left, all)| left < all / 50);
    if free < LITTLE || few {
        Finding::bad(name, detail, hint)
    } else if free < all / 50 || rare {
        Finding::note(name, format!("{detail}: less than 2 %"), hint)
    } else {
        Finding::good(name, detail)
    }
}

/// Files that hold tokens are for their owner alone, and have to be his.
fn secrets(home: &Path) -> Vec<Finding> {
    let profiles = profile::discover(home).map(|found| found.profiles);
    let directories = profiles
        .unwrap_or_default()
        .into_iter()
        .map(|one| one.directory(home));
    let mut findings = Vec::new();
    for directory in directories {
        for name in [".env", "auth.json"] {
            let path = directory.join(name);
            match path.symlink_metadata() {
                Ok(metadata) => findings.extend(secret(&path, &metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => findings.push(Finding::bad(
                    "secrets",
                    format!("{}: {error}", path.display()),
                    "its directory has to be the agent's user's own",
                )),
            }
        }
    }
    or_good(
        findings,
        "secrets",
        ".env and auth.json are for their owner alone",
    )
}

fn secret(path: &Path, metadata: &Metadata) -> Option<Finding> {
    let shown = path.display();
    if metadata.is_symlink() {
        return None;
    }
    if !metadata.is_file() {
        let detail = format!("{shown}: not a regular file, and so not read");
        return Some(Finding::bad(
            "secrets",
            detail,
            format!("move {shown} away"),
        ));
    }
    let mode = metadata.mode() & 0o777;
    let owner = metadata.uid();
    if access(path, Access::READ_OK).is_err() {
        let detail = format!("{shown}: mode {mode:04o} of uid {owner}: the agent cannot read it");
        let uid = geteuid().as_raw();
        let hint = format!("as root: chown {uid} {shown} && chmod 600 {shown}");
        return Some(Finding::bad("secrets", detail, hint));
    }
    (mode & 0o077 != 0).then(|| {
        let detail = format!("{shown}: mode {mode:04o}: others can read it");
        Finding::note("secrets", detail, format!("chmod 600 {shown}"))
    })
}

/// Files that are neither the agent's nor in reach of it, as a `docker exec` as root leaves them.
fn foreign(home: &Path) -> Vec<Finding> {
    let Ok(root) = home.symlink_metadata().or_else(|_| home.metadata()) else {
        return Vec::new();
    };
    let uid = geteuid().as_raw();
    let (mut queue, mut looked) = (vec![home.to_owned()], 0);
    let (mut first, mut others): (Option<(PathBuf, u32)>, usize) = (None, 0);
    while let Some(directory) = queue.pop() {
        // What cannot be listed belongs to somebody else, and was counted as that.
        let Ok(entries) = directory.read_dir() else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            looked += 1;
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            if metadata.dev() != root.dev() {
                continue;
            }
            if metadata.uid() != uid {
                others += 1;
                first.get_or_insert((entry.path(), metadata.uid()));
            }
            if metadata.is_dir() && looked < BOUND {
                queue.push(entry.path());
            }
        }
        if looked >= BOUND {
            break;
        }
    }
    let name = "owners";
    let all = if looked < BOUND {
        String::new()
    } else {
        format!(", of the first {looked} looked at")
    };
    vec![match first {
        None => Finding::good(name, format!("{looked} files, all of uid {uid}{all}")),
        Some((path, owner)) => Finding::note(
            name,
            format!(
                "{others} files are not the agent's{all}, such as {} of uid {owner}",
                path.display().to_string().escape_debug()
            ),
            format!(
                "docker restart gives the agent what is root's; as root: chown -R --from={owner} {uid} {}",
                home.display()
            ),
        ),
    }]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::super::finding::State;
    use super::*;

    const GIB: u64 = 1 << 30;

    #[rstest]
    #[case(10 * GIB, 20 * GIB, Some((1_000_000, 2_000_000)), State::Good)]
    #[case(10 * GIB, 20 * GIB, None, State::Good)]
    #[case(GIB, 100 * GIB, None, State::Note)]
    #[case(10 * GIB, 20 * GIB, Some((10_000, 2_000_000)), State::Note)]
    #[case(10 * GIB, 20 * GIB, Some((10, 2_000_000)), State::Bad)]
    #[case(GIB / 100, 20 * GIB, None, State::Bad)]
    fn little_room_is_told(
        #[case] free: u64,
        #[case] all: u64,
        #[case] inodes: Option<(u64, u64)>,
        #[case] state: State,
    ) {
        assert_eq!(room(free, all, inodes).state, state);
    }
}
