//! A command from its start to its end.

use std::time::Duration;

use rmcp::schemars;
use sandbox_engine::client::wire::{Channel, End, Ended, Input, Output, RunSpec, Variable};
use sandbox_engine::client::{CallError, Event};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::call::Call;
use crate::failure::Failure;
use crate::link::Reached;
use crate::output::{Ends, Stream};
use crate::server::Server;

/// How a command ended, as a result tells it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Ending {
    /// Its exit code; null where a signal ended it.
    pub(crate) exit_code: Option<u8>,
    /// The number of the signal that ended it, if one did.
    pub(crate) signal: Option<u8>,
    /// Whether all its processes were killed because its time was over.
    pub(crate) timed_out: bool,
    /// How many of its processes were killed by the sandbox.
    pub(crate) killed: u32,
    /// How many of its processes could not be killed and still run.
    #[serde(skip_serializing_if = "is_none")]
    #[schemars(default)]
    pub(crate) survivors: u32,
    /// How long it took.
    pub(crate) duration_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// The exit code and the signal.
pub(crate) fn code_and_signal(end: End) -> (Option<u8>, Option<u8>) {
    match end {
        End::Exited(code) => (Some(code), None),
        End::Signalled(signal) => (None, Some(signal)),
    }
}

impl From<&Ended> for Ending {
    fn from(ended: &Ended) -> Self {
        let (exit_code, signal) = code_and_signal(ended.end);
        Self {
            exit_code,
            signal,
            timed_out: ended.timed_out,
            killed: ended.killed,
            survivors: ended.survivors,
            duration_ms: ended.duration_us / 1000,
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ended: Ended,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
}

/// How long a command that is killed has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::ZERO;
/// How long a command that was cancelled may take to end before it is left to the agent.
const LAST: Duration = Duration::from_secs(10);

/// Checks variables and gives them the agent's form.
pub(crate) fn variables(
    forward: Vec<Variable>,
    asked: Option<BTreeMap<String, String>>,
) -> Result<Vec<Variable>, Failure> {
    let mut all = forward;
    for (name, value) in asked.into_iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Failure::arguments(
                format!("env has a variable that cannot be: {name:?}"),
                "Names are not empty and hold no '='; neither names nor values hold NUL.",
            ));
        }
        all.push(Variable {
            name: name.into(),
            value: value.into(),
        });
    }
    Ok(all)
}

impl Server {
    /// Runs a command to its end, which comes before `timeout` is over. The call's cancellation kills
    /// it with all its processes.
    pub(crate) async fn run(
        &self,
        reached: &Reached,
        mut spec: RunSpec,
        stdin: Option<String>,
        timeout: Duration,
        call: &mut Call,
    ) -> Result<Finished, CallError> {
        let (head, tail) = self.shared.limits.halves();
        let bytes = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // 0 would be no limit at all.
        spec.timeout_ms = u64::try_from(timeout.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        spec.grace_ms = u32::try_from(GRACE.as_millis()).unwrap_or(u32::MAX);
        if stdin.is_some() {
            spec.input = Input::Stream;
        }
        // Where nobody follows it, the middle of the output never leaves the sandbox.
        spec.output = if call.is_followed() {
            Output::Stream
        } else {
            Output::Capture {
                head: bytes(head),
                tail: bytes(tail),
                spill: 0,
            }
        };
        let mut running = reached.client.run(&spec)?;
        let control = running.control();
        let feeding = async {
            if let Some(text) = stdin {
                // Where the write fails, the command has ended, and says so itself.
                control.write(text.as_bytes()).await.ok();
                control.close_stdin();
            }
        };
        let mut feeding = std::pin::pin!(feeding);
        let mut over = std::pin::pin!(call.until_cancelled());
        let (mut fed, mut cancelled) = (false, false);
        let mut last = std::pin::pin!(tokio::time::sleep(LAST));
        let (mut stdout, mut stderr) = (Ends::new((head, tail)), Ends::new((head, tail)));
        let ended = loop {
            let event = tokio::select! {
                event = running.next() => event?,
                () = &mut feeding, if !fed => {
                    fed = true;
                    continue;
                }
                () = &mut over, if !cancelled => {
                    cancelled = true;
                    running.control().cancel();
                    last.as_mut().reset(tokio::time::Instant::now() + LAST);
                    continue;
                }
                () = &mut last, if cancelled => return Err(CallError::Overdue(LAST)),
                () = call.tick(), if !cancelled => continue,
            };
            match event {
                Some(Event::Output(channel, bytes)) => {
                    call.note(&bytes);
                    match channel {
                        Channel::Stderr | Channel::StderrTail => stderr.push(&bytes),
                        _ => stdout.push(&bytes),
                    }
                }
                Some(Event::Ended(ended)) => break ended,
                Some(_) => {}
                None => return Err(CallError::Unexpected),
            }
        };
        call.settle().await;
        Ok(Finished {
            stdout: stdout.finish(Some(ended.stdout.seen)),
            stderr: stderr.finish(Some(ended.stderr.seen)),
            ended,
        })
    }
}
