//! The one sandbox of a server: got when it is first needed, and again when it was lost.

use std::sync::Arc;

use sandbox_core::SandboxSpec;
use sandbox_engine::client::Client;
use sandbox_engine::client::wire::Variable;
use sandbox_engine::find::{Address, Surroundings};
use sandbox_engine::{Agent, Ask, Attached, Engine, Pull, Sandbox, Why};
use tokio::sync::Mutex;

use crate::failure::Failure;

/// Where the engine is.
#[derive(Debug, Clone)]
pub enum EngineAt {
    /// There.
    Address(Address),
    /// Wherever one is found.
    Found(Surroundings),
}

/// Which sandbox a server serves.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The engine.
    pub engine: EngineAt,
    /// What it is to be.
    pub spec: SandboxSpec,
    /// Whether its image may be fetched.
    pub pull: Pull,
    /// The program to bring along: everything here goes through it, so it cannot be
    /// [`Agent::None`].
    pub agent: Agent,
    /// Variables that each command is given, beside those of the sandbox.
    pub forward: Vec<(String, String)>,
}

/// The way to a sandbox.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) wanted: Wanted,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    engine: Option<Engine>,
    there: Option<There>,
    client: Option<Client>,
    /// Which start of the agent was spoken to last.
    instance: Option<[u8; 16]>,
    /// Counts how often sessions and jobs have been lost.
    generation: u64,
}

#[derive(Debug, Clone)]
struct There {
    sandbox: Sandbox,
    engine: Engine,
    /// Its working directory.
    cwd: Arc<str>,
}

/// A sandbox that can be spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    pub(crate) engine: Engine,
    /// Its working directory.
    pub(crate) cwd: Arc<str>,
    /// Sessions and jobs are those of the same number.
    pub(crate) generation: u64,
    /// What has become of the sandbox since the last call, where the caller has to know it.
    pub(crate) notice: Option<String>,
}

impl Link {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            state: Mutex::default(),
        }
    }

    /// The sandbox as it is, where it has been got and answers; it is not got for this.
    pub(crate) async fn look(&self) -> Option<Reached> {
        let state = self.state.lock().await;
        let client = state
            .client
            .as_ref()
            .filter(|client| client.lost().is_none())?;
        Some(reached(&state, client, state.there.as_ref()?, None))
    }

    /// The sandbox, got or got again where it has to be. One caller at a time gets it; the others
    /// wait. What this tells of a lost state is told to one caller.
    pub(crate) async fn reach(&self) -> Result<Reached, Failure> {
        let mut state = self.state.lock().await;
        if let (Some(client), Some(there)) = (&state.client, &state.there)
            && client.lost().is_none()
        {
            return Ok(reached(&state, client, there, None));
        }
        state.client = None;
        let (there, notice) = Box::pin(self.get(&mut state)).await?;
        let client = there.sandbox.agent_client().await;
        let client = client.map_err(|error| Failure::agent(&error).noticing(notice.clone()))?;
        let instance = client.agent().instance;
        let is_new = state
            .instance
            .replace(instance)
            .is_some_and(|before| before != instance);
        let notice = notice.or_else(|| is_new.then(|| AGENT_RESTARTED.to_owned()));
        if is_new || notice.is_some() {
            state.generation += 1;
        }
        let reached = reached(&state, &client, &there, notice);
        state.client = Some(client);
        Ok(reached)
    }

    /// The container, running, and what has become of its state.
    async fn get(&self, state: &mut State) -> Result<(There, Option<String>), Failure> {
        // What is known of the sandbox stays until it is known anew: this can be cancelled.
        let (sandbox, engine, notice) = match state.there.clone() {
            Some(there) => again(there).await?,
            None => self.first(state).await?,
        };
        let found = sandbox.inspect().await;
        let found = found.map_err(|error| failed(error).noticing(notice.clone()))?;
        let cwd = found.config.and_then(|config| config.working_dir);
        let cwd = cwd
            .filter(|cwd| cwd.starts_with('/'))
            .unwrap_or_else(|| "/".to_owned());
        let there = There {
            sandbox,
            engine,
            cwd: cwd.into(),
        };
        state.there = Some(there.clone());
        Ok((there, notice))
    }

    async fn first(&self, state: &mut State) -> Result<Got, Failure> {
        let engine = match &state.engine {
            Some(engine) => engine.clone(),
            None => self.connect().await.map_err(failed)?,
        };
        state.engine = Some(engine.clone());
        let ask = Ask {
            pull: self.wanted.pull,
            agent: self.wanted.agent.clone(),
            progress: &mut |_| {},
        };
        let got = Box::pin(engine.sandbox(&self.wanted.spec, ask)).await;
        let sandbox = got.map_err(failed)?;
        let attached = sandbox.attached();
        let notice = attached.lost_state().then(|| notice(attached));
        Ok((sandbox, engine, notice))
    }

    async fn connect(&self) -> Result<Engine, sandbox_engine::Error> {
        Ok(match &self.wanted.engine {
            EngineAt::Address(address) => Engine::at(address.clone()).await?,
            EngineAt::Found(surroundings) => Engine::connect(surroundings).await?,
        })
    }

    /// The variables that each command is given.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let one = |(name, value): &(String, String)| Variable {
            name: name.as_str().into(),
            value: value.as_str().into(),
        };
        self.wanted.forward.iter().map(one).collect()
    }
}

type Got = (Sandbox, Engine, Option<String>);

/// A sandbox that was there, and runs again.
async fn again(there: There) -> Result<Got, Failure> {
    let There {
        mut sandbox,
        engine,
        ..
    } = there;
    let before = sandbox.id().to_owned();
    let revived = Box::pin(sandbox.revive()).await.map_err(failed)?;
    let notice = match revived {
        // Somebody else had to make it anew.
        Some(Attached::Reused) if sandbox.id() != before => {
            Some(notice(&Attached::Recreated { why: Why::Vanished }))
        }
        Some(attached) if attached.lost_state() => Some(notice(&attached)),
        _ => None,
    };
    Ok((sandbox, engine, notice))
}

fn failed(error: impl Into<sandbox_engine::Error>) -> Failure {
    Failure::sandbox(&error.into())
}

fn reached(state: &State, client: &Client, there: &There, notice: Option<String>) -> Reached {
    Reached {
        client: client.clone(),
        sandbox: there.sandbox.clone(),
        engine: there.engine.clone(),
        cwd: Arc::clone(&there.cwd),
        generation: state.generation,
        notice,
    }
}

const AGENT_RESTARTED: &str = "The sandbox was restarted: sessions and background jobs of before \
    are gone. Files may be gone too, those in /tmp are.";

fn notice(attached: &Attached) -> String {
    let what = match attached {
        Attached::Created | Attached::Reused => return String::new(),
        Attached::Started => {
            return "The sandbox was down and was started again: sessions, background jobs and \
                temporary files of before are gone; other files are still there."
                .to_owned();
        }
        Attached::Recreated { why } => match why {
            Why::Differs(_) => "differed from what it is to be",
            Why::Vanished => "had vanished",
            Why::Broken => "was broken",
        },
    };
    format!(
        "The sandbox {what} and was made anew: sessions, background jobs and all files outside of \
         mounted and persistent directories are gone."
    )
}
