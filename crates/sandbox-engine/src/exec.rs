//! Running a command in a sandbox through the engine's own exec API.

use std::fmt;
use std::pin::{Pin, pin};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use sandbox_client::wire::Failure;
use sandbox_core::{End, Outcome, Via};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::capture::{Capture, Keep};
use crate::connect::Engine;
use crate::error::{Fault, RequestError, Retry};
use crate::inside::AgentError;
use crate::kill;

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

/// A command that did not come to a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// The sandbox is gone or down. The command has not been started.
    #[error("sandbox {name} is not running")]
    Gone {
        /// The container.
        name: String,
        /// The engine's answer.
        #[source]
        fault: Box<Fault>,
    },
    /// The image has no such program, or it cannot be executed. It has not been started.
    #[error("cannot execute {program:?} in sandbox {name}: {why}")]
    NoProgram {
        /// The container.
        name: String,
        /// The program.
        program: String,
        /// The engine's words.
        why: String,
        /// What a shell would make of it: 127 not found, 126 not executable.
        code: u8,
    },
    /// The engine refused before the command was started.
    #[error("cannot run the command in sandbox {name}; it has not been started")]
    Refused {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The connection was lost after the command may have been started.
    #[error("lost the command in sandbox {name}: it may have run, or still run")]
    Lost {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The agent in the sandbox cannot be reached. The command has not been started.
    #[error(transparent)]
    Unreached(Box<AgentError>),
    /// The agent in the sandbox refused before the command was started.
    #[error("cannot run the command in sandbox {name}: {message}")]
    Agent {
        /// The container.
        name: String,
        /// Of what kind.
        failure: sandbox_client::wire::Failure,
        /// The agent's words.
        message: String,
    },
    /// The connection to the agent was lost after the command may have been started.
    #[error("lost the command in sandbox {name}: it may have run, or still run")]
    Line {
        /// The container.
        name: String,
        /// What became of the connection.
        #[source]
        source: Box<sandbox_client::CallError>,
    },
    /// Output could not be written to the spill file.
    #[error("cannot keep the output of a command in sandbox {name}")]
    Spill {
        /// The container.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl ExecError {
    /// Whether asking again can help. Never "yes" where the command may have run.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Gone { .. } => Retry::Yes,
            Self::Refused { fault, .. } => fault.retry(),
            Self::Unreached(error) => match &**error {
                AgentError::Request(error) => error.retry(),
                _ => Retry::No,
            },
            Self::Agent { failure, .. } => match failure {
                Failure::NoProcessLeft | Failure::TooMany | Failure::Busy => Retry::Yes,
                _ => Retry::No,
            },
            Self::Empty
            | Self::NoProgram { .. }
            | Self::Lost { .. }
            | Self::Line { .. }
            | Self::Spill { .. } => Retry::No,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "name it after --".to_owned(),
            Self::Gone { name, .. } => {
                format!("talaria sandbox run starts it again; talaria sandbox inspect {name}")
            }
            Self::NoProgram { code: 127, .. } => {
                "the image lacks it, or it is not on the sandbox's PATH".to_owned()
            }
            Self::NoProgram { .. } => "it is no program, or on a noexec mount".to_owned(),
            Self::Refused { fault, .. } => return fault.hint(),
            Self::Unreached(error) => return error.hint(),
            Self::Agent { failure, .. } => return agents_hint(*failure).map(str::to_owned),
            Self::Lost { name, .. } | Self::Line { name, .. } => format!(
                "it is not run again by itself; talaria sandbox inspect {name} tells whether a \
                 command still runs"
            ),
            Self::Spill { .. } => "is there room in the directory for spilled output?".to_owned(),
        })
    }
}

fn agents_hint(failure: Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::NoProcessLeft => {
            "the sandbox is full of processes: end some, or give it more with --pids"
        }
        Failure::NoShell => "the image has no shell: give a program and its arguments",
        Failure::Directory => "create it first, or give another with --workdir",
        Failure::User => {
            "a user of the image's by name or number; others only where it runs as root"
        }
        Failure::Ending => "talaria sandbox run starts it again",
        _ => return None,
    })
}

/// The variable by which the processes of one command are found again.
pub(crate) const MARK: &str = "TALARIA_EXEC";

/// After a command was killed, how long its streams may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the engine may take to know a code, once the streams have ended.
const CODE_WITHIN: Duration = Duration::from_secs(30);

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

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

/// An exec that could not be started: the engine may say so in place of the stream.
fn not_started(fault: Fault, program: &str, name: &str) -> ExecError {
    let name = name.to_owned();
    match &fault {
        Fault::Refused { message, .. } => match unstartable(message) {
            Some(code) => ExecError::NoProgram {
                name,
                program: program.to_owned(),
                why: message.clone(),
                code,
            },
            None if fault.is_not_found() || fault.is_conflict() => ExecError::Gone {
                name,
                fault: Box::new(fault),
            },
            None => ExecError::Refused {
                name,
                fault: Box::new(fault),
            },
        },
        _ => ExecError::Lost {
            name,
            fault: Box::new(fault),
        },
    }
}

/// Or it says so in the stream, and gives the code of a shell.
fn refused_by_runtime(
    code: Option<i64>,
    out: &[u8],
    program: &str,
    name: &str,
) -> Option<ExecError> {
    let code = code.filter(|code| matches!(code, 126 | 127))?;
    let text = std::str::from_utf8(out).ok()?.trim();
    if !text.starts_with(REFUSED) {
        return None;
    }
    Some(ExecError::NoProgram {
        name: name.to_owned(),
        program: program.to_owned(),
        why: text.to_owned(),
        code: unstartable(text).unwrap_or(u8::try_from(code).unwrap_or(126)),
    })
}

/// How the runtime's own words begin.
const REFUSED: &str = "OCI runtime exec failed";

/// The code of a shell for a program that cannot be started, where the text says that it cannot.
fn unstartable(text: &str) -> Option<u8> {
    if text.contains("executable file not found") || text.contains("no such file or directory") {
        return Some(127);
    }
    let denied = ["permission denied", "is a directory", "exec format error"];
    denied.iter().any(|one| text.contains(one)).then_some(126)
}

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Ended,
    TimedOut,
    Cancelled,
}

/// The conversation with one command.
struct Talk<'a> {
    engine: &'a Engine,
    name: &'a str,
    exec_id: &'a str,
    output: Pieces,
    stdout: Capture,
    stderr: Capture,
    mark: &'a str,
    /// What may be the runtime's own words, and not the command's: known when its code is.
    refusal: Vec<u8>,
    on_output: &'a mut (dyn FnMut(Channel, &[u8]) + Send),
}

impl Talk<'_> {
    /// Passes both ways until the streams end, the command ends, or it is to be stopped.
    async fn until_stopped(
        &mut self,
        feed: impl Future<Output = ()>,
        deadline: Option<Instant>,
        mut cancel: Option<oneshot::Receiver<()>>,
    ) -> Result<Stop, ExecError> {
        let mut giving = pin!(feed);
        let mut all_given = false;
        let mut idle = pin!(sleep(IDLE));
        loop {
            let time_is_up = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let cancelled = async {
                match &mut cancel {
                    Some(cancel) => cancel.await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                piece = self.output.next() => {
                    if !self.take(piece)? {
                        return Ok(Stop::Ended);
                    }
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
                () = &mut giving, if !all_given => all_given = true,
                () = time_is_up => return Ok(Stop::TimedOut),
                told = cancelled => {
                    if told {
                        return Ok(Stop::Cancelled);
                    }
                    cancel = None;
                }
                () = &mut idle => {
                    // A child in the background can hold the streams of a command that has ended.
                    if self.has_ended().await {
                        return Ok(Stop::Ended);
                    }
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
            }
        }
    }

    async fn has_ended(&self) -> bool {
        let seen = self.engine.docker.inspect_exec(self.exec_id).await;
        seen.is_ok_and(|seen| seen.running == Some(false) && seen.exit_code.is_some())
    }

    /// Reads on while the command is being killed.
    async fn killing(
        &mut self,
        kill: impl Future<Output = kill::Killed>,
    ) -> Result<kill::Killed, ExecError> {
        let mut killing = pin!(kill);
        let mut report = None;
        let mut ended = false;
        let mut last_words = Instant::now();
        loop {
            tokio::select! {
                piece = self.output.next(), if !ended => {
                    // A stream that breaks now ends the output, and nothing else.
                    ended = !matches!(&piece, Some(Ok(_))) || !self.take(piece)?;
                }
                done = &mut killing, if report.is_none() => {
                    report = Some(done);
                    last_words = Instant::now() + LAST_WORDS;
                }
                () = sleep_until(last_words), if report.is_some() => ended = true,
            }
            if ended && let Some(report) = report.take() {
                return Ok(report);
            }
        }
    }

    /// Whether there is more to come.
    fn take(
        &mut self,
        piece: Option<Result<LogOutput, bollard::errors::Error>>,
    ) -> Result<bool, ExecError> {
        let name = || self.name.to_owned();
        let piece = match piece {
            None => return Ok(false),
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                return Err(ExecError::Lost {
                    name: name(),
                    fault: Box::new(error.into()),
                });
            }
        };
        let (channel, bytes) = match piece {
            LogOutput::StdErr { message } => (Channel::Stderr, message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => (Channel::Stdout, message),
        };
        let is_first = self.stdout.seen() == 0 && self.refusal.len() < 16 << 10;
        if channel == Channel::Stdout
            && is_first
            && (!self.refusal.is_empty() || bytes.starts_with(REFUSED.as_bytes()))
        {
            self.refusal.extend_from_slice(&bytes);
            return Ok(true);
        }
        self.not_refused()?;
        self.keep(channel, &bytes)?;
        Ok(true)
    }

    /// Gives out what was held back.
    fn not_refused(&mut self) -> Result<(), ExecError> {
        if self.refusal.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.refusal);
        self.keep(Channel::Stdout, &held)
    }

    fn keep(&mut self, channel: Channel, bytes: &[u8]) -> Result<(), ExecError> {
        (self.on_output)(channel, bytes);
        let kept = match channel {
            Channel::Stdout => self.stdout.push(bytes, &format!("{}.stdout", self.mark)),
            Channel::Stderr => self.stderr.push(bytes, &format!("{}.stderr", self.mark)),
        };
        let name = self.name;
        kept.map_err(|source| ExecError::Spill {
            name: name.to_owned(),
            source,
        })
    }
}

/// How long streams may be silent before the engine is asked whether the command has ended.
const IDLE: Duration = Duration::from_millis(500);

/// Gives a command what it is to read. That it does not want it is no error.
async fn feed(stdin: Stdin, mut input: Pin<Box<dyn AsyncWrite + Send>>) {
    match stdin {
        Stdin::Empty => {
            // Kept open: some engines end the whole conversation when it is closed.
            std::future::pending::<()>().await;
        }
        Stdin::Bytes(bytes) => {
            if input.write_all(&bytes).await.is_err() {
                return;
            }
        }
        Stdin::Reader(mut reader) => {
            let mut buffer = vec![0; 64 << 10];
            loop {
                match reader.read(&mut buffer).await {
                    Ok(count) if count > 0 => {
                        let written = input.write_all(&buffer[..count]).await;
                        if written.is_err() || input.flush().await.is_err() {
                            return;
                        }
                    }
                    _ => break,
                }
            }
        }
    }
    // The end is told by closing; where nobody listens any more there is nobody to tell.
    input.shutdown().await.ok();
    std::future::pending::<()>().await;
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
            && process.arguments.as_deref() == Some(&["connect".to_owned()])
    })
}
