//! Files of the kernel, of the machine and of the engine that a sandbox should not get at.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::attempt::{DONE, answer, errno, name};
use super::found::{Found, Probe};
use super::mounts::Mount;
use super::sys;

/// What engines mask: secrets of the machine, and load of other containers.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];

/// What engines mount read-only.
const READ_ONLY: [&str; 6] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/sys",
];

/// What would change the machine.
const WRITTEN: [&str; 13] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq/default_smp_affinity",
    "/proc/kcore",
    "/proc/mtrr",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/power/state",
];

/// Where engines listen.
const ENGINES: [&str; 12] = [
    "/run/buildkit/buildkitd.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/docker/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/var/run/crio/crio.sock",
    "/var/run/docker.sock",
    "/var/run/podman/podman.sock",
    "/docker.sock",
];

pub(super) fn probes(mounts: &[Mount]) -> Vec<Probe> {
    vec![
        Probe::new(
            "paths.masked",
            Found::map(MASKED.map(|path| (path, shown(path)))),
        ),
        Probe::new(
            "paths.read_only",
            Found::map(READ_ONLY.map(|path| (path, mounted(path)))),
        ),
        Probe::new(
            "paths.written",
            Found::map(WRITTEN.map(|path| (path, writable(path)))),
        ),
        Probe::new("devices", devices()),
        Probe::new("engine_sockets", engine_sockets(mounts)),
        Probe::new("root.read_only", is_read_only("/")),
    ]
}

/// `absent`, `empty`, `readable`, or why it cannot be read.
fn shown(path: &str) -> Found {
    let read = || -> std::io::Result<bool> {
        if fs::metadata(path)?.is_dir() {
            return Ok(fs::read_dir(path)?.next().is_some());
        }
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        Ok(file.read(&mut [0])? > 0)
    };
    match read() {
        Ok(true) => "readable".into(),
        Ok(false) => "empty".into(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "absent".into(),
        Err(error) => name(errno(&error)).into(),
    }
}

fn is_read_only(path: &str) -> Option<bool> {
    Some(statvfs(path).ok()?.flags().contains(FsFlags::ST_RDONLY))
}

/// `read-only`, `writable` or `absent`: of the mount, whatever the file's own mode is.
fn mounted(path: &str) -> &'static str {
    match is_read_only(path) {
        Some(true) => "read-only",
        Some(false) => "writable",
        None => "absent",
    }
}

/// Opens it for writing, which writes nothing.
fn writable(path: &str) -> Found {
    let Ok(metadata) = fs::metadata(path) else {
        return "absent".into();
    };
    if metadata.is_dir() {
        let path = CString::new(path).unwrap_or_default();
        return answer(sys::may_write(&path));
    }
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    opened.map_or_else(|error| name(errno(&error)).into(), |_: File| DONE.into())
}

/// Every device below `/dev`, two levels deep.
fn devices() -> Found {
    let mut found = BTreeSet::new();
    look(Path::new("/dev"), 2, &mut found);
    found.into_iter().collect()
}

/// `PATH c MAJOR:MINOR`.
fn look(folder: &Path, depth: u32, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let kind = metadata.file_type();
        if kind.is_dir() && depth > 1 {
            look(&entry.path(), depth - 1, found);
        } else if kind.is_char_device() || kind.is_block_device() {
            let letter = if kind.is_block_device() { 'b' } else { 'c' };
            let (major, minor) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
            found.insert(format!(
                "{} {letter} {major}:{minor}",
                entry.path().display()
            ));
        }
    }
}

/// The engine's sockets at their usual places, and every socket that is mounted, wherever it is.
fn engine_sockets(mounts: &[Mount]) -> Found {
    let mut places: Vec<PathBuf> = ENGINES.map(PathBuf::from).into();
    for users in fs::read_dir("/run/user").into_iter().flatten().flatten() {
        let user = users.path();
        places.extend(["docker.sock", "podman/podman.sock"].map(|socket| user.join(socket)));
    }
    places.extend(mounts.iter().map(|mount| mount.target.clone()));
    let is_socket =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    places.retain(is_socket);
    // `/var/run` is `/run`: one socket, one name.
    let mut sockets = BTreeSet::new();
    for path in places {
        let path = fs::canonicalize(&path).unwrap_or(path);
        sockets.insert(String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned());
    }
    sockets.into_iter().collect()
}
