//! A command, while it runs.

use std::time::Duration;

use sandbox_agent::wire::{Channel, Ended, RunSpec, ToAgent, ToClient, Window};

use crate::call::{Call, Sender};
use crate::error::{CallError, Lost};

/// How much longer than its own timeout and grace a command may take to end: five seconds for the
/// killing, and as many for the way.
pub const MARGIN: Duration = Duration::from_secs(10);

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It runs, as the process of this id in the sandbox.
    Started(u32),
    /// It wrote this.
    Output(Channel, Vec<u8>),
    /// It ended. Nothing follows.
    Ended(Ended),
}

/// A command that was started. Dropped before its end, it is killed with all its processes.
#[derive(Debug)]
pub struct Running {
    call: Call,
}

/// Everything that a command wrote, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// How it ended.
    pub ended: Ended,
    /// Its stdout, or the beginning of it where the output was captured.
    pub stdout: Vec<u8>,
    /// The end of its stdout, where the output was captured and the beginning is not all.
    pub stdout_tail: Vec<u8>,
    /// As `stdout`.
    pub stderr: Vec<u8>,
    /// As `stdout_tail`.
    pub stderr_tail: Vec<u8>,
}

/// Acts on a command from elsewhere than where its output is read.
#[derive(Debug, Clone)]
pub struct Control(Sender);

impl Control {
    /// Writes to its stdin, as there is room.
    ///
    /// # Errors
    ///
    /// [`Lost`] where the connection is over, or the command.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), Lost> {
        self.0.send_data(Channel::Stdin, bytes).await
    }

    /// Ends its stdin.
    pub fn close_stdin(&self) {
        self.0.send(&ToAgent::Eof(Channel::Stdin));
    }

    /// Sends a signal, by number, to its process group.
    pub fn signal(&self, signal: u8) {
        self.0.send(&ToAgent::Signal(signal));
    }

    /// Tells its terminal the size of ours.
    pub fn resize(&self, window: Window) {
        self.0.send(&ToAgent::Resize(window));
    }

    /// Kills all its processes. Its end still comes, with the output so far.
    pub fn cancel(&self) {
        self.0.send(&ToAgent::Cancel);
    }
}

/// How long a command with these limits may take at most, if there is a limit.
fn patience(spec: &RunSpec) -> Option<Duration> {
    let own = Duration::from_millis(spec.timeout_ms);
    (!own.is_zero()).then(|| own + Duration::from_millis(spec.grace_ms.into()) + MARGIN)
}

impl Running {
    pub(crate) fn new(call: Call, spec: &RunSpec) -> Self {
        let call = match patience(spec) {
            Some(patience) => call.within(patience),
            None => call,
        };
        Self { call }
    }

    pub(crate) fn unlimited(call: Call) -> Self {
        Self { call }
    }

    /// What acts on it while this reads.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.call.sender())
    }

    /// What it does next; [`None`] after its end.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A lost connection tells nothing about whether the command ran.
    pub async fn next(&mut self) -> Result<Option<Event>, CallError> {
        loop {
            return match self.call.next().await? {
                Some(ToClient::Started(pid)) => Ok(Some(Event::Started(pid))),
                Some(ToClient::Data(channel, bytes)) => Ok(Some(Event::Output(channel, bytes))),
                Some(ToClient::Ended(ended)) => Ok(Some(Event::Ended(ended))),
                None | Some(ToClient::Done(_)) => Ok(None),
                Some(ToClient::Eof(_)) => continue,
                Some(_) => Err(CallError::Unexpected),
            };
        }
    }

    /// Waits for its end and keeps what it writes, up to `most` bytes of each stream. What is more
    /// is counted in [`Ended`] and not kept.
    ///
    /// # Errors
    ///
    /// As for [`Running::next`].
    pub async fn collect(mut self, most: usize) -> Result<Collected, CallError> {
        let mut collected = [const { Vec::new() }; 4];
        while let Some(event) = self.next().await? {
            match event {
                Event::Started(_) => {}
                Event::Output(channel, bytes) => {
                    let [stdout, stdout_tail, stderr, stderr_tail] = &mut collected;
                    let kept = match channel {
                        Channel::Stdin => return Err(CallError::Unexpected),
                        Channel::Stdout => stdout,
                        Channel::StdoutTail => stdout_tail,
                        Channel::Stderr => stderr,
                        Channel::StderrTail => stderr_tail,
                    };
                    let room = most.saturating_sub(kept.len()).min(bytes.len());
                    kept.extend_from_slice(&bytes[..room]);
                }
                Event::Ended(ended) => {
                    let [stdout, stdout_tail, stderr, stderr_tail] = collected;
                    return Ok(Collected {
                        ended,
                        stdout,
                        stdout_tail,
                        stderr,
                        stderr_tail,
                    });
                }
            }
        }
        Err(CallError::Unexpected)
    }
}
