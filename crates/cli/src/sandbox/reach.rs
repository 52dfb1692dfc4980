//! Getting to the agent of a sandbox: through the user's broker, or without.

use std::env;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::getuid;
use sandbox_engine::client::broker::{self, BrokerError, OpenFailure, Place};
use sandbox_engine::client::{Client, Patience};
use sandbox_engine::find::{candidates, current_context};
use sandbox_engine::{Doorway, Sandbox};

use super::failure::{Failure, Result};
use super::{caller, connect, ls};

/// How a command reaches sandboxes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// The engine that was named.
    pub(super) engine: Option<&'a str>,
    /// Whether the broker is left out.
    pub(super) direct: bool,
}

/// What can be spoken to.
pub(super) enum Reached {
    /// The agent.
    Agent(Client),
    /// The engine alone: there is no agent in this sandbox.
    Engine(Box<Sandbox>),
}

impl Way<'_> {
    /// The agent of the sandbox with that name, id or task, or else the sandbox.
    pub(super) async fn reach(self, name: &str) -> Result<Reached> {
        if !self.direct {
            match self.through_broker(name, None).await {
                Ok(client) => return Ok(Reached::Agent(client)),
                // It may have none, or the broker could not say.
                Err(BrokerError::Open {
                    failure: OpenFailure::NoAgent,
                    ..
                }) => {}
                Err(error) if error.is_of_the_broker() => {
                    let error = Failure::Broker(error);
                    anstream::eprintln!("talaria: going without the broker: {}", error.chain());
                }
                Err(error) => return Err(Failure::Broker(error)),
            }
        }
        let engine = connect(self.engine).await?;
        let sandbox = ls::find(&engine, &caller::owner()?, name).await?;
        if sandbox.agent_hash().is_none() {
            return Ok(Reached::Engine(Box::new(sandbox)));
        }
        Ok(Reached::Agent(sandbox.agent_client().await?))
    }

    /// The sandbox, with the broker's connection to its agent where that can be had.
    pub(super) async fn by_broker(self, sandbox: Sandbox) -> Sandbox {
        if self.direct {
            return sandbox;
        }
        let doorway = sandbox.doorway().await;
        match self.through_broker(sandbox.name(), doorway).await {
            Ok(client) => sandbox.with_client(client),
            // The sandbox has a connection of its own to make.
            Err(_) => sandbox,
        }
    }

    /// Tells the broker, where one runs, where a new sandbox's agent waits, for those who come later;
    /// otherwise comes and goes, so that it waits no more.
    pub(super) async fn introduce(self, sandbox: &Sandbox) {
        let Some(doorway) = sandbox.doorway().await else {
            return;
        };
        let (place, word) = (self.place(), doorway.to_word());
        let is_kept = !self.direct
            && broker::introduce(&place, &build(), sandbox.name(), &word)
                .await
                .unwrap_or(false);
        if !is_kept {
            drop(doorway.enter().await);
        }
    }

    /// The agent, where nothing else will do.
    pub(super) async fn agent(self, name: &str) -> Result<Client> {
        match self.reach(name).await? {
            Reached::Agent(client) => Ok(client),
            Reached::Engine(sandbox) => Err(Failure::NoAgent {
                name: sandbox.name().to_owned(),
            }),
        }
    }

    async fn through_broker(
        self,
        name: &str,
        doorway: Option<Doorway>,
    ) -> std::result::Result<Client, BrokerError> {
        let doorway = doorway.map(|doorway| doorway.to_word());
        let place = self.place();
        let named = self.engine.map(str::to_owned);
        let start = move || {
            let program = env::current_exe().unwrap_or_else(|_| "talaria".into());
            let mut command = Command::new(program);
            // By another name it would be something else.
            command.arg0("talaria");
            command.arg("sandbox");
            if let Some(named) = &named {
                command.args(["--engine", named]);
            }
            command.arg("broker");
            command
        };
        let doorway = doorway.as_deref();
        broker::connect(&place, &build(), name, doorway, Patience::default(), start).await
    }

    /// Where this user's broker for this engine is.
    pub(super) fn place(self) -> Place {
        let around = caller::surroundings();
        let engine = self.engine.map_or_else(
            || {
                // A context that cannot be had is an error where the engine is looked for.
                let context = current_context(&around).ok().flatten();
                let places = candidates(&around, context);
                let places = places.iter().map(|one| one.address.to_string());
                places.collect::<Vec<_>>().join(" ")
            },
            str::to_owned,
        );
        // Whose sandboxes it finds is the broker's own to know.
        let owner = env::var("TALARIA_OWNER").unwrap_or_default();
        Place::new(runtime_directory(), &format!("{engine} {owner}"))
    }
}

fn runtime_directory() -> PathBuf {
    let set = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match set.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(path) => path.join("talaria"),
        None => env::temp_dir().join(format!("talaria-{}", getuid().as_raw())),
    }
}

/// Which build this is: a broker of another one is replaced.
pub(super) fn build() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match std::fs::metadata("/proc/self/exe") {
        Ok(file) => format!(
            "{version}+{:x}.{:x}.{:x}",
            file.ino(),
            file.mtime(),
            file.mtime_nsec()
        ),
        Err(_) => version.to_owned(),
    }
}
