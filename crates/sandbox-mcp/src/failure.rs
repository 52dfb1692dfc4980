//! What goes wrong, told to a model: what happened, and what to do next.

use std::error::Error;
use std::fmt::Write as _;

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use sandbox_core::text;
use sandbox_engine::client::wire::{Failed, Failure as Kind};
use sandbox_engine::client::{CallError, Lost};
use sandbox_engine::{AgentError, Retry};
use serde::Serialize;

/// A call that came to nothing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// One word for the kind.
    error: &'static str,
    /// What happened.
    message: String,
    /// What to do.
    next: String,
    /// What else happened that the caller has to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// What only the one who set the server up can do something about.
const OPERATOR: &str = "This cannot be mended from here. Tell the user";

impl Failure {
    pub(crate) fn new(
        error: &'static str,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            error,
            message: message.into(),
            next: next.into(),
            notice: None,
        }
    }

    /// The arguments cannot be.
    pub(crate) fn arguments(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new("bad_arguments", message, next)
    }

    /// It was cancelled. Nobody reads this.
    pub(crate) fn cancelled() -> Self {
        Self::new("cancelled", "the call was cancelled", "")
    }

    /// The kind.
    pub(crate) fn kind(&self) -> &'static str {
        self.error
    }

    pub(crate) fn noticing(mut self, notice: Option<String>) -> Self {
        self.notice = self.notice.or(notice);
        self
    }

    /// The sandbox cannot be had.
    pub(crate) fn sandbox(error: &sandbox_engine::Error) -> Self {
        let next = match error.retry() {
            Retry::Yes => "Nothing was run. Call again.".to_owned(),
            Retry::After(time) => format!(
                "Nothing was run. Call again after {} s.",
                time.as_secs().max(1)
            ),
            Retry::No => match error.hint() {
                Some(hint) => format!("Nothing was run. {OPERATOR}; a hint for them: {hint}"),
                None => format!("Nothing was run. {OPERATOR}."),
            },
        };
        Self::new("sandbox_unavailable", told(error), next)
    }

    /// The agent in it cannot be spoken to.
    pub(crate) fn agent(error: &AgentError) -> Self {
        let next = match error.hint() {
            Some(hint) => {
                format!(
                    "Nothing was run. Call again; where that does not help, tell the user: {hint}"
                )
            }
            None => "Nothing was run. Call again.".to_owned(),
        };
        Self::new("sandbox_unavailable", told(error), next)
    }

    /// The agent refused something, or was lost. `what` was asked for, in words.
    pub(crate) fn call(what: &str, error: &CallError) -> Self {
        match error {
            CallError::Failed(failed) => Self::refused(what, failed),
            CallError::Lost(lost) => Self::lost(what, lost),
            CallError::Overdue(_) => Self::new(
                "lost",
                format!("cannot {what}: {}", told(error)),
                "It may have been carried out, in whole or in part: look at its effects before you \
                 repeat it.",
            ),
            CallError::TooLong { .. } => Self::arguments(
                format!("cannot {what}: {}", told(error)),
                "Send less at once: write large content with write_file in pieces, or make it in \
                 the sandbox.",
            ),
            CallError::TooMany => Self::new(
                "busy",
                format!("cannot {what}: {}", told(error)),
                "Wait until other calls have ended, then call again.",
            ),
            _ => Self::new(
                "agent",
                format!("cannot {what}: {}", told(error)),
                "Call again; where that does not help, tell the user.",
            ),
        }
    }

    fn lost(what: &str, lost: &Lost) -> Self {
        Self::new(
            "lost",
            format!(
                "the sandbox was lost while trying to {what}: {}",
                told(lost)
            ),
            "It may have been carried out, in whole or in part, and is not tried again by itself. \
             The next call gets the sandbox again and tells whether its state was lost; look at \
             what has been done before you repeat it.",
        )
    }

    fn refused(what: &str, failed: &Failed) -> Self {
        let (error, next) = match failed.failure {
            Kind::Invalid => ("bad_arguments", "Change the arguments as the message says."),
            Kind::NotFound => (
                "not_found",
                "Look at what is there: list_directory for files, job_list for jobs, status for \
                 sessions.",
            ),
            Kind::CannotRun => (
                "cannot_run",
                "The program is not in the sandbox's image or cannot be executed.",
            ),
            Kind::NoProcessLeft => (
                "no_process_left",
                "The sandbox has as many processes as it may have: end some with job_kill or \
                 session_close, then call again.",
            ),
            Kind::NoShell => (
                "no_shell",
                "The image has no shell that can do this. Sessions need bash; run_command needs \
                 bash or sh.",
            ),
            Kind::Directory => (
                "no_directory",
                "Create the directory first, or give another cwd.",
            ),
            Kind::TooMany => (
                "too_many",
                "Close sessions with session_close or forget jobs with job_kill, then call again.",
            ),
            Kind::Busy => (
                "busy",
                "The session runs another command. Wait for it, or use another session name.",
            ),
            Kind::Exists => (
                "exists",
                "Give overwrite or expected_sha256 to replace it, or another path.",
            ),
            Kind::Denied => (
                "denied",
                "The sandbox's user may not do that there. Use another path, such as one below \
                 /workspace or /tmp.",
            ),
            Kind::Ending => (
                "ending",
                "The sandbox is ending. Nothing was run. Call again: a new one is got.",
            ),
            Kind::Cancelled => ("cancelled", "Call again if it is still needed."),
            Kind::User | Kind::System | Kind::Version | Kind::Protocol => (
                "system",
                "The message says why; change what it names, or tell the user.",
            ),
        };
        let said = text::line(failed.message.as_bytes());
        Self::new(error, format!("cannot {what}: {said}"), next)
    }
}

/// An error with its causes, on one line.
fn told(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        write!(message, ": {error}").ok();
        source = error.source();
    }
    // An engine's words can hold what a sandbox wrote.
    text::line(message.as_bytes())
}

impl IntoCallToolResult for Failure {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let mut said = format!("{}: {}", self.error, self.message);
        if !self.next.is_empty() {
            said.push_str("\nWhat to do: ");
            said.push_str(&self.next);
        }
        if let Some(notice) = &self.notice {
            said.push_str("\nNotice: ");
            said.push_str(notice);
        }
        let mut result = CallToolResult::error(vec![ContentBlock::text(said)]);
        result.structured_content = serde_json::to_value(&self).ok();
        Ok(result.into())
    }
}
