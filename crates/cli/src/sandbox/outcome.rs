//! The JSON forms.

use sandbox_core::{Captured, End, Via};
use sandbox_engine::{Attached, Ran, Sandbox, Why};
use serde::Serialize;

/// A sandbox, and what came of a command in it.
#[derive(Debug, Serialize)]
pub(super) struct Json<'a> {
    sandbox: &'a str,
    id: Option<&'a str>,
    /// `created`, `reused`, `started`, `recreated`.
    attached: &'static str,
    /// Why it was made anew.
    why: Option<&'static str>,
    lost_state: bool,
    #[serde(flatten)]
    result: Option<CommandResult<'a>>,
}

#[derive(Debug, Serialize)]
struct CommandResult<'a> {
    exit_code: Option<u8>,
    signal: Option<u8>,
    stdout: Stream,
    stderr: Stream,
    timed_out: bool,
    killed: u32,
    survivors: u32,
    duration_ms: u128,
    cwd: Option<&'a str>,
    /// `agent` or `engine-exec`.
    via: &'static str,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct Stream {
    /// What is no UTF-8 is replaced.
    text: String,
    bytes: u64,
    dropped: u64,
}

impl From<&Captured> for Stream {
    fn from(captured: &Captured) -> Self {
        Self {
            text: captured.text(),
            bytes: captured.seen,
            dropped: captured.dropped,
        }
    }
}

impl<'a> Json<'a> {
    /// A sandbox as it was got.
    pub(super) fn sandbox(sandbox: &'a Sandbox) -> Self {
        Self::revived(sandbox, None)
    }

    /// A sandbox that had to be got again, perhaps.
    pub(super) fn revived(sandbox: &'a Sandbox, revived: Option<&Attached>) -> Self {
        let attached = revived.unwrap_or(sandbox.attached());
        let (word, why) = words(attached);
        Self {
            sandbox: sandbox.name(),
            id: Some(sandbox.id()),
            attached: word,
            why,
            lost_state: attached.lost_state(),
            result: None,
        }
    }

    /// A sandbox of which no more than a name was needed.
    pub(super) fn named(name: &'a str) -> Self {
        Self {
            sandbox: name,
            id: None,
            attached: "reused",
            why: None,
            lost_state: false,
            result: None,
        }
    }

    /// With what came of a command.
    pub(super) fn with(mut self, ran: &'a Ran) -> Self {
        self.result = Some(result(ran));
        self
    }
}

fn words(attached: &Attached) -> (&'static str, Option<&'static str>) {
    match attached {
        Attached::Created => ("created", None),
        Attached::Reused => ("reused", None),
        Attached::Started => ("started", None),
        Attached::Recreated { why } => (
            "recreated",
            Some(match why {
                Why::Differs(_) => "differs",
                Why::Vanished => "vanished",
                Why::Broken => "broken",
            }),
        ),
    }
}

fn result(ran: &Ran) -> CommandResult<'_> {
    let outcome = &ran.outcome;
    let (exit_code, signal) = match outcome.end {
        End::Exited(code) => (Some(code), None),
        End::Signalled(signal) => (None, Some(signal)),
    };
    CommandResult {
        exit_code,
        signal,
        stdout: (&outcome.stdout).into(),
        stderr: (&outcome.stderr).into(),
        timed_out: outcome.timed_out,
        killed: outcome.killed,
        survivors: outcome.survivors,
        duration_ms: outcome.duration.as_millis(),
        cwd: outcome.cwd.as_deref(),
        via: match outcome.via {
            Via::Agent => "agent",
            Via::EngineExec => "engine-exec",
        },
        notes: &ran.notes,
    }
}
