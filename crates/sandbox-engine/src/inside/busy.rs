//! Whether a sandbox is in use.

use std::time::{Duration, Instant};

use sandbox_core::inspect::Inspected;
use sandbox_core::reap::AgentSays;
use sandbox_core::reuse::Busy;
use tokio::time::timeout;

use crate::connect::Engine;
use crate::error::RequestError;

/// How long an agent may take to say how it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait before an agent that cannot be spoken to is asked again.
const BREATH: Duration = Duration::from_millis(500);

/// Whether commands run in a container, through the engine or through its agent.
pub(crate) async fn busy(
    engine: &Engine,
    seen: &Inspected,
    name: &str,
    agent: Option<&str>,
) -> Result<Busy, RequestError> {
    let commands = crate::exec::running(engine, &seen.exec_ids).await?;
    if commands > 0 || agent.is_none() || seen.state.status != "running" {
        return Ok(match commands {
            0 => Busy::Idle,
            count => Busy::Running(count),
        });
    }
    Ok(match says(engine, &seen.id, name, agent, PATIENCE).await {
        AgentSays::Here { busy, .. } => busy,
        _ => Busy::Unknown,
    })
}

/// What the agent of a running container has to say, asked until it does or `patience` is over.
pub(crate) async fn says(
    engine: &Engine,
    id: &str,
    name: &str,
    agent: Option<&str>,
    patience: Duration,
) -> AgentSays {
    let begun = Instant::now();
    let ask = async {
        loop {
            // One that has just started, or is gone for good, refuses at once.
            if let Ok(client) = engine.agent_client(id, name, agent).await
                && let Ok(status) = client.status().await
            {
                return status;
            }
            tokio::time::sleep(BREATH).await;
        }
    };
    match timeout(patience, ask).await {
        Err(_) => AgentSays::Silent(begun.elapsed().as_secs()),
        Ok(status) => {
            let running = status.commands.saturating_add(status.jobs);
            let left = status.lease_left_ms.map_or(0, |left| left / 1000);
            AgentSays::Here {
                busy: match running {
                    0 => Busy::Idle,
                    count => Busy::Running(count),
                },
                idle: u64::from(status.lease_secs).saturating_sub(left),
            }
        }
    }
}
