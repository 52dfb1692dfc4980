//! Speaking to the agent inside a sandbox.
//!
//! One exec is attached for each client and stays open; everything else goes over its stream, or
//! over a connection that is made beside it.

mod busy;
mod direct;
mod run;
mod stream;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox_client::{Client, ConnectError, Patience};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::connect::Engine;
use crate::error::RequestError;

pub(crate) use busy::{PATIENCE, busy, says};
pub use direct::Doorway;
pub use run::{exec_over, run_over};
pub use stream::{AgentReader, AgentWriter};
pub(crate) use stream::{CONNECT, Output};

/// Why the agent of a sandbox cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The engine does not run what leads to it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It does not answer.
    #[error("the agent of sandbox {name} does not answer{}", in_brackets(.said))]
    Connect {
        /// The container.
        name: String,
        /// What the program that leads to it said.
        said: String,
        /// What is missing.
        #[source]
        source: ConnectError,
    },
    /// It is not the program that this sandbox was given.
    #[error("sandbox {name} runs another agent than it was given")]
    Impostor {
        /// The container.
        name: String,
    },
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

impl AgentError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::Connect { name, .. } | Self::Impostor { name } => Some(format!(
                "talaria sandbox rm --force {name} and run it again; or exec --no-agent"
            )),
        }
    }
}

/// A sandbox's one connection to its agent, made when it is first needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<Mutex<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    client: Option<Client>,
    /// Where a client may come to, once.
    doorway: Option<Doorway>,
}

impl Line {
    pub(crate) fn of(client: Client) -> Self {
        let client = Some(client);
        Self(Arc::new(Mutex::new(Ends {
            client,
            doorway: None,
        })))
    }

    pub(crate) fn through(doorway: Option<Doorway>) -> Self {
        Self(Arc::new(Mutex::new(Ends {
            client: None,
            doorway,
        })))
    }

    pub(crate) async fn take_doorway(&self) -> Option<Doorway> {
        self.0.lock().await.doorway.take()
    }

    /// The connection that is there, or a new one.
    pub(crate) async fn client(
        &self,
        engine: &Engine,
        id: &str,
        name: &str,
        sha256: Option<&str>,
    ) -> Result<Client, AgentError> {
        let mut ends = self.0.lock().await;
        if let Some(client) = ends
            .client
            .as_ref()
            .filter(|client| client.lost().is_none())
        {
            return Ok(client.clone());
        }
        let met = match ends.doorway.take() {
            Some(doorway) => meet(&doorway, sha256).await,
            None => None,
        };
        let client = match met {
            Some(client) => client,
            None => engine.agent_client(id, name, sha256).await?,
        };
        ends.client = Some(client.clone());
        Ok(client)
    }
}

/// Speaks to an agent that waits for its first client. Nothing where that does not come about: what
/// is wrong with it is told where it is spoken to as ever.
async fn meet(doorway: &Doorway, sha256: Option<&str>) -> Option<Client> {
    let (reader, writer) = doorway.enter().await?;
    let greeted = Client::over(reader, writer, Patience::default()).await;
    greeted.ok().filter(|client| is_given(client, sha256))
}

/// How long after its start an image's own init may take to come to the agent.
const SETTLED: Duration = Duration::from_secs(30);

impl Engine {
    /// Speaks to the agent in a container over an exec of its own. With `sha256`, the
    /// beginning of one, an agent that says that it is another program is not spoken to.
    ///
    /// # Errors
    ///
    /// [`AgentError`]
    pub async fn agent_client(
        &self,
        id: &str,
        name: &str,
        sha256: Option<&str>,
    ) -> Result<Client, AgentError> {
        let mut pause = Duration::from_millis(10);
        let client = loop {
            match self.greet(id, name).await {
                Ok(client) => break client,
                // Behind an init of the image's own, it is not the first to start.
                Err(AgentError::Connect {
                    source: ConnectError::Lost(_),
                    ..
                }) if self.is_settling(id).await => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                Err(error) => return Err(error),
            }
        };
        if !is_given(&client, sha256) {
            return Err(AgentError::Impostor {
                name: name.to_owned(),
            });
        }
        Ok(client)
    }

    async fn greet(&self, id: &str, name: &str) -> Result<Client, AgentError> {
        let (reader, writer) = self.agent_stream(id).await?;
        let heard = reader.heard();
        let greeted = Client::over(reader, writer, Patience::default()).await;
        greeted.map_err(|source| AgentError::Connect {
            name: name.to_owned(),
            said: heard.text(),
            source,
        })
    }

    /// Whether a container runs and has been started not long ago.
    async fn is_settling(&self, id: &str) -> bool {
        let Ok(found) = self.look(id).await else {
            return false;
        };
        let state = found.state.unwrap_or_default();
        let started = state.started_at.as_deref().and_then(crate::time::seconds);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
        let age = now.zip(started).map(|(now, started)| now - started);
        // The engine's clock can be another than ours.
        let long = i64::try_from(SETTLED.as_secs()).unwrap_or_default();
        state.running == Some(true) && age.is_some_and(|age| (-long..long).contains(&age))
    }
}

/// Whether an agent is the program that its sandbox was given, as far as either is known. A fill of
/// the volume can have been interrupted, and an image can bring its own.
fn is_given(client: &Client, sha256: Option<&str>) -> bool {
    let said = client.agent().hash;
    let hash = crate::kill::hex(&said);
    said == [0; 32] || sha256.is_none_or(|sha256| hash.starts_with(sha256))
}
