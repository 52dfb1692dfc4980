//! How long a command takes in a sandbox that is there: `latency CONTAINER SAMPLES`; how long the
//! engine itself takes to create and start a container: `latency --create IMAGE`; and how long a
//! hundred commands at once take: `latency --crowd CONTAINER SAMPLES`. What `cargo xtask bench`
//! measures with: JSON, in milliseconds. `latency --list` is a program that asks the engine for its
//! containers and does nothing else.

use std::error::Error;
use std::time::Instant;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bollard::{ClientVersion, Docker};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use sandbox_engine::client::Client;
use sandbox_engine::client::wire::{End, RunSpec, SessionSpec};
use sandbox_engine::{Engine, OLDEST_API, find::Surroundings};

/// How many commands of one kind follow one another. The engine is at work for some time after an
/// exec has ended, which the next kind's first ones pay for.
const BLOCK: usize = 10;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => list().await,
        ["--create", image] => create(&connect().await?, image).await,
        ["--crowd", container, samples] => {
            crowd(&connect().await?, container, samples.parse()?).await
        }
        [container, samples] => commands(&connect().await?, container, samples.parse()?).await,
        _ => Err("latency [--crowd] CONTAINER SAMPLES, --create IMAGE, or --list".into()),
    }
}

async fn connect() -> Result<Engine> {
    let around = Surroundings::from_vars(|name| std::env::var_os(name), 0);
    Ok(Engine::connect(&around).await?)
}

/// One request, with nothing agreed upon before.
async fn list() -> Result<()> {
    let (major_version, minor_version) = OLDEST_API;
    let version = ClientVersion {
        major_version,
        minor_version,
    };
    let docker = Docker::connect_with_unix("/var/run/docker.sock", 60, &version)?;
    let all = ListContainersOptionsBuilder::new().all(true).build();
    println!("{}", docker.list_containers(Some(all)).await?.len());
    Ok(())
}

async fn create(engine: &Engine, image: &str) -> Result<()> {
    let docker = engine.docker();
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["sleep".to_owned(), "infinity".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let begun = Instant::now();
    let made = docker
        .create_container(None::<CreateContainerOptions>, body)
        .await?;
    docker.start_container(&made.id, None).await?;
    let taken = milliseconds(begun);
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    docker.remove_container(&made.id, Some(force)).await?;
    println!("{taken}");
    Ok(())
}

async fn commands(engine: &Engine, container: &str, samples: usize) -> Result<()> {
    let client = engine.agent_client(container, container, None).await?;
    let open = SessionSpec {
        cwd: None,
        env: Vec::new(),
        user: None,
        login: false,
    };
    let session = client.open_session(&open).await?;
    let program = RunSpec::argv(["true"]);
    let shell = RunSpec::argv(["bash", "-c", "true"]);
    let mut in_session = RunSpec::shell("true");
    in_session.session = session;
    let mut taken: [Vec<f64>; 5] = Default::default();
    for _ in 0..samples.div_ceil(BLOCK) {
        for (spec, taken) in [&program, &shell, &in_session].into_iter().zip(&mut taken) {
            for _ in 0..BLOCK {
                let begun = Instant::now();
                by_agent(&client, spec).await?;
                taken.push(milliseconds(begun));
            }
        }
        for (place, words) in [(3, &["true"][..]), (4, &["bash", "-c", "true"])] {
            for _ in 0..BLOCK {
                let begun = Instant::now();
                by_engine(engine, container, words).await?;
                taken[place].push(milliseconds(begun));
            }
        }
    }
    client.close_session(session).await?;
    let [program, shell, session, engine_program, engine_shell] = taken;
    let told = serde_json::json!({
        "program": program, "shell": shell, "session": session,
        "engine_program": engine_program, "engine_shell": engine_shell,
    });
    println!("{told}");
    Ok(())
}

/// A hundred at once, over one connection and by as many requests to the engine.
async fn crowd(engine: &Engine, container: &str, samples: usize) -> Result<()> {
    let client = engine.agent_client(container, container, None).await?;
    let program = RunSpec::argv(["true"]);
    let (mut agents, mut engines) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        let begun = Instant::now();
        try_join_all((0..100).map(|_| by_agent(&client, &program))).await?;
        agents.push(milliseconds(begun));
        let begun = Instant::now();
        try_join_all((0..100).map(|_| by_engine(engine, container, &["true"]))).await?;
        engines.push(milliseconds(begun));
    }
    println!(
        "{}",
        serde_json::json!({ "agent": agents, "engine": engines })
    );
    Ok(())
}

async fn by_agent(client: &Client, spec: &RunSpec) -> Result<()> {
    let ended = client.run(spec)?.collect(0).await?.ended;
    if ended.end == End::Exited(0) {
        Ok(())
    } else {
        Err(format!("true ended with {:?}", ended.end).into())
    }
}

async fn by_engine(engine: &Engine, container: &str, words: &[&str]) -> Result<()> {
    let docker = engine.docker();
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, options).await?;
    let started = docker
        .start_exec(&exec.id, None::<StartExecOptions>)
        .await?;
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(piece) = output.next().await {
            piece?;
        }
    }
    match docker.inspect_exec(&exec.id).await?.exit_code {
        Some(0) => Ok(()),
        code => Err(format!("true ended with {code:?}").into()),
    }
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
