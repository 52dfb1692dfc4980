//! `talaria sandbox verify`.

use sandbox_core::posture::{Held, table};
use sandbox_core::text;
use sandbox_engine::{Agent, SandboxError, Verified};
use serde_json::json;

use super::args::Verify;
use super::command::carried;
use super::failure::{Failure, Result};
use super::print::to_json;
use super::{caller, connect, ls};
use crate::exit::Outcome;
use crate::output;

pub(super) async fn run(engine: Option<&str>, verify: Verify) -> Result<Outcome> {
    let (name, verified) = if let Some(name) = &verify.sandbox {
        let engine = connect(engine).await?;
        let sandbox = ls::find(&engine, &caller::owner()?, name).await?;
        (sandbox.name().to_owned(), sandbox.verify().await?)
    } else {
        let spec = verify.spec.read()?;
        let engine = connect(engine).await?;
        let name = spec.identity.container_name();
        let agent = if verify.no_agent {
            Agent::None
        } else {
            carried()
        };
        let verified = Box::pin(engine.verify(&spec, &agent)).await;
        let verified = verified.map_err(|error| match error {
            SandboxError::Request(error) if error.fault.is_not_found() => {
                Failure::NoSandbox { name: name.clone() }
            }
            error => error.into(),
        })?;
        (name, verified)
    };
    if verify.json {
        let unenforced = verified.plan.as_ref().map(|plan| &plan.unenforced);
        to_json(&json!({
            "sandbox": name,
            "good": verified.is_good(),
            "differences": verified.differences,
            "findings": verified.findings,
            "unasked": verified.unasked,
            "unenforced": unenforced.into_iter().flatten().collect::<Vec<_>>(),
        }))?;
    } else {
        print(&name, &verified)?;
    }
    if verified.is_good() {
        return Ok(Outcome::Done);
    }
    let differences = verified.differences.iter().map(|one| one.field.clone());
    let fallen = verified.fallen().map(|one| one.probe.to_string());
    let all: Vec<_> = differences.chain(fallen).collect();
    Err(Failure::NotAsPlanned {
        name,
        differences: all.join(", "),
    })
}

fn print(name: &str, verified: &Verified) -> Result<()> {
    let safe = |line: String| output::line(text::line(line.as_bytes()));
    for one in verified.plan.iter().flat_map(|plan| &plan.unenforced) {
        safe(format!(
            "{}: {} is not enforced: {}",
            one.field, one.wanted, one.why
        ))?;
    }
    for one in &verified.differences {
        safe(format!(
            "{} is {} and not {}",
            one.field, one.found, one.wanted
        ))?;
    }
    for line in table(&verified.findings).lines() {
        output::line(line)?;
    }
    let count = |held: fn(&Held) -> bool| {
        let findings = verified.findings.iter();
        findings.filter(|one| held(&one.held)).count()
    };
    if let Some(why) = &verified.unasked {
        safe(format!("nobody inside was asked: {why}"))?;
        output::line(
            "hint: the agent inside is asked what only the inside knows: run the sandbox, and without \
             --no-agent",
        )?;
    }
    safe(format!(
        "{name}: {} held, {} not held, {} unknown",
        count(|held| *held == Held::Yes),
        count(|held| *held == Held::No),
        count(|held| matches!(held, Held::Unknown { .. })),
    ))?;
    Ok(())
}
