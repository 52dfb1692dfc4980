//! The conversation with a command: its streams, until it ends or is to be stopped.

use std::pin::{Pin, pin};
use std::time::Duration;

use bollard::container::LogOutput;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::refusal::REFUSED;
use super::{Channel, ExecError, Stdin};
use crate::capture::Capture;
use crate::connect::Engine;
use crate::kill;

/// After a command was killed, how long its streams may take to end.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Ended,
    TimedOut,
    Cancelled,
}

/// The conversation with one command.
pub(super) struct Talk<'a> {
    pub(super) engine: &'a Engine,
    pub(super) name: &'a str,
    pub(super) exec_id: &'a str,
    pub(super) output: Pieces,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
    pub(super) mark: &'a str,
    /// What may be the runtime's own words, and not the command's: known when its code is.
    pub(super) refusal: Vec<u8>,
    pub(super) on_output: &'a mut (dyn FnMut(Channel, &[u8]) + Send),
}

impl Talk<'_> {
    /// Passes both ways until the streams end, the command ends, or it is to be stopped.
    pub(super) async fn until_stopped(
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
    pub(super) async fn killing(
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
    pub(super) fn not_refused(&mut self) -> Result<(), ExecError> {
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
pub(super) async fn feed(stdin: Stdin, mut input: Pin<Box<dyn AsyncWrite + Send>>) {
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
