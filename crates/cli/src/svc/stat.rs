//! `talaria svc stat`.

use s6_svc::{Exit, Phase, Report, Scandir, Signal, Tai64n, Want};

use super::json::Service;
use super::{Failure, Result, one};
use crate::cli::Stat;
use crate::output;

pub(crate) fn run(scandir: &Scandir, stat: &Stat) -> Result {
    let now = Tai64n::now();
    let (mut failures, mut services) = (Vec::new(), Vec::new());
    for target in &stat.services {
        let service = target.service(scandir);
        match Report::of(&service) {
            Ok(report) if stat.json => {
                services.push(Service::supervised(text(&service), &report, now));
            }
            Ok(report) if stat.output.is_empty() => {
                let line = format!("{}: {}", text(&service), describe(&report, now));
                output::line(line).map_err(one)?;
            }
            Ok(report) => {
                let fields = stat.output.iter().map(|field| report.field(*field, now));
                output::line(fields.collect::<Vec<_>>().join(" ")).map_err(one)?;
            }
            Err(error) => {
                if stat.json && matches!(error, s6_svc::StatusError::NotSupervised { .. }) {
                    services.push(Service::unsupervised(text(&service)));
                }
                failures.push(Failure::from(error));
            }
        }
    }
    if stat.json {
        failures.extend(super::json::print(&services).err());
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}

fn text(service: &s6_svc::ServiceDir) -> String {
    service.path().display().to_string()
}

/// A sentence for people: `up (pid 42) for 3 seconds, ready, normally down`.
pub(crate) fn describe(report: &Report, now: Tai64n) -> String {
    let status = &report.status;
    let mut parts = Vec::new();
    let seconds = now.saturating_duration_since(status.since()).as_secs();
    let state = match (status.phase(), status.exit()) {
        (Phase::NeverStarted, _) => "not started yet".to_owned(),
        (Phase::Up { pid, .. }, _) => format!("up (pid {pid})"),
        (phase, Some(Exit::Code(code))) => format!("{} (exit code {code})", word(phase)),
        (phase, Some(Exit::Signal(signal))) => format!("{} ({})", word(phase), Signal(signal)),
        (phase, None) => word(phase).to_owned(),
    };
    parts.push(format!("{state} for {seconds} seconds"));
    if status.is_ready() {
        parts.push("ready".to_owned());
    }
    if status.is_paused() {
        parts.push("paused".to_owned());
    }
    match (status.is_up(), status.want()) {
        (true, Want::Down) => parts.push("wanted down".to_owned()),
        (false, Want::Up) => parts.push("wanted up".to_owned()),
        _ => {}
    }
    match (status.is_up(), report.normally_up) {
        (true, false) => parts.push("normally down".to_owned()),
        (false, true) => parts.push("normally up".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Finishing { .. } => "finishing",
        _ => "down",
    }
}
