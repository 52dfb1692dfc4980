//! `talaria sandbox broker`: the process that keeps connections to agents open.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use sandbox_core::Owner;
use sandbox_engine::client::broker::{self, OpenFailure, Opened, Opener};
use sandbox_engine::{AgentReader, AgentWriter, Doorway, Engine, Error, Sandbox};
use tokio::sync::OnceCell;

use super::args::{Broker, BrokerCommand};
use super::failure::{Failure, Result};
use super::reach::{Way, build};
use super::{caller, connect, ls};
use crate::exit::Outcome;

pub(super) async fn run(way: Way<'_>, broker: &Broker) -> Result<Outcome> {
    match broker.command {
        None => serve(way, broker.idle.0).await,
        Some(BrokerCommand::Stop) => {
            let stopped = broker::stop(&way.place(), &build()).await?;
            Ok(if stopped {
                Outcome::Done
            } else {
                anstream::eprintln!("talaria: no broker runs");
                Outcome::Done
            })
        }
    }
}

async fn serve(way: Way<'_>, idle: Duration) -> Result<Outcome> {
    let place = way.place();
    place
        .prepare()
        .map_err(|error| Failure::Broker(error.into()))?;
    // Away from the terminal and the session of whoever started it. A leader of a session is
    // there already.
    rustix::process::setsid().ok();
    let log = place.log();
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log)
        .and_then(|log| Ok(rustix::stdio::dup2_stderr(log)?));
    opened.map_err(|source| Failure::File { path: log, source })?;
    let sandboxes = Sandboxes {
        named: way.engine.map(str::to_owned),
        owner: caller::owner()?,
        engine: OnceCell::new(),
    };
    let ready = || {
        let null = OpenOptions::new().write(true).open("/dev/null");
        // Whoever started it waits for a word and the end; who does not wait any more needs neither.
        writeln!(std::io::stdout(), "ready").ok();
        if let Ok(null) = null {
            rustix::stdio::dup2_stdout(null).ok();
        }
    };
    broker::serve(&place, &build(), idle, sandboxes, ready).await?;
    Ok(Outcome::Done)
}

/// The sandboxes of an engine.
struct Sandboxes {
    named: Option<String>,
    owner: Owner,
    engine: OnceCell<Engine>,
}

impl Sandboxes {
    async fn engine(&self) -> Result<&Engine> {
        self.engine
            .get_or_try_init(|| connect(self.named.as_deref()))
            .await
    }

    async fn sandbox(&self, name: &str) -> Result<Sandbox> {
        ls::find(self.engine().await?, &self.owner, name).await
    }

    async fn stream(&self, sandbox: &Sandbox) -> Result<Opened<AgentReader, AgentWriter>> {
        let Some(hash) = sandbox.agent_hash() else {
            let name = sandbox.name().to_owned();
            return Err(Failure::NoAgent { name });
        };
        let (reader, writer) = self.engine().await?.agent_stream(sandbox.id()).await?;
        Ok(Opened {
            reader,
            writer,
            hash,
        })
    }
}

impl Opener for Sandboxes {
    type Reader = AgentReader;
    type Writer = AgentWriter;
    type Found = Sandbox;

    async fn find(
        &self,
        sandbox: &str,
    ) -> std::result::Result<(String, Sandbox), (OpenFailure, String)> {
        let found = self
            .sandbox(sandbox)
            .await
            .map_err(|failure| told(&failure))?;
        Ok((found.name().to_owned(), found))
    }

    async fn open(
        &self,
        found: Sandbox,
    ) -> std::result::Result<Opened<AgentReader, AgentWriter>, (OpenFailure, String)> {
        self.stream(&found).await.map_err(|failure| told(&failure))
    }

    async fn enter(&self, doorway: &str) -> Option<Opened<AgentReader, AgentWriter>> {
        let doorway = Doorway::parse(doorway)?;
        let (reader, writer) = doorway.enter().await?;
        let hash = doorway.agent_hash();
        Some(Opened {
            reader,
            writer,
            hash,
        })
    }
}

fn told(failure: &Failure) -> (OpenFailure, String) {
    let kind = match failure {
        Failure::NoSandbox { .. } | Failure::Ambiguous { .. } => OpenFailure::NotFound,
        Failure::NoAgent { .. } => OpenFailure::NoAgent,
        Failure::Engine(Error::Request(error)) if error.fault.is_conflict() => {
            OpenFailure::NotRunning
        }
        Failure::Engine(Error::Request(error)) if error.fault.is_not_found() => {
            OpenFailure::NotFound
        }
        _ => OpenFailure::Engine,
    };
    (kind, failure.chain())
}
