//! Scandirs with a real `s6-svscan`, and services to put in them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use s6_svc::skeleton::Identity;
use s6_svc::{Definition, Program, Scandir, ServiceDir, ServiceName};
use tempfile::TempDir;

/// The unprivileged user of the tests.
pub(crate) const HERMES: Identity = Identity {
    uid: 10000,
    gid: 10000,
};

/// Whether the long tests run in full.
pub(crate) fn soak() -> bool {
    std::env::var_os("TALARIA_SOAK").is_some_and(|value| value == "1")
}

/// Waits until something is so, looking now and then, and gives up after a while.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "gave up waiting until {what}"
        );
        pause();
    }
}

/// A short wait.
pub(crate) fn pause() {
    let timeout = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 2_000_000,
    };
    rustix::event::poll(&mut [], Some(&timeout)).unwrap();
}

/// A scandir with an `s6-svscan`, which ends with it.
pub(crate) struct Tree {
    root: TempDir,
    scanner: Child,
    pub(crate) scandir: Scandir,
}

impl Tree {
    /// Scanned by the test's own user.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {}, &[])
    }

    /// Scanned by root, writable by the unprivileged user, who may also tell the scanner to scan.
    pub(crate) fn start_shared() -> Self {
        Self::start_shared_with(many())
    }

    pub(crate) fn start_shared_with(arguments: &[&str]) -> Self {
        let tree = Self::start_with(
            |path| chown(path, Some(HERMES.uid), Some(HERMES.gid)).unwrap(),
            arguments,
        );
        tree.scandir.repair_control(HERMES).unwrap();
        tree
    }

    /// Scanned by the unprivileged user.
    pub(crate) fn start_as_hermes() -> Self {
        let own = |path: &Path| chown(path, Some(HERMES.uid), Some(HERMES.gid)).unwrap();
        Self::launch(own, &[], Some(HERMES))
    }

    pub(crate) fn start_with(prepare: impl FnOnce(&Path), arguments: &[&str]) -> Self {
        Self::launch(prepare, arguments, None)
    }

    fn launch(prepare: impl FnOnce(&Path), arguments: &[&str], user: Option<Identity>) -> Self {
        let root = tempfile::Builder::new()
            .prefix("tree")
            .tempdir_in("/run")
            .unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = root.path().join("service");
        fs::create_dir(&path).unwrap();
        prepare(&path);
        let mut command = Command::new("s6-svscan");
        command.args(arguments).arg(&path).stdin(Stdio::null());
        if std::env::var_os("TALARIA_S6_NOISE").is_none() {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        if let Some(Identity { uid, gid }) = user {
            command.uid(uid).gid(gid);
        }
        let scanner = command.spawn().unwrap();
        let scandir = Scandir::new(&path).unwrap();
        // It takes its lock before it makes its FIFO.
        let control = path.join(".s6-svscan/control");
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        until("s6-svscan listens", || {
            rustix::fs::open(&control, flags, rustix::fs::Mode::empty()).is_ok()
        });
        Self {
            root,
            scanner,
            scandir,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.scandir.path()
    }

    pub(crate) fn service(&self, name: &str) -> ServiceDir {
        self.scandir.service(&self::name(name))
    }

    /// Ends the scanner as a crash would.
    pub(crate) fn kill_scanner(&mut self) {
        self.scanner.kill().unwrap();
        self.scanner.wait().unwrap();
    }

    /// The names in the scandir, hidden ones included, but not s6-svscan's own.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name != ".s6-svscan");
        names.sort();
        names
    }

    /// The process ids of the supervisors whose working directory is below this scandir, removed
    /// slots included.
    pub(crate) fn supervisors(&self) -> Vec<u32> {
        let root = self.root.path();
        processes()
            .filter(|(pid, comm)| {
                let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
                comm == "s6-supervise" && cwd.starts_with(root)
            })
            .map(|(pid, _)| pid)
            .collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // However the test ended, nothing of its tree stays.
        self.scanner.kill().ok();
        self.scanner.wait().ok();
        let root = self.root.path().to_owned();
        for _ in 0..5 {
            for (pid, _) in processes() {
                let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
                if cwd.starts_with(&root) {
                    kill(pid);
                }
            }
        }
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
}

/// Every process: its id and its name.
fn processes() -> impl Iterator<Item = (u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, comm.trim_end().to_owned()))
    })
}

pub(crate) fn name(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

/// A service that runs this shell script.
pub(crate) fn script(body: &str) -> Definition {
    Definition::new(Program::Script(format!("#!/bin/sh\n{body}\n")))
}

/// A service that only waits to be stopped.
pub(crate) fn sleeper() -> Definition {
    script("exec sleep 100000")
}

/// A logger that reads to the end of its input.
pub(crate) fn logger() -> Definition {
    script("exec cat >/dev/null")
}

/// Runs one of s6's programs.
pub(crate) fn s6(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The version of s6 that is installed, such as `2.13`.
pub(crate) fn version() -> &'static str {
    static VERSION: std::sync::OnceLock<&str> = std::sync::OnceLock::new();
    VERSION.get_or_init(|| {
        // Only 2.13 has a status of 43 bytes; only 2.11 has no process group in s6-svstat's usage.
        let usage = String::from_utf8(s6("s6-svstat", &[]).stderr).unwrap();
        let scan = String::from_utf8(s6("s6-svscan", &["-?"]).stderr).unwrap();
        match (usage.contains("pgid"), scan.contains("-c services_max")) {
            (false, _) => "2.11",
            (true, true) => "2.13",
            (true, false) => "2.15",
        }
    })
}

/// Arguments with which `s6-svscan` takes more services than any test makes.
pub(crate) fn many() -> &'static [&'static str] {
    // 2.11 has another option, which counts a service with its logger once.
    if version() == "2.11" {
        &["-c", "2500"]
    } else {
        &["-C", "5000"]
    }
}

/// Random numbers that are the same in each run: Marsaglia's xorshift.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
