//! What the agent answers. All of it is a claim: a sandbox may have replaced its agent.

use super::Bytes;
use super::error::FieldError;
use super::field::{Field, Reader, choice, record};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Exited(u8),
    /// By a signal, of this number.
    Signalled(u8),
}

impl End {
    /// The exit code as shells have it: 128 and the signal's number for a signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => signal.saturating_add(128),
        }
    }
}

impl Field for End {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Exited(code) => out.extend([0, code]),
            Self::Signalled(signal) => out.extend([1, signal]),
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        match <[u8; 2]>::take(from)? {
            [0, code] => Ok(Self::Exited(code)),
            [1, signal] => Ok(Self::Signalled(signal)),
            _ => Err(FieldError::Value("end")),
        }
    }
}

/// Whether a job still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It runs.
    Running,
    /// It ended.
    Ended(End),
}

impl Field for JobState {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Running => out.push(0),
            Self::Ended(end) => {
                out.push(1);
                end.put(out);
            }
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        if bool::take(from)? {
            End::take(from).map(Self::Ended)
        } else {
            Ok(Self::Running)
        }
    }
}

choice! {
    /// What a command did to the session that it ran in.
    pub enum SessionEffect: "effect on the session" {
        /// It ran in none.
        None = 0,
        /// The shell goes on.
        Kept = 1,
        /// The shell ended, after it had saved its state: a new one goes on from there.
        Renewed = 2,
        /// The shell was lost: a new one goes on from the state before this command.
        Restored = 3,
    }

    /// What kind of failure it is.
    #[derive(Hash)]
    pub enum Failure: "kind of failure" {
        /// The request contradicts itself or holds what cannot be.
        Invalid = 1,
        /// There is no such session, job or request, or no such file.
        NotFound = 2,
        /// The program cannot be run.
        CannotRun = 3,
        /// There is no process left to run it in.
        NoProcessLeft = 4,
        /// There is neither bash nor sh, or, for a session, no bash.
        NoShell = 5,
        /// The working directory cannot be entered.
        Directory = 6,
        /// The user is not known, or the agent cannot become it.
        User = 7,
        /// A system call failed.
        System = 8,
        /// There are too many requests, sessions or jobs.
        TooMany = 9,
        /// The session runs another command.
        Busy = 10,
        /// Something is there already.
        Exists = 11,
        /// The user may not do that.
        Denied = 12,
        /// The sandbox is ending.
        Ending = 13,
        /// The agent does not speak this version of the protocol.
        Version = 14,
        /// The client broke the protocol; the connection is over.
        Protocol = 15,
        /// It was cancelled before it was done.
        Cancelled = 16,
    }
}

record! {
    /// The first frame of the agent.
    pub struct AgentHello {
        /// The version of the protocol that it speaks.
        pub version: u16,
        /// The version of the agent.
        pub agent: String,
        /// SHA-256 of the agent's own program; zeros where it cannot be read.
        pub hash: [u8; 32],
        /// Its process id in the sandbox.
        pub pid: u32,
        /// Its user id.
        pub uid: u32,
        /// Which start of the agent this is: random, new each time.
        pub instance: [u8; 16],
        /// The kernel's boot id.
        pub boot_id: String,
    }

    /// What became of one output stream.
    #[derive(Default)]
    pub struct Counts {
        /// Bytes that the command wrote.
        pub seen: u64,
        /// Bytes that were neither streamed nor in head or tail.
        pub dropped: u64,
        /// The file in the sandbox that holds the stream, if there is one.
        pub spill: Option<Bytes>,
        /// How many bytes the file holds, from the beginning.
        pub spilled: u64,
    }

    /// The result of a command.
    pub struct Ended {
        /// How it ended.
        pub end: End,
        /// Its stdout, or its terminal.
        pub stdout: Counts,
        /// Its stderr.
        pub stderr: Counts,
        /// Whether it was killed because its time was over.
        pub timed_out: bool,
        /// Whether it was killed because a client asked for it or went away.
        pub cancelled: bool,
        /// How many of its processes were killed.
        pub killed: u32,
        /// How many of its processes could not be killed.
        pub survivors: u32,
        /// How long it took, in microseconds.
        pub duration_us: u64,
        /// The working directory after it, in a session.
        pub cwd: Option<Bytes>,
        /// What it did to its session.
        pub session: SessionEffect,
    }

    /// A request that came to nothing.
    pub struct Failed {
        /// Of what kind.
        pub failure: Failure,
        /// The system's error number, 0 where there is none.
        pub errno: i32,
        /// What, in words.
        pub message: String,
    }

    /// A session.
    pub struct SessionInfo {
        /// Its number.
        pub session: u32,
        /// Its user id.
        pub uid: u32,
        /// Its working directory.
        pub cwd: Bytes,
        /// Whether it runs a command now.
        pub busy: bool,
        /// How many commands it has run.
        pub commands: u64,
    }

    /// A job.
    pub struct JobInfo {
        /// Its number.
        pub job: u32,
        /// Its process id.
        pub pid: u32,
        /// Whether it runs.
        pub state: JobState,
        /// The beginning of what was asked to run.
        pub command: Bytes,
        /// How long it has run, or ran, in microseconds.
        pub duration_us: u64,
        /// Bytes of stdout seen, and not kept any longer.
        pub stdout: Counts,
        /// The same of stderr.
        pub stderr: Counts,
    }

    /// How the agent is.
    #[derive(Copy)]
    pub struct Status {
        /// The lease, in seconds; 0 for none.
        pub lease_secs: u32,
        /// What is left of it, in milliseconds; nothing where there is no lease.
        pub lease_left_ms: Option<u64>,
        /// Whether something keeps the lease from running: a command or a job.
        pub busy: bool,
        /// Clients that are connected.
        pub clients: u32,
        /// Commands that run, jobs aside.
        pub commands: u32,
        /// Jobs that run.
        pub jobs: u32,
        /// Sessions.
        pub sessions: u32,
        /// How long the agent has run, in milliseconds.
        pub uptime_ms: u64,
    }

    /// What the sandbox uses, as far as it can tell from inside.
    #[derive(Copy)]
    pub struct Metrics {
        /// Processes.
        pub processes: u32,
        /// How many there may be.
        pub processes_limit: Option<u64>,
        /// Memory in use, in bytes.
        pub memory: Option<u64>,
        /// How much there may be.
        pub memory_limit: Option<u64>,
        /// Processor time used, in microseconds.
        pub cpu_us: Option<u64>,
        /// Memory that the agent itself has resident, in bytes.
        pub agent_memory: u64,
    }
}
