//! Starting a container, and telling why it ended where it ends at once.
//!
//! An engine that removes a container when it ends removes its log with it, so its output is
//! listened to from before the start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, EventsOptionsBuilder, StartContainerOptions,
};
use futures_util::StreamExt as _;
use sandbox_core::inspect::ContainerState;
use tokio::time::timeout;

use super::{SandboxError, inspected};
use crate::connect::Engine;
use crate::error::Fault;
use crate::inside::Output;

/// A program that cannot run ends within this.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How long the output of a container that has ended may take to come.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the first process of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The agent. Where it has started it serves, and where it does not, whoever speaks to it hears.
    Agent {
        /// Whether it says where its first client may come to.
        offers: bool,
    },
    /// Anything else, which may end at once.
    Other,
}

/// What has become of a container that was to be started.
pub(crate) enum Started {
    /// It is gone, because another removed it.
    Gone,
    /// It runs. What an agent says that was listened to comes along.
    Runs(Option<Output>),
}

impl Engine {
    /// Starts it and looks whether it runs.
    pub(crate) async fn start(
        &self,
        id: &str,
        name: &str,
        first: First,
    ) -> Result<Started, SandboxError> {
        let output = match first {
            First::Agent { offers: false } => None,
            First::Agent { offers: true } | First::Other => Some(self.listen(id, name).await?),
        };
        let begun = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let started = self
            .docker
            .start_container(id, None::<StartContainerOptions>)
            .await;
        match started.map_err(Fault::from) {
            Ok(()) => {}
            // Being removed is a conflict.
            Err(fault) if fault.is_conflict() => return Ok(Started::Gone),
            Err(fault) if fault.is_not_found() && self.is_gone(id).await? => {
                return Ok(Started::Gone);
            }
            Err(fault) => {
                // It never ran, so nothing is lost with it; what was said of it is in the error.
                if let Fault::Refused { .. } = fault {
                    self.remove(id, name).await?;
                }
                let (name, fault) = (name.to_owned(), Box::new(fault));
                return Err(SandboxError::Start { name, fault });
            }
        }
        let mut output = match (first, output) {
            (First::Other, Some(output)) => output,
            (_, output) => return Ok(Started::Runs(output)),
        };
        let mut log = Vec::new();
        // It runs on where that takes longer; one that ends closes its output.
        timeout(AT_ONCE, read(&mut output, &mut log)).await.ok();
        let found = match self.look(id).await {
            Ok(found) => Some(found),
            Err(error) if error.fault.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let seen = found.as_ref().map(inspected).transpose()?;
        if let Some(seen) = &seen
            && !matches!(
                ContainerState::from(seen.state.status.as_str()),
                ContainerState::Exited | ContainerState::Dead | ContainerState::Removing
            )
        {
            return Ok(Started::Runs(None));
        }
        timeout(LAST_WORDS, read(&mut output, &mut log)).await.ok();
        let death = self.death(id, begun.as_secs()).await;
        self.remove(id, name).await?;
        match death {
            Death::ByHand => Ok(Started::Gone),
            Death::Own { code, oom } => Err(SandboxError::Died {
                name: name.to_owned(),
                code: code.or(seen.map(|seen| seen.state.exit_code)),
                oom,
                log: last(&log),
            }),
        }
    }

    async fn is_gone(&self, id: &str) -> Result<bool, SandboxError> {
        match self.look(id).await {
            Ok(_) => Ok(false),
            Err(error) if error.fault.is_not_found() => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn listen(&self, id: &str, name: &str) -> Result<Output, SandboxError> {
        let options = AttachContainerOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .stream(true)
            .build();
        match self.docker.attach_container(id, Some(options)).await {
            Ok(attached) => Ok(attached.output),
            // Starting it says the same, and better.
            Err(error) => match Fault::from(error) {
                Fault::Refused { .. } => Ok(Box::pin(futures_util::stream::empty())),
                fault => {
                    let doing = format!("attach to sandbox {name}");
                    Err(crate::error::RequestError::new(doing, fault).into())
                }
            },
        }
    }

    /// How a container ended, from the events that the engine keeps.
    async fn death(&self, id: &str, since: u64) -> Death {
        let filters = std::collections::HashMap::from([("container", vec![id.to_owned()])]);
        let until = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let options = EventsOptionsBuilder::new()
            .since(&since.saturating_sub(1).to_string())
            .until(&(until.as_secs() + 1).to_string())
            .filters(&filters)
            .build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        let (mut code, mut oom) = (None, false);
        // What cannot be read is left out: that it ended is known without.
        let reading = async {
            while let Some(Ok(event)) = events.next().await {
                let attributes = event.actor.and_then(|actor| actor.attributes);
                match event.action.as_deref() {
                    Some("die") => {
                        let text = attributes.and_then(|mut all| all.remove("exitCode"));
                        code = text.and_then(|text| text.parse().ok());
                        // What follows is of no interest, and the stream stays open for a second.
                        return false;
                    }
                    Some("oom") => oom = true,
                    Some("kill" | "stop") => return true,
                    _ => {}
                }
            }
            false
        };
        match timeout(LAST_WORDS, reading).await {
            Ok(true) => Death::ByHand,
            _ => Death::Own { code, oom },
        }
    }
}

enum Death {
    /// Somebody stopped or removed it.
    ByHand,
    Own {
        code: Option<i64>,
        oom: bool,
    },
}

/// Reads to the end, keeping not more than is shown.
async fn read(output: &mut Output, log: &mut Vec<u8>) {
    while let Some(Ok(piece)) = output.next().await {
        log.extend_from_slice(&piece.into_bytes());
        if log.len() > 16 << 10 {
            log.drain(..log.len() - (8 << 10));
        }
    }
}

fn last(log: &[u8]) -> String {
    let last = &log[log.len().saturating_sub(4096)..];
    String::from_utf8_lossy(last).trim().to_owned()
}
