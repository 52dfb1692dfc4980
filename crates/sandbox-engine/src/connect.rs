//! Getting hold of an engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use sandbox_core::Flavour;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::command_line::Tools;
use crate::error::{Doing as _, PATIENCE, RequestError, Retry, ask};
use crate::find::{
    Address, Candidate, ContextError, Origin, Surroundings, candidates, current_context,
};
use crate::greet::{Greeting, greet};

/// How long an engine may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// The oldest API that has everything that is asked for.
pub const OLDEST_API: (usize, usize) = (1, 41);

/// A connection to an engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tools: Arc<Tools>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) at: Candidate,
    pub(crate) flavour: Flavour,
    pub(crate) version: String,
    pub(crate) api: String,
    pub(crate) info: OnceCell<bollard::models::SystemInfo>,
    pub(crate) quota: OnceCell<bool>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("at", &self.shared.at)
            .finish_non_exhaustive()
    }
}

/// One place that was tried, and what was there.
#[derive(Debug)]
pub struct Tried {
    /// The place.
    pub candidate: Candidate,
    /// What was there.
    pub why: Miss,
}

/// What was found in place of an engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Miss {
    /// Nothing is there.
    #[error("no such socket")]
    Absent,
    /// The user may not connect.
    #[error("not permitted")]
    NotPermitted,
    /// Something is there, and nobody listens.
    #[error("nobody listens")]
    Deaf,
    /// It takes connections and says nothing.
    #[error("it takes the connection and has not answered within {} s", GREETING.as_secs())]
    Silent,
    /// It speaks, and not as an engine.
    #[error("what answers is not a Docker or Podman engine")]
    NotAnEngine,
    /// It speaks an API from before [`OLDEST_API`].
    #[error("its API {0} is older than {old}.{new}", old = OLDEST_API.0, new = OLDEST_API.1)]
    TooOld(String),
    /// Such addresses are not spoken to.
    #[error("such an address cannot be used: only unix:// and tcp:// without TLS")]
    Unsupported,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// No engine was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The docker context in use cannot be had.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// No place that was tried has an engine.
    #[error("no container engine answers; tried {}", listed(.tried))]
    NoEngine {
        /// All places, in order.
        tried: Vec<Tried>,
    },
}

fn listed(tried: &[Tried]) -> String {
    let one = |tried: &Tried| {
        let Candidate { address, origin } = &tried.candidate;
        format!("{address} ({origin}: {})", tried.why)
    };
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl ConnectError {
    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::NoEngine { tried }
                if tried.iter().any(|tried| matches!(tried.why, Miss::Silent)) =>
            {
                Retry::After(GREETING)
            }
            _ => Retry::No,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self::NoEngine { tried } = self else {
            let Self::Context(error) = self else {
                unreachable!("there are two kinds");
            };
            return error.hint();
        };
        let any = |wanted: fn(&Miss) -> bool| tried.iter().any(|tried| wanted(&tried.why));
        if any(|why| matches!(why, Miss::NotPermitted)) {
            "usermod -aG docker USER and a new login let a user in (and make it root-equivalent); \
             rootless Docker or Podman need no such right"
        } else if any(|why| matches!(why, Miss::Silent)) {
            "it hangs or is just starting: systemctl status docker"
        } else if any(|why| matches!(why, Miss::NotAnEngine)) {
            "DOCKER_HOST or the docker context points at something else: unset it, or correct it"
        } else if any(|why| matches!(why, Miss::TooOld(_))) {
            "Docker 20.10 and Podman 4 are the first that do"
        } else if any(|why| matches!(why, Miss::Unsupported)) {
            "for a remote engine: ssh -NL /tmp/engine.sock:/var/run/docker.sock HOST, then \
             DOCKER_HOST=unix:///tmp/engine.sock"
        } else if tried.len() == 1 {
            "is it running there? without DOCKER_HOST and docker context the usual sockets are tried"
        } else {
            "install one (apt-get install docker.io, or podman), or start it: systemctl start \
             docker, or systemctl --user start podman.socket"
        }
        .to_owned()
    }
}

impl Engine {
    /// Finds an engine and agrees with it on an API version.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells every place that was tried and what was there.
    pub async fn connect(around: &Surroundings) -> Result<Self, ConnectError> {
        let context = current_context(around)?;
        Self::first(candidates(around, context)).await
    }

    /// Connects to the engine at one address.
    ///
    /// # Errors
    ///
    /// As for [`Engine::connect`].
    pub async fn at(address: Address) -> Result<Self, ConnectError> {
        let origin = Origin::Given;
        Self::first(vec![Candidate { address, origin }]).await
    }

    async fn first(candidates: Vec<Candidate>) -> Result<Self, ConnectError> {
        let mut tried = Vec::new();
        for candidate in candidates {
            match meet(candidate.clone()).await {
                Ok(engine) => return Ok(engine),
                Err(why) => tried.push(Tried { candidate, why }),
            }
        }
        Err(ConnectError::NoEngine { tried })
    }

    /// The client underneath, for what is not offered here.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it was found.
    #[must_use]
    pub fn found_at(&self) -> &Candidate {
        &self.shared.at
    }

    /// Whose engine it is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.shared.flavour
    }

    /// Its version, for example `20.10.24`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.shared.version
    }

    /// The newest API that it speaks, for example `1.41`.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.shared.api
    }

    /// What the engine says of its host, asked once.
    ///
    /// # Errors
    ///
    /// When the engine does not answer; it is asked again by the next call.
    pub async fn info(&self) -> Result<&bollard::models::SystemInfo, RequestError> {
        let asked = self
            .shared
            .info
            .get_or_try_init(|| ask(|| self.docker.info()));
        let asked = asked.await;
        asked.doing(|| "ask the engine for its facts".to_owned())
    }
}

async fn meet(at: Candidate) -> Result<Engine, Miss> {
    let greeting = timeout(GREETING, greet(&at.address)).await;
    let Ok(greeting) = greeting else {
        return Err(Miss::Silent);
    };
    let Greeting {
        flavour,
        version,
        api,
    } = greeting?;
    let theirs = match api_version(&api) {
        None => return Err(Miss::NotAnEngine),
        Some(number) if number < OLDEST_API => return Err(Miss::TooOld(api)),
        Some((major_version, minor_version)) => ClientVersion {
            major_version,
            minor_version,
        },
    };
    let ours = API_DEFAULT_VERSION;
    let agreed = if theirs < *ours { &theirs } else { ours };
    let patience = PATIENCE.as_secs();
    let docker = match &at.address {
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), patience, agreed),
        Address::Tcp(host) => Docker::connect_with_http(host, patience, agreed),
        Address::Unsupported(_) => return Err(Miss::Unsupported),
    };
    let docker = docker.map_err(|error| Miss::Failed(error.to_string()))?;
    let shared = Shared {
        at,
        flavour,
        version,
        api,
        info: OnceCell::new(),
        quota: OnceCell::new(),
    };
    Ok(Engine {
        docker,
        shared: Arc::new(shared),
        tools: Arc::default(),
    })
}

fn api_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
