//! Doing what is asked for, and answering as docker does.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use sandbox_core::inspect::ContainerState;
use sandbox_core::{SandboxSpec, SpecFile, text};
use sandbox_engine::client::broker::{BrokerError, OpenFailure};
use sandbox_engine::client::wire::RunSpec;
use sandbox_engine::{
    Ask, Attached, Engine, ImageError, Listed, Progress, Pull, Sandbox, SandboxError,
};

use super::command::{Asked, Exec, Fact, Filter, List, Remove};
use super::container::{Container, Run};
use crate::exit::Outcome;
use crate::sandbox::attach::{self, Lent};
use crate::sandbox::command::{carried, variable};
use crate::sandbox::failure::{Failure, Result};
use crate::sandbox::reach::{Reached, Way};
use crate::sandbox::{caller, connect, ls, spec};

/// What came of it.
pub(super) enum Done {
    /// This program can end.
    Ended(Outcome),
    /// It is about a container that is no sandbox.
    NotOurs,
}

/// Does it.
pub(super) async fn act(asked: Asked) -> Result<Done> {
    let named = env::var("TALARIA_ENGINE").ok().filter(|it| !it.is_empty());
    let named = named.as_deref();
    if let Asked::Exec(exec) = asked {
        // The broker knows the engine.
        return run_command(named, exec).await.map(Done::Ended);
    }
    let engine = connect(named).await?;
    match asked {
        Asked::Version => version(&engine)?,
        Asked::Driver => {
            let driver = engine.info().await?.driver.as_deref().unwrap_or_default();
            say(driver)?;
        }
        Asked::Entrypoint(image) => return entrypoint(&engine, &image).await,
        Asked::Pull(image) => {
            let mut told = |step: Progress| {
                anstream::eprintln!("{}", text::line(step.status.as_bytes()));
            };
            let pulled = engine.image(&image, Pull::Always, &mut told).await;
            pulled.map_err(SandboxError::from)?;
            say(&image)?;
        }
        Asked::List(list) => listing(&engine, &list).await?,
        Asked::Run(Run::Start(container)) => return start_new(&engine, *container).await,
        Asked::Run(Run::Try(container)) => {
            let Container { spec, pull } = *container;
            let spec = checked(spec)?;
            Box::pin(engine.plan(&spec, pull, &carried(), &mut |_| {})).await?;
        }
        Asked::Inspect(container, fact) => {
            let Some(sandbox) = find(&engine, &container).await? else {
                return Ok(Done::NotOurs);
            };
            let found = serde_json::to_value(sandbox.inspect().await?)?;
            let pointer = match fact {
                Fact::FinishedAt => "/State/FinishedAt",
                Fact::NetworkMode => "/HostConfig/NetworkMode",
            };
            let fact = found.pointer(pointer).and_then(serde_json::Value::as_str);
            say(fact.unwrap_or_default())?;
        }
        Asked::Start(container) => {
            let Some(sandbox) = find(&engine, &container).await? else {
                return Ok(Done::NotOurs);
            };
            if !sandbox.start().await? {
                return Ok(no_such(&container));
            }
            say(&container)?;
        }
        Asked::Stop(container, grace) => {
            let Some(sandbox) = find(&engine, &container).await? else {
                return Ok(Done::NotOurs);
            };
            sandbox.stop(grace).await?;
            say(&container)?;
        }
        Asked::Remove(remove) => return removed(&engine, remove).await,
        Asked::Exec(_) | Asked::Other => unreachable!("these were done before"),
    }
    Ok(Done::Ended(Outcome::Done))
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// What docker says of a container that is not there; the backend makes another one then.
fn no_such(container: &str) -> Done {
    anstream::eprintln!("Error: No such container: {container}");
    Done::Ended(Outcome::Failed)
}

/// The sandbox of that name, id or beginning of an id, if it is one.
async fn find(engine: &Engine, container: &str) -> Result<Option<Sandbox>> {
    match ls::find(engine, &caller::owner()?, container).await {
        Ok(sandbox) => Ok(Some(sandbox)),
        Err(Failure::NoSandbox { .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn version(engine: &Engine) -> Result<()> {
    say(&format!(
        "Client: talaria docker-shim\n Version:     {}\nServer: {:?}\n Version:     {}\n \
         API version: {}",
        env!("CARGO_PKG_VERSION"),
        engine.flavour(),
        engine.version(),
        engine.api(),
    ))
}

async fn entrypoint(engine: &Engine, image: &str) -> Result<Done> {
    let found = match engine.image(image, Pull::Never, &mut |_| {}).await {
        Ok(found) => found,
        Err(ImageError::Missing { image }) => {
            say("")?;
            anstream::eprintln!("Error: No such image: {image}");
            return Ok(Done::Ended(Outcome::Failed));
        }
        Err(error) => return Err(SandboxError::from(error).into()),
    };
    let entrypoint = found.config.and_then(|config| config.entrypoint);
    say(&serde_json::to_string(&entrypoint)?)?;
    Ok(Done::Ended(Outcome::Done))
}

/// Ids as docker shortens them, the newest first.
async fn listing(engine: &Engine, list: &List) -> Result<()> {
    let mut found = engine.list(&caller::owner()?, false).await?;
    found.sort_by_key(|one| Reverse(one.created));
    for one in found.iter().filter(|one| list.matches(one)) {
        let id = one.id.get(..12).unwrap_or(&one.id);
        if list.with_state {
            say(&format!("{id}\t{}", ls::word(&one.state)))?;
        } else {
            say(id)?;
        }
    }
    Ok(())
}

impl List {
    fn matches(&self, one: &Listed) -> bool {
        self.filters.iter().all(|filter| match filter {
            Filter::State(state) => ls::word(&one.state) == *state,
            Filter::Label(name, None) => one.labels.contains_key(name),
            Filter::Label(name, Some(value)) => one.labels.get(name) == Some(value),
        })
    }
}

fn checked(spec: SpecFile) -> Result<SandboxSpec> {
    SandboxSpec::try_from(spec, &caller::caller()?).map_err(Failure::Spec)
}

async fn start_new(engine: &Engine, container: Container) -> Result<Done> {
    let name = container.spec.task.clone().unwrap_or_default();
    let spec = checked(container.spec)?;
    let is_taken = find(engine, &name).await?.is_some();
    if !is_taken {
        let ask = Ask {
            pull: container.pull,
            agent: carried(),
            progress: &mut |_| {},
        };
        let sandbox = Box::pin(engine.sandbox(&spec, ask)).await?;
        // Another one may have been quicker.
        if *sandbox.attached() == Attached::Created {
            say(sandbox.id())?;
            return Ok(Done::Ended(Outcome::Done));
        }
    }
    anstream::eprintln!(
        "docker: Error response from daemon: Conflict. The container name \"/{name}\" is already \
         in use."
    );
    Ok(Done::Ended(Outcome::Own(super::REFUSED)))
}

async fn removed(engine: &Engine, remove: Remove) -> Result<Done> {
    let container = remove.container;
    let Some(sandbox) = find(engine, &container).await? else {
        return Ok(Done::NotOurs);
    };
    if !remove.force {
        let found = serde_json::to_value(sandbox.inspect().await?)?;
        let state = found.pointer("/State/Status");
        let state = state
            .and_then(serde_json::Value::as_str)
            .map(ContainerState::from);
        if state == Some(ContainerState::Running) {
            anstream::eprintln!(
                "Error response from daemon: You cannot remove a running container {container}. \
                 Stop the container before attempting removal or force remove"
            );
            return Ok(Done::Ended(Outcome::Failed));
        }
    }
    sandbox.remove().await?;
    say(&container)?;
    Ok(Done::Ended(Outcome::Done))
}

async fn run_command(named: Option<&str>, exec: Exec) -> Result<Outcome> {
    let way = Way {
        engine: named,
        direct: false,
    };
    let container = &exec.container;
    let client = match way.reach(container).await {
        Ok(Reached::Agent(client)) => client,
        Ok(Reached::Engine(sandbox)) => {
            let name = sandbox.name().to_owned();
            return Err(Failure::NoAgent { name });
        }
        Err(failure) => return unreached(named, container, failure).await,
    };
    let mut spec = RunSpec::argv(exec.command.into_iter().map(OsString::into_vec));
    spec.cwd = exec.cwd.as_deref().map(Into::into);
    spec.user = exec.user;
    spec.env = spec::variables(&exec.env)?
        .into_iter()
        .map(variable)
        .collect();
    let lent = Lent {
        input: exec.input,
        terminal: false,
    };
    attach::run(&client, spec, lent).await
}

/// Why there is no way to a container, in docker's words where the backend reads them. Nothing has
/// run then.
async fn unreached(named: Option<&str>, container: &str, failure: Failure) -> Result<Outcome> {
    let is_absent = match &failure {
        Failure::NoSandbox { .. } => true,
        Failure::Broker(BrokerError::Open { failure, .. }) => match failure {
            OpenFailure::NotFound => true,
            OpenFailure::NotRunning => {
                anstream::eprintln!(
                    "Error response from daemon: Container {container} is not running"
                );
                return Ok(Outcome::Failed);
            }
            _ => false,
        },
        _ => false,
    };
    if !is_absent {
        return Err(failure);
    }
    if connect(named).await?.has_container(container).await? {
        anstream::eprintln!("talaria: docker-shim: container {container} is no sandbox");
        anstream::eprintln!(
            "hint: the real docker runs commands in it; the agent can have it removed"
        );
        return Ok(Outcome::Own(super::REFUSED));
    }
    anstream::eprintln!("Error: No such container: {container}");
    Ok(Outcome::Failed)
}
