//! Running a command in a sandbox through the engine's own exec API.

mod error;
mod refusal;
mod talk;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use sandbox_core::{End, Outcome, Via};
use tokio::io::AsyncRead;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::capture::{Capture, Keep};
use crate::connect::Engine;
use crate::error::{Fault, RequestError};
use crate::kill;
use refusal::{not_started, refused_by_runtime};
use talk::{LAST_WORDS, Stop, Talk, feed};

pub use error::ExecError;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// What the command writes to descriptor 1.
    Stdout,
    /// What it writes to descriptor 2.
    Stderr,
}

/// What a command reads.
#[derive(Default)]
pub enum Stdin {
    /// Nothing: it sees the end at once.
    #[default]
    Empty,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// Whatever comes from there.
    Reader(Pin<Box<dyn AsyncRead + Send>>),
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

/// A command to run in a sandbox.
#[derive(Default)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it reads.
    pub stdin: Stdin,
    /// Variables beside those of the sandbox.
    pub env: Vec<(String, String)>,
    /// Where it starts, if not where the sandbox does.
    pub cwd: Option<String>,
    /// As whom, if not as the sandbox's own user.
    pub user: Option<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What is kept of its output.
    pub keep: Keep,
    /// Told when it is to be killed before its time; dropping the sender does nothing.
    pub cancel: Option<oneshot::Receiver<()>>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values of variables can be secrets.
        f.debug_struct("Exec")
            .field("command", &self.command)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Exec {
    /// A command with nothing else said.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// What it reads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As whom it runs.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// What is kept of its output.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }
}

/// What a command came to, and what is not known about it.
#[derive(Debug)]
pub struct Ran {
    /// Its result.
    pub outcome: Outcome,
    /// What could not be made sure of, in sentences; empty where everything is known.
    pub notes: Vec<String>,
}

/// The variable by which the processes of one command are found again.
pub(crate) const MARK: &str = "TALARIA_EXEC";

/// How long the engine may take to know a code, once the streams have ended.
const CODE_WITHIN: Duration = Duration::from_secs(30);

/// Runs a command in the container with that id, called `name` in messages.
pub(crate) async fn exec(
    engine: &Engine,
    id: &str,
    name: &str,
    exec: Exec,
    on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
) -> Result<Ran, ExecError> {
    let begun = Instant::now();
    let named = || name.to_owned();
    let Some(program) = exec.command.first().cloned() else {
        return Err(ExecError::Empty);
    };
    let mark = kill::new_mark();
    let mut env: Vec<String> = exec
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    env.push(format!("{MARK}={mark}"));
    let options = CreateExecOptions {
        attach_stdin: Some(!matches!(exec.stdin, Stdin::Empty)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(env),
        cmd: Some(exec.command),
        user: exec.user.clone(),
        working_dir: exec.cwd,
        ..CreateExecOptions::default()
    };
    let created = engine.docker.create_exec(id, options).await;
    let exec_id = created
        .map_err(|error| match Fault::from(error) {
            fault if fault.is_not_found() || fault.is_conflict() => ExecError::Gone {
                name: named(),
                fault: Box::new(fault),
            },
            fault => ExecError::Refused {
                name: named(),
                fault: Box::new(fault),
            },
        })?
        .id;

    let how = StartExecOptions {
        output_capacity: Some(64 << 10),
        ..StartExecOptions::default()
    };
    let started = engine.docker.start_exec(&exec_id, Some(how)).await;
    let started = started.map_err(|error| not_started(error.into(), &program, name))?;
    let StartExecResults::Attached { output, input } = started else {
        return Err(ExecError::Lost {
            name: named(),
            fault: Box::new(Fault::Incomplete { field: "stream" }),
        });
    };

    let mut talk = Talk {
        engine,
        name,
        exec_id: &exec_id,
        output,
        stdout: Capture::new(&exec.keep),
        stderr: Capture::new(&exec.keep),
        mark: &mark,
        refusal: Vec::new(),
        on_output,
    };
    let deadline = exec.timeout.map(|timeout| begun + timeout);
    let stop = talk
        .until_stopped(feed(exec.stdin, input), deadline, exec.cancel)
        .await?;
    let mut notes = Vec::new();
    let mut killed = kill::Killed::default();
    if stop != Stop::Ended {
        killed = talk
            .killing(kill::kill(engine, id, exec.user.as_deref(), &mark))
            .await?;
        notes.extend(killed.note.take());
    }
    let code = exit_code(engine, &exec_id, name, stop != Stop::Ended).await?;
    let end = if let Some(code) = code {
        End::Exited(u8::try_from(code).unwrap_or(u8::MAX))
    } else {
        notes.push("the command was still running when this was written".to_owned());
        End::Signalled(9)
    };
    if let Some(error) = refused_by_runtime(code, &talk.refusal, &program, name) {
        return Err(error);
    }
    talk.not_refused()?;
    let (stdout, stderr) = (talk.stdout.done(), talk.stderr.done());
    Ok(Ran {
        outcome: Outcome {
            end,
            stdout,
            stderr,
            timed_out: stop == Stop::TimedOut,
            killed: killed.count,
            survivors: killed.survivors.max(u32::from(code.is_none())),
            duration: begun.elapsed(),
            cwd: None,
            via: Via::EngineExec,
        },
        notes,
    })
}

/// The engine closes the streams a little before it knows the code.
async fn exit_code(
    engine: &Engine,
    exec_id: &str,
    name: &str,
    was_killed: bool,
) -> Result<Option<i64>, ExecError> {
    let lost = |fault: Fault| ExecError::Lost {
        name: name.to_owned(),
        fault: Box::new(fault),
    };
    let mut pause = Duration::from_millis(1);
    let asked = timeout(if was_killed { LAST_WORDS } else { CODE_WITHIN }, async {
        loop {
            let seen = engine.docker.inspect_exec(exec_id).await;
            let seen = seen.map_err(|error| lost(error.into()))?;
            if seen.running == Some(false)
                && let Some(code) = seen.exit_code
            {
                return Ok(code);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    });
    match asked.await {
        Ok(code) => code.map(Some),
        Err(_) if was_killed => Ok(None),
        Err(_) => Err(lost(Fault::Incomplete { field: "exit code" })),
    }
}

/// How many commands run through the engine's exec API. What leads to an agent is none.
pub(crate) async fn running(engine: &Engine, sessions: &[String]) -> Result<u32, RequestError> {
    let mut count = 0;
    for session in sessions {
        let seen = engine.docker.inspect_exec(session).await;
        match seen.map_err(Fault::from) {
            Ok(seen) => count += u32::from(seen.running == Some(true) && !is_line(&seen)),
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => {
                return Err(RequestError::new("ask whether a command is running", fault));
            }
        }
    }
    Ok(count)
}

fn is_line(seen: &bollard::models::ExecInspectResponse) -> bool {
    seen.process_config.as_ref().is_some_and(|process| {
        process.entrypoint.as_deref() == Some(crate::agent::PROGRAM_PATH)
            && process
                .arguments
                .as_deref()
                .is_some_and(|arguments| arguments == crate::inside::CONNECT)
    })
}
