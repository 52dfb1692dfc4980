//! A service's state as JSON.

use s6_svc::{Exit, Phase, Report, Tai64n, Want};
use serde::Serialize;

use super::Failure;
use crate::output;

/// Prints services.
pub(crate) fn print(services: &[Service]) -> Result<(), Failure> {
    Ok(output::line(serde_json::to_string_pretty(services)?)?)
}

/// One service. What does not apply is null.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    #[serde(rename = "service")]
    pub(crate) name: String,
    pub(crate) supervised: bool,
    pub(crate) phase: Option<&'static str>,
    pub(crate) pid: Option<u32>,
    pub(crate) ready: Option<bool>,
    pub(crate) want: Option<&'static str>,
    pub(crate) normally_up: Option<bool>,
    pub(crate) paused: Option<bool>,
    pub(crate) exit_code: Option<u8>,
    pub(crate) exit_signal: Option<u8>,
    /// TAI64N.
    pub(crate) since: Option<String>,
    pub(crate) seconds: Option<u64>,
}

impl Service {
    pub(crate) fn unsupervised(name: String) -> Self {
        Self {
            name,
            supervised: false,
            phase: None,
            pid: None,
            ready: None,
            want: None,
            normally_up: None,
            paused: None,
            exit_code: None,
            exit_signal: None,
            since: None,
            seconds: None,
        }
    }

    pub(crate) fn supervised(name: String, report: &Report, now: Tai64n) -> Self {
        let status = &report.status;
        let (exit_code, exit_signal) = match status.exit() {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        Self {
            name,
            supervised: true,
            phase: Some(phase(status.phase())),
            pid: status.pid(),
            ready: Some(status.is_ready()),
            want: Some(match status.want() {
                Want::Up => "up",
                Want::Down => "down",
            }),
            normally_up: Some(report.normally_up),
            paused: Some(status.is_paused()),
            exit_code,
            exit_signal,
            since: Some(status.since().to_string()),
            seconds: Some(now.saturating_duration_since(status.since()).as_secs()),
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::NeverStarted => "never-started",
        Phase::Down => "down",
        Phase::Up { .. } => "up",
        Phase::Finishing { .. } => "finishing",
        _ => "unknown",
    }
}
