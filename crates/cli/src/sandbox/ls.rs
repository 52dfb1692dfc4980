//! `talaria sandbox ls`, `inspect`, `rm` and `reap`.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use sandbox_core::inspect::ContainerState;
use sandbox_core::limits::Size;
use sandbox_core::reap::Rules;
use sandbox_core::{Lease, Owner, labels, text};
use sandbox_engine::{Engine, Listed, Reaping, Sandbox};
use serde_json::json;

use super::args::{Inspect, Ls, Reap, Rm};
use super::failure::{Failure, Result};
use super::print::to_json;
use super::{caller, connect};
use crate::exit::Outcome;
use crate::output;

/// The sandbox with that name, id, task, or beginning of a name or id.
pub(super) async fn find(engine: &Engine, owner: &Owner, name: &str) -> Result<Sandbox> {
    let listed = engine.list(owner, true).await?;
    let exact = |one: &&Listed| one.name == name || one.id == name;
    let task = |one: &&Listed| one.own && one.task == name;
    let begins = |one: &&Listed| {
        let short = one.name.strip_prefix("talaria-").unwrap_or(&one.name);
        name.len() >= 4
            && [&one.name, short, &one.id]
                .iter()
                .any(|known| known.starts_with(name))
    };
    let choices: [&dyn Fn(&&Listed) -> bool; 3] = [&exact, &task, &begins];
    for choice in choices {
        let found: Vec<_> = listed.iter().filter(choice).collect();
        match found[..] {
            [] => {}
            [one] => return Ok(engine.handle(one)),
            _ => {
                return Err(Failure::Ambiguous {
                    name: name.to_owned(),
                    found: found.into_iter().map(|one| one.name.clone()).collect(),
                });
            }
        }
    }
    let name = name.to_owned();
    Err(Failure::NoSandbox { name })
}

pub(super) fn word(state: &ContainerState) -> String {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Other(word) => return text::line(word.as_bytes()),
    }
    .to_owned()
}

pub(super) async fn list(engine: Option<&str>, list: &Ls) -> Result<Outcome> {
    let engine = connect(engine).await?;
    let found = engine.list(&caller::owner()?, list.all).await?;
    if list.json {
        let values: Vec<_> = found
            .iter()
            .map(|one| {
                json!({
                    "name": one.name, "id": one.id, "task": one.task, "profile": one.profile,
                    "image": one.image, "state": word(&one.state), "created": one.created,
                    "own": one.own, "persistent": one.persistent, "modified": one.modified,
                    "lease_seconds": one.lease.map(Lease::seconds),
                })
            })
            .collect();
        to_json(&values)?;
        return Ok(Outcome::Done);
    }
    let safe = |text: &str| text::line(text.as_bytes());
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            let mut remarks = Vec::new();
            if one.persistent {
                remarks.push("persistent");
            }
            if one.modified {
                remarks.push("modified by extra args");
            }
            if !one.own {
                remarks.push("another owner's");
            }
            vec![
                safe(&one.task),
                safe(&one.profile),
                safe(&one.name),
                word(&one.state),
                safe(&one.status),
                one.lease
                    .map_or_else(|| "-".to_owned(), |lease| lease.to_string()),
                safe(&one.image),
                if remarks.is_empty() {
                    "-".to_owned()
                } else {
                    remarks.join(", ")
                },
            ]
        })
        .collect();
    let header = [
        "TASK", "PROFILE", "NAME", "STATE", "STATUS", "LEASE", "IMAGE", "REMARKS",
    ];
    output::styled_rows(&header, &rows, style)?;
    Ok(Outcome::Done)
}

fn style(cell: &str) -> Style {
    match cell {
        "running" => AnsiColor::Green.on_default(),
        "dead" | "modified by extra args" => AnsiColor::Red.on_default(),
        "created" | "paused" | "removing" | "restarting" => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

pub(super) async fn inspect(engine: Option<&str>, inspect: &Inspect) -> Result<Outcome> {
    let engine = connect(engine).await?;
    let sandbox = find(&engine, &caller::owner()?, &inspect.sandbox).await?;
    let found = sandbox.inspect().await?;
    if inspect.json {
        to_json(&found)?;
        return Ok(Outcome::Done);
    }
    let busy = sandbox.is_busy().await?;
    let value = serde_json::to_value(&found)?;
    let at = |pointer: &str| match value.pointer(pointer) {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(serde_json::Value::Array(words)) => {
            let words: Vec<_> = words.iter().filter_map(serde_json::Value::as_str).collect();
            text::line(words.join(", ").as_bytes())
        }
        Some(serde_json::Value::String(text)) => text::line(text.as_bytes()),
        Some(other) => text::line(other.to_string().as_bytes()),
    };
    let label = |key: &str| at(&format!("/Config/Labels/{key}"));
    let memory = value
        .pointer("/HostConfig/Memory")
        .and_then(serde_json::Value::as_u64)
        .filter(|bytes| *bytes != 0)
        .map_or_else(
            || "-".to_owned(),
            |bytes| Size::from_bytes(bytes).to_string(),
        );
    let rows = [
        ("Name:", sandbox.name().to_owned()),
        ("Id:", at("/Id")),
        ("Task:", label(labels::TASK)),
        ("Profile:", label(labels::PROFILE)),
        ("Image:", at("/Config/Image")),
        ("State:", at("/State/Status")),
        ("Started:", at("/State/StartedAt")),
        ("Lease:", lease(&label(labels::LEASE), left(&sandbox).await)),
        (
            "Runs a command:",
            if busy { "yes" } else { "no" }.to_owned(),
        ),
        ("User:", at("/Config/User")),
        ("Network:", at("/HostConfig/NetworkMode")),
        ("Memory:", memory),
        ("Processes:", at("/HostConfig/PidsLimit")),
        ("Capabilities:", at("/HostConfig/CapAdd")),
    ];
    for (name, value) in rows {
        output::line(format!("{name:<16} {value}"))?;
    }
    Ok(Outcome::Done)
}

/// What is left of a sandbox's lease, where its agent says so soon.
async fn left(sandbox: &Sandbox) -> Option<Duration> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let ask = async {
        let status = sandbox.agent_client().await.ok()?.status().await.ok()?;
        status.lease_left_ms.map(Duration::from_millis)
    };
    tokio::time::timeout(PATIENCE, ask).await.ok().flatten()
}

fn lease(seconds: &str, left: Option<Duration>) -> String {
    match (seconds.parse::<Lease>(), left) {
        (Ok(lease), Some(left)) if lease != Lease::None => {
            format!("{lease}, {} left", Lease::from_secs(left.as_secs().max(1)))
        }
        (Ok(lease), _) => lease.to_string(),
        (Err(_), _) => "-".to_owned(),
    }
}

pub(super) async fn remove(engine: Option<&str>, remove: &Rm) -> Result<Outcome> {
    let engine = connect(engine).await?;
    let owner = caller::owner()?;
    let mut outcomes = Vec::new();
    let mut found = Vec::new();
    if remove.all {
        let listed = engine.list(&owner, false).await?;
        found.extend(listed.iter().map(|one| engine.handle(one)));
    }
    for name in &remove.sandboxes {
        match find(&engine, &owner, name).await {
            Ok(sandbox) => found.push(sandbox),
            // A whole name: whoever gives it wants it gone, and it is.
            Err(Failure::NoSandbox { name }) if is_whole(&name) => {}
            Err(failure) => {
                failure.print();
                outcomes.push(failure.outcome());
            }
        }
    }
    for sandbox in found {
        let name = sandbox.name().to_owned();
        match remove_one(sandbox, remove.force).await {
            Ok(()) => output::line(format!("{name} removed"))?,
            Err(failure) => {
                failure.print();
                outcomes.push(failure.outcome());
            }
        }
    }
    Ok(Outcome::of_all(outcomes))
}

fn is_whole(name: &str) -> bool {
    let digits = name.strip_prefix("talaria-").unwrap_or_default();
    digits.len() == 24 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn remove_one(sandbox: Sandbox, force: bool) -> Result<()> {
    if !force {
        match sandbox.is_busy().await {
            Ok(false) => {}
            Ok(true) => {
                let name = sandbox.name().to_owned();
                return Err(Failure::Busy { name });
            }
            Err(error) if error.fault.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sandbox.remove().await?)
}

pub(super) async fn reap(engine: Option<&str>, reap: &Reap) -> Result<Outcome> {
    let engine = connect(engine).await?;
    let age = reap.older_than.0.as_secs();
    let rules = Rules {
        profile: reap.profile.clone(),
        stopped_for: age,
        created_for: age,
        silent_for: reap.silent_for.0.as_secs(),
    };
    let reaped = engine.reap(&caller::owner()?, &rules, reap.dry_run).await?;
    let mut failed = false;
    let mut rows = Vec::new();
    for one in reaped {
        let (what, why) = match one.what {
            Reaping::Kept(why) => ("kept", format!("{why:?}")),
            Reaping::Removed(why) => ("removed", format!("{why:?}")),
            Reaping::Gone => ("gone", String::new()),
            Reaping::Failed(error) => {
                failed = true;
                let why = format!("{error}: {}", error.fault);
                ("failed", why)
            }
        };
        rows.push((one.name, one.task, what, why));
    }
    if reap.json {
        let values: Vec<_> = rows
            .iter()
            .map(|(name, task, what, why)| json!({"name": name, "task": task, "what": what, "why": why}))
            .collect();
        to_json(&values)?;
    } else {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(name, task, what, why)| {
                let safe = |text: &str| text::line(text.as_bytes());
                vec![safe(&name), safe(&task), what.to_owned(), safe(&why)]
            })
            .collect();
        output::rows(&["NAME", "TASK", "WHAT", "WHY"], &rows)?;
    }
    if failed {
        Err(Failure::Partly)
    } else {
        Ok(Outcome::Done)
    }
}
