//! `talaria sandbox shell`, `session`, `jobs`, `logs` and `kill`: what only an agent offers.

use std::time::Duration;

use sandbox_core::text;
use sandbox_engine::client::wire::{Counts, End, Follow, JobInfo, JobState, RunSpec, SessionSpec};
use serde_json::json;

use super::args::{Jobs, Kill, Logs, Session, SessionCommand, Shell};
use super::attach::{self, Lent};
use super::failure::Result;
use super::print::to_json;
use super::reach::Way;
use crate::exit::Outcome;
use crate::output;

/// What a shell is where none is named: bash where there is one, as a login shell.
const SHELL: &str = "command -v bash >/dev/null && exec bash -l || exec sh -l";

pub(super) async fn shell(way: Way<'_>, shell: Shell) -> Result<Outcome> {
    let client = way.agent(&shell.sandbox).await?;
    let mut spec = RunSpec::shell(SHELL);
    spec.cwd = shell.workdir.as_deref().map(Into::into);
    spec.user = shell.user;
    let lent = Lent {
        input: true,
        terminal: true,
    };
    attach::run(&client, spec, lent).await
}

pub(super) async fn session(way: Way<'_>, session: &Session) -> Result<Outcome> {
    match &session.command {
        SessionCommand::Open {
            sandbox,
            workdir,
            user,
        } => {
            let client = way.agent(sandbox).await?;
            let spec = SessionSpec {
                cwd: workdir.as_deref().map(Into::into),
                env: Vec::new(),
                user: user.clone(),
                login: true,
            };
            anstream::println!("{}", client.open_session(&spec).await?);
        }
        SessionCommand::Close { sandbox, session } => {
            let client = way.agent(sandbox).await?;
            client.close_session(*session).await?;
        }
        SessionCommand::Ls { sandbox, json } => {
            let client = way.agent(sandbox).await?;
            let sessions = client.sessions().await?;
            if *json {
                let values: Vec<_> = sessions
                    .iter()
                    .map(|one| {
                        json!({
                            "session": one.session, "uid": one.uid, "busy": one.busy,
                            "cwd": String::from_utf8_lossy(&one.cwd.0), "commands": one.commands,
                        })
                    })
                    .collect();
                to_json(&values)?;
                return Ok(Outcome::Done);
            }
            let rows: Vec<_> = sessions
                .iter()
                .map(|one| {
                    vec![
                        one.session.to_string(),
                        one.uid.to_string(),
                        if one.busy { "yes" } else { "no" }.to_owned(),
                        one.commands.to_string(),
                        text::line(&one.cwd.0),
                    ]
                })
                .collect();
            output::rows(&["SESSION", "UID", "BUSY", "COMMANDS", "CWD"], &rows)?;
        }
    }
    Ok(Outcome::Done)
}

pub(super) async fn jobs(way: Way<'_>, jobs: &Jobs) -> Result<Outcome> {
    let client = way.agent(&jobs.sandbox).await?;
    let found = client.jobs().await?;
    if jobs.json {
        let values: Vec<_> = found.iter().map(job_json).collect();
        to_json(&values)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> = found
        .iter()
        .map(|job| {
            let time = Duration::from_micros(job.duration_us);
            vec![
                job.job.to_string(),
                state(job.state),
                format!("{:.1} s", time.as_secs_f64()),
                job.pid.to_string(),
                (job.stdout.seen + job.stderr.seen).to_string(),
                text::line(&job.command.0),
            ]
        })
        .collect();
    output::rows(&["JOB", "STATE", "TIME", "PID", "BYTES", "COMMAND"], &rows)?;
    Ok(Outcome::Done)
}

fn state(state: JobState) -> String {
    match state {
        JobState::Running => "running".to_owned(),
        JobState::Ended(End::Exited(code)) => format!("exited {code}"),
        JobState::Ended(End::Signalled(signal)) => format!("signal {signal}"),
    }
}

fn job_json(job: &JobInfo) -> serde_json::Value {
    let (exit_code, signal) = match job.state {
        JobState::Running => (None, None),
        JobState::Ended(End::Exited(code)) => (Some(code), None),
        JobState::Ended(End::Signalled(signal)) => (None, Some(signal)),
    };
    let stream = |counts: &Counts| json!({"bytes": counts.seen, "dropped": counts.dropped});
    json!({
        "job": job.job, "pid": job.pid, "running": job.state == JobState::Running,
        "exit_code": exit_code, "signal": signal, "duration_ms": job.duration_us / 1000,
        "command": String::from_utf8_lossy(&job.command.0),
        "stdout": stream(&job.stdout), "stderr": stream(&job.stderr),
    })
}

pub(super) async fn logs(way: Way<'_>, logs: &Logs) -> Result<Outcome> {
    let client = way.agent(&logs.sandbox).await?;
    let follow = Follow {
        job: logs.job,
        from_start: !logs.new,
        wait: logs.follow,
    };
    let mut running = client.follow_job(follow)?;
    let outcome = attach::watch(&mut running).await?;
    Ok(if logs.follow { outcome } else { Outcome::Done })
}

pub(super) async fn kill(way: Way<'_>, kill: &Kill) -> Result<Outcome> {
    let client = way.agent(&kill.sandbox).await?;
    if let Some(signal) = kill.signal {
        client.signal_job(kill.job, signal).await?;
    } else {
        let count = client.kill_job(kill.job).await?;
        anstream::eprintln!("talaria: killed {count} processes");
    }
    if kill.rm {
        client.remove_job(kill.job).await?;
    }
    Ok(Outcome::Done)
}
