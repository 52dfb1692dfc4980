//! An agent as the first process of a process namespace of its own, and clients of it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use sandbox_agent::client::{Client, ClientError, Finished};
use sandbox_agent::wire::{RunSpec, SessionSpec, ToAgent};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-agent");

/// Where it is inside, for the checkout may be under a directory that is another one inside.
const INSIDE: &str = "/mnt/sandbox-agent";

/// A running agent. It ends with this value.
pub(crate) struct Agent {
    pub(crate) unshare: Child,
    pub(crate) pid: u32,
}

/// Waits a moment, for what has no event.
pub(crate) fn moment() {
    poll(&mut [], PollTimeout::from(10u8)).unwrap();
}

/// Asks until the answer is yes.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        moment();
    }
}

/// A command whose environment is the same wherever the tests run.
fn hermetic(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs([
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("LANG", "C.UTF-8"),
    ]);
    command
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self::with(&["serve"])
    }

    pub(crate) fn with(args: &[&str]) -> Self {
        Self::after("true", args)
    }

    /// An agent that is started after `first`, a line of shell in its namespaces.
    pub(crate) fn after(first: &str, args: &[&str]) -> Self {
        let script = format!(
            "mount --bind \"${{1%/*}}\" /mnt && mount -t tmpfs tmpfs /dev/shm && \
             mount -t tmpfs tmpfs /tmp && {first} && shift && exec {INSIDE} \"$@\""
        );
        let mut command = hermetic("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args([
            "--pid",
            "--fork",
            "--mount",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            &script,
            "sh",
            PROGRAM,
        ]);
        let (stdin, stdout) = (Stdio::null(), Stdio::piped());
        let spawned = command.args(args).stdin(stdin).stdout(stdout).spawn();
        let unshare = spawned.unwrap();
        let mut pid = 0;
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        wait_until("the agent's start", || {
            let list = std::fs::read_to_string(&children).unwrap_or_default();
            pid = list
                .split_ascii_whitespace()
                .next()
                .and_then(|pid| pid.parse().ok())
                .unwrap_or(0);
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim() == "sandbox-agent"
        });
        Self { unshare, pid }
    }

    /// What runs `args` inside, beside the agent.
    pub(crate) fn inside(&self, args: &[&str]) -> Command {
        let mut command = hermetic("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--pid", "--mount", "--"])
            .args(args);
        command
    }

    /// A stream to the agent, and the `connect` that made it.
    pub(crate) fn stream(&self) -> (UnixStream, Child) {
        self.stream_of(&["connect"])
    }

    /// The streams of what the agent's program does inside, and its process.
    pub(crate) fn stream_of(&self, args: &[&str]) -> (UnixStream, Child) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let stdin = Stdio::from(theirs.try_clone().unwrap());
        let connect = self
            .inside(&[&[INSIDE], args].concat())
            .stdin(stdin)
            .stdout(Stdio::from(theirs))
            .stderr(Stdio::null())
            .spawn();
        (ours, connect.unwrap())
    }

    pub(crate) fn try_client(&self) -> Result<Connected, ClientError> {
        let (stream, connect) = self.stream();
        let input = OwnedFd::from(stream.try_clone().unwrap());
        let client = Client::new(input, OwnedFd::from(stream), PATIENCE);
        Ok(Connected {
            client: client?,
            connect,
        })
    }

    pub(crate) fn client(&self) -> Connected {
        let mut connected = self.try_client();
        wait_until("a connection", || {
            if connected.is_err() {
                connected = self.try_client();
            }
            connected.is_ok()
        });
        connected.unwrap()
    }

    /// The command lines of everything inside but the agent and its keepers.
    pub(crate) fn processes(&self) -> Vec<String> {
        let output = self.inside(&["ps", "-eo", "stat=,args="]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .filter(|line| {
                !line.contains(INSIDE)
                    && !line.contains("ps -eo")
                    && !line.trim_start().starts_with('Z')
            })
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.processes()
            .iter()
            .filter(|line| line.ends_with(part) && !line.contains(" -c "))
            .count()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.unshare.try_wait().ok().flatten().is_none() {
            self.unshare.kill().unwrap();
            self.unshare.wait().unwrap();
        }
    }
}

/// A client and its `connect`.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) connect: Child,
}

impl std::ops::Deref for Connected {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Connected {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Connected {
    pub(crate) fn shell(&mut self, script: &str) -> Finished {
        self.run(RunSpec::shell(script)).unwrap()
    }

    pub(crate) fn open_session(&mut self, user: Option<&str>) -> u32 {
        let spec = SessionSpec {
            cwd: None,
            env: Vec::new(),
            user: user.map(str::to_owned),
            login: true,
        };
        u32::try_from(self.number(&ToAgent::SessionOpen(spec)).unwrap()).unwrap()
    }

    pub(crate) fn in_session(&mut self, session: u32, script: &str) -> Finished {
        self.run(RunSpec {
            session,
            ..RunSpec::shell(script)
        })
        .unwrap()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.connect.kill().unwrap_or_default();
        self.connect.wait().unwrap();
    }
}
