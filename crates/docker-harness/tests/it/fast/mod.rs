//! Commands in sandboxes as their users run them: `talaria sandbox` as a program, its broker and its
//! terminal.

mod broker;
mod direct;
mod ends;
mod examples;
mod killed;
mod lease;
mod places;
mod pty;
mod streams;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use docker_harness::labels::Run;
use docker_harness::{Failure, TestResult, on_image};

/// The image that most tests use: Debian, with no entrypoint.
pub(super) const DEBIAN: &str = "talaria-debian:trixie";

/// How long anything may take that happens at once on a machine with nothing else to do.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody with sandboxes, a broker and a home of their own.
pub(super) struct Desk {
    owner: String,
    home: tempfile::TempDir,
}

/// Runs a test as somebody of its own. All that is theirs is gone after it.
pub(super) fn at_desk(test: impl FnOnce(&Desk) -> TestResult) {
    let image = || docker_harness::image::base().map(|_| DEBIAN.to_owned());
    on_image(
        image,
        |_| None,
        async |_| {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let desk = Desk {
                owner: format!("fast-{}-{next}", Run::this().id),
                // Short, since a socket's path is.
                home: tempfile::Builder::new().prefix("tal").tempdir()?,
            };
            let done = test(&desk);
            drop(desk);
            done
        },
    );
}

impl Drop for Desk {
    fn drop(&mut self) {
        for words in [&["rm", "--all", "--force"][..], &["broker", "stop"]] {
            drop(self.say(words));
        }
    }
}

impl Desk {
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// `talaria sandbox WORDS…` by another program.
    pub(super) fn by(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.dress(command.arg("sandbox").args(words));
        command
    }

    /// Gives a command this desk's environment, and no streams but pipes.
    pub(super) fn dress(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.home())
            .env("TALARIA_OWNER", &self.owner)
            .env("TALARIA_BROKER_IDLE", "60s")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TERM", "dumb")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    pub(super) fn talaria(&self, words: &[&str]) -> Command {
        self.by(program(), words)
    }

    /// Runs it to its end.
    pub(super) fn say(&self, words: &[&str]) -> Result<Output, Failure> {
        Ok(self.talaria(words).output()?)
    }

    /// What it prints, where it is to succeed.
    pub(super) fn says(&self, words: &[&str]) -> Result<String, Failure> {
        let said = self.say(words)?;
        if !said.status.success() {
            let why = text(&said.stderr);
            return Err(format!("{words:?} ended with {}: {why}", said.status).into());
        }
        Ok(text(&said.stdout).trim().to_owned())
    }

    /// A sandbox on Debian, with further options.
    pub(super) fn sandbox(&self, task: &str, more: &[&str]) -> Result<String, Failure> {
        self.says(
            &[
                &["run", "--task", task, "--image", DEBIAN, "--pull", "never"],
                more,
            ]
            .concat(),
        )
    }

    /// How many processes of a sandbox have these words in their command line.
    pub(super) fn count(&self, task: &str, words: &str) -> Result<usize, Failure> {
        let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null";
        // Those of this command itself say it differently.
        let all = self.says(&["exec", task, "--shell", script])?;
        Ok(all.lines().filter(|line| line.trim() == words).count())
    }

    /// Waits until no process of a sandbox has these words as its command line.
    pub(super) fn until_gone(&self, task: &str, words: &str) -> TestResult {
        until("its processes are gone", || {
            Ok(self.count(task, words)? == 0)
        })
    }

    /// The brokers that run for this desk.
    pub(super) fn brokers(&self) -> Result<Vec<u32>, Failure> {
        self.processes(|words| words.ends_with("\0broker\0"))
    }

    /// The programs that run for this desk, by their command lines.
    pub(super) fn processes(&self, is_one: impl Fn(&str) -> bool) -> Result<Vec<u32>, Failure> {
        let mut found = Vec::new();
        let ours = format!("TALARIA_OWNER={}", self.owner);
        for process in std::fs::read_dir("/proc")? {
            let path = process?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(pid) = name.and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process may end at any moment.
            let read = |file: &str| std::fs::read(path.join(file)).unwrap_or_default();
            let is_one = is_one(&text(&read("cmdline")));
            if is_one && text(&read("environ")).split('\0').any(|one| one == ours) {
                found.push(pid);
            }
        }
        Ok(found)
    }
}

/// What `docker inspect` says of a sandbox, nothing where it is gone.
pub(super) fn inspect(container: &str, what: &str) -> Result<Option<String>, Failure> {
    let said = Command::new("docker")
        .args(["inspect", "--format", what, container])
        .output()?;
    let is_there = said.status.success();
    Ok(is_there.then(|| text(&said.stdout).trim().to_owned()))
}

/// Lets time pass.
#[expect(
    clippy::disallowed_methods,
    reason = "what is watched is programs of their own, which tell nobody"
)]
pub(super) fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until something is so.
pub(super) fn until(what: &str, is_so: impl FnMut() -> Result<bool, Failure>) -> TestResult {
    until_within(PATIENCE, what, is_so)
}

pub(super) fn until_within(
    patience: Duration,
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, Failure>,
) -> TestResult {
    let begun = Instant::now();
    while !is_so()? {
        if begun.elapsed() > patience {
            return Err(format!("after {patience:?}, it is not so that {what}").into());
        }
        pass(Duration::from_millis(50));
    }
    Ok(())
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON that a command prints with `--json`.
pub(super) fn json(output: &Output) -> Result<serde_json::Value, Failure> {
    serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("{error}: {} {}", text(&output.stdout), text(&output.stderr)).into()
    })
}

/// Kills a process of this machine.
pub(super) fn kill(pid: u32, signal: &str) -> TestResult {
    let done = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err(format!("kill {pid}: {done}").into())
    }
}

/// The command line, built once.
pub(super) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built(&["build", "-q", "-p", "talaria"]).join("talaria"))
}

/// Has cargo make something; where it puts it.
pub(super) fn built(words: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cargo {words:?} fails"
    );
    // Cargo puts tests into target/PROFILE/deps.
    let test = std::env::current_exe().unwrap_or_default();
    let profile = test.parent().and_then(Path::parent);
    profile.map_or_else(PathBuf::new, Path::to_path_buf)
}
