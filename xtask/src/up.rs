//! `cargo xtask up` and `down`: one container, to look at.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use futures_util::StreamExt;
use serde::Deserialize;

use crate::engine::{self, EngineError, exec, exec_ok, is_not_found};
use crate::image::{self, ImageError, Init, Request, Target};
use crate::paths::Checkout;
use crate::progress::Step;
use crate::tree;

const CONTAINER: &str = "talaria-up";
const VOLUME: &str = "talaria-data";
const LABEL: &str = "org.talaria.up";
const PROFILE: &str = "coder";
/// The agent's own user; nothing here needs another.
const USER: &str = "hermes";

/// Bounds of the two waits: for supervision, and for a gateway's interpreter and its imports.
const BOOT: Duration = Duration::from_mins(1);
const GATEWAY: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no container to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    /// No engine, or it refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The image is not there and could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Someone else's container has the name.
    #[error("the container {CONTAINER} was not made by `cargo xtask up`")]
    NotOurs,
    /// It ended on its own.
    #[error("the container {CONTAINER} ended: {state}\n{logs}")]
    Ended {
        /// As the engine says.
        state: String,
        /// The end of its output.
        logs: String,
    },
    /// It did not become what it should be.
    #[error("{what} after {seconds} s; last seen: {last}")]
    TimedOut {
        /// What is not so.
        what: &'static str,
        /// How long that was waited for.
        seconds: u64,
        /// The last state.
        last: String,
    },
}

impl UpError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::NotOurs => Some(format!("docker rm {CONTAINER}, or rename it")),
            Self::TimedOut { .. } => Some(format!("docker logs {CONTAINER}; cargo xtask down")),
            Self::Ended { .. } => Some("cargo xtask down removes it".to_owned()),
            Self::Engine(_) => None,
        }
    }
}

/// What is there before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    NotOurs,
    Stopped,
    Running,
}

fn found(container: Option<&ContainerInspectResponse>) -> Found {
    let Some(container) = container else {
        return Found::Nothing;
    };
    let labels = container
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    if !labels.is_some_and(|labels| labels.contains_key(LABEL)) {
        return Found::NotOurs;
    }
    match container.state.as_ref().and_then(|state| state.running) {
        Some(true) => Found::Running,
        _ => Found::Stopped,
    }
}

async fn inspect(docker: &Docker) -> Result<Option<ContainerInspectResponse>, EngineError> {
    match docker
        .inspect_container(CONTAINER, None::<InspectContainerOptions>)
        .await
    {
        Ok(container) => Ok(Some(container)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(EngineError::on(format!("inspect {CONTAINER}"))(error)),
    }
}

/// Starts what is not running, and shows it.
pub(crate) async fn up(checkout: &Checkout) -> Result<(), UpError> {
    let docker = engine::connect().await?;
    let tag = image::tag("hermes", &Init::Debian);
    if !image::exists(&docker, &tag).await? {
        image::build(checkout, &Request::plain(Target::Hermes), None).await?;
    }
    let container = inspect(&docker).await?;
    match found(container.as_ref()) {
        Found::NotOurs => return Err(UpError::NotOurs),
        Found::Running => anstream::eprintln!("{CONTAINER} is up already"),
        Found::Stopped => start(&docker).await?,
        Found::Nothing => {
            create(&docker, &tag).await?;
            start(&docker).await?;
        }
    }
    supervised(&docker).await?;
    profile(&docker).await?;
    gateway(&docker).await?;
    show(&docker).await
}

async fn create(docker: &Docker, image: &str) -> Result<(), EngineError> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["gateway".to_owned(), "run".to_owned()]),
        labels: Some(HashMap::from([(LABEL.to_owned(), "1".to_owned())])),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{VOLUME}:/opt/data")]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default()
        .name(CONTAINER)
        .build();
    docker
        .create_container(Some(options), body)
        .await
        .map_err(EngineError::on(format!("create {CONTAINER}")))?;
    Ok(())
}

async fn start(docker: &Docker) -> Result<(), EngineError> {
    let step = Step::begin(format!("start {CONTAINER}"));
    docker
        .start_container(CONTAINER, None)
        .await
        .map_err(EngineError::on(format!("start {CONTAINER}")))?;
    step.done("started");
    Ok(())
}

/// Asks again until the answer is yes. A container that has ended answers no more.
async fn wait_for(
    docker: &Docker,
    what: &'static str,
    bound: Duration,
    step: &Step,
    mut ask: impl AsyncFnMut() -> Result<Result<(), String>, EngineError>,
) -> Result<(), UpError> {
    let deadline = Instant::now() + bound;
    let mut seen = String::new();
    loop {
        let container = inspect(docker).await?;
        if found(container.as_ref()) != Found::Running {
            return Err(ended(docker, container.as_ref()).await?);
        }
        let last = match ask().await? {
            Ok(()) => return Ok(()),
            Err(last) => last,
        };
        if last != seen {
            step.note(&last);
            seen.clone_from(&last);
        }
        if Instant::now() >= deadline {
            return Err(UpError::TimedOut {
                what,
                seconds: bound.as_secs(),
                last,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ended(
    docker: &Docker,
    container: Option<&ContainerInspectResponse>,
) -> Result<UpError, EngineError> {
    let state = container
        .and_then(|container| container.state.as_ref())
        .map_or_else(
            || "it was removed".to_owned(),
            |state| format!("exit code {}", state.exit_code.unwrap_or(-1)),
        );
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("20")
        .build();
    let mut stream = docker.logs(CONTAINER, Some(options));
    let mut logs = String::new();
    while let Some(Ok(chunk)) = stream.next().await {
        logs.push_str(&chunk.to_string());
    }
    Ok(UpError::Ended {
        state,
        logs: logs.trim_end().to_owned(),
    })
}

/// Waits until the agent's own tree answers.
async fn supervised(docker: &Docker) -> Result<(), UpError> {
    let step = Step::begin("supervision");
    wait_for(
        docker,
        "/run/service is not supervised",
        BOOT,
        &step,
        async || {
            let ran = exec(docker, CONTAINER, USER, &["/command/s6-svok", DEFAULT_SLOT]).await?;
            Ok(if ran.code == 0 {
                Ok(())
            } else {
                Err(line(&ran.output, "no supervisor yet"))
            })
        },
    )
    .await?;
    step.done("answers");
    Ok(())
}

const DEFAULT_SLOT: &str = "/run/service/gateway-default";
const SLOT: &str = "/run/service/gateway-coder";
const STATE: &str = "/opt/data/profiles/coder/gateway_state.json";

/// Creates the profile with the agent's own command.
async fn profile(docker: &Docker) -> Result<(), UpError> {
    let there = ["test", "-d", "/opt/data/profiles/coder"];
    if exec(docker, CONTAINER, USER, &there).await?.code == 0 {
        return Ok(());
    }
    let step = Step::begin(format!("hermes profile create {PROFILE}"));
    exec_ok(
        docker,
        CONTAINER,
        USER,
        &["hermes", "profile", "create", PROFILE],
    )
    .await?;
    step.done("created");
    Ok(())
}

/// Starts its gateway, likewise, and waits until it says that it is running.
async fn gateway(docker: &Docker) -> Result<(), UpError> {
    let step = Step::begin(format!("hermes -p {PROFILE} gateway start"));
    if running(docker).await?.is_err() {
        exec_ok(
            docker,
            CONTAINER,
            USER,
            &["hermes", "-p", PROFILE, "gateway", "start"],
        )
        .await?;
        wait_for(
            docker,
            "the gateway is not running",
            GATEWAY,
            &step,
            async || running(docker).await,
        )
        .await?;
    }
    step.done("running");
    Ok(())
}

/// Whether s6 says up and that very process says running; if not, what they say.
async fn running(docker: &Docker) -> Result<Result<(), String>, EngineError> {
    let status = exec(docker, CONTAINER, USER, &["/command/s6-svstat", SLOT])
        .await?
        .output;
    let state = exec(docker, CONTAINER, USER, &["cat", STATE]).await?;
    let state = if state.code == 0 {
        state.output
    } else {
        String::new()
    };
    let started = match supervised_pid(&status) {
        Some(pid) => {
            let stat = format!("/proc/{pid}/stat");
            let stat = exec(docker, CONTAINER, USER, &["cat", &stat]).await?;
            start_time(&stat.output)
        }
        None => None,
    };
    Ok(judge(&status, &state, started))
}

/// `up (pid 76 pgid 76) 3 seconds` -> 76.
fn supervised_pid(status: &str) -> Option<u32> {
    let rest = status.strip_prefix("up (pid ")?;
    rest.split([' ', ')']).next()?.parse().ok()
}

/// Field 22 of `/proc/PID/stat`: when the process started, in clock ticks since the host did.
fn start_time(stat: &str) -> Option<u64> {
    // The second field, the name, may hold anything, but nothing after it holds a parenthesis.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// The agent's state file, as far as it matters here.
#[derive(Debug, Deserialize)]
struct StateFile {
    gateway_state: Option<String>,
    pid: Option<u32>,
    start_time: Option<u64>,
}

/// The file outlives its gateway, and a container that boots again has the same PIDs again.
fn judge(status: &str, state: &str, started: Option<u64>) -> Result<(), String> {
    let pid = supervised_pid(status);
    // A file that is being replaced may be read half.
    let said = match serde_json::from_str::<StateFile>(state) {
        Ok(state) if pid.is_some() && state.pid == pid && state.start_time == started => {
            state.gateway_state
        }
        _ => None,
    };
    match said.as_deref() {
        Some("running") => Ok(()),
        said => Err(format!(
            "s6 says {}; the gateway says {}",
            line(status, "nothing")
                .split(" (")
                .next()
                .unwrap_or_default(),
            said.unwrap_or("nothing")
        )),
    }
}

fn line(text: &str, otherwise: &str) -> String {
    text.lines()
        .next()
        .filter(|line| !line.trim().is_empty())
        .unwrap_or(otherwise)
        .to_owned()
}

async fn show(docker: &Docker) -> Result<(), UpError> {
    let listing = exec_ok(
        docker,
        CONTAINER,
        "root",
        &["ps", "-eo", "pid=,ppid=,user:12=,args="],
    )
    .await?;
    let status = exec_ok(docker, CONTAINER, USER, &["/command/s6-svstat", SLOT]).await?;
    anstream::print!("\n{}", tree::draw(&listing, 88));
    anstream::println!("\ngateway-{PROFILE}: {}", status.trim_end());
    anstream::print!("{NEXT}");
    Ok(())
}

const NEXT: &str = "
Try next:
  docker exec -it -u hermes talaria-up hermes              talk to the agent
  docker exec -u hermes talaria-up hermes -p coder gateway stop
  docker exec -u hermes talaria-up /command/s6-svstat /run/service/gateway-coder
  docker exec -it talaria-up bash                          look around, as root
  docker logs -f talaria-up
  cargo xtask down [--volume]
";

/// Removes the container, and its volume if asked.
pub(crate) async fn down(volume: bool) -> Result<(), UpError> {
    let docker = engine::connect().await?;
    match found(inspect(&docker).await?.as_ref()) {
        Found::NotOurs => return Err(UpError::NotOurs),
        Found::Nothing => anstream::eprintln!("{CONTAINER} is not there"),
        Found::Stopped | Found::Running => {
            let step = Step::begin(format!("remove {CONTAINER}"));
            docker
                .stop_container(CONTAINER, None)
                .await
                .map_err(EngineError::on(format!("stop {CONTAINER}")))?;
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            docker
                .remove_container(CONTAINER, Some(options))
                .await
                .map_err(EngineError::on(format!("remove {CONTAINER}")))?;
            step.done("removed");
        }
    }
    if volume {
        match docker
            .remove_volume(VOLUME, None::<RemoveVolumeOptions>)
            .await
        {
            Ok(()) => anstream::eprintln!("volume {VOLUME}: removed"),
            Err(error) if is_not_found(&error) => {
                anstream::eprintln!("volume {VOLUME} is not there");
            }
            Err(error) => {
                return Err(EngineError::on(format!("remove the volume {VOLUME}"))(error).into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ContainerConfig, ContainerState};
    use rstest::rstest;

    fn container(label: bool, running: bool) -> ContainerInspectResponse {
        let labels = if label {
            HashMap::from([(LABEL.to_owned(), "1".to_owned())])
        } else {
            HashMap::new()
        };
        ContainerInspectResponse {
            config: Some(ContainerConfig {
                labels: Some(labels),
                ..ContainerConfig::default()
            }),
            state: Some(ContainerState {
                running: Some(running),
                ..ContainerState::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn only_a_container_with_our_label_is_ours() {
        assert_eq!(found(None), Found::Nothing);
        assert_eq!(found(Some(&container(false, true))), Found::NotOurs);
        assert_eq!(found(Some(&container(true, true))), Found::Running);
        assert_eq!(found(Some(&container(true, false))), Found::Stopped);
    }

    const UP: &str = "up (pid 7 pgid 7) 3 seconds, normally down";

    #[rstest]
    #[case::both(UP, r#"{"pid":7,"start_time":5,"gateway_state":"running"}"#, Ok(()))]
    #[case::early(UP, "", Err("s6 says up; the gateway says nothing"))]
    #[case::half_written(UP, r#"{"gatew"#, Err("s6 says up; the gateway says nothing"))]
    #[case::starting(
        UP,
        r#"{"pid":7,"start_time":5,"gateway_state":"starting"}"#,
        Err("s6 says up; the gateway says starting")
    )]
    #[case::of_another_process(
        UP,
        r#"{"pid":8,"start_time":5,"gateway_state":"running"}"#,
        Err("s6 says up; the gateway says nothing")
    )]
    #[case::of_an_earlier_boot(
        UP,
        r#"{"pid":7,"start_time":4,"gateway_state":"running"}"#,
        Err("s6 says up; the gateway says nothing")
    )]
    #[case::down(
        "down (exitcode 0) 3 seconds",
        r#"{"pid":7,"start_time":5,"gateway_state":"running"}"#,
        Err("s6 says down; the gateway says nothing")
    )]
    fn a_gateway_runs_when_s6_and_that_very_process_say_so(
        #[case] status: &str,
        #[case] state: &str,
        #[case] expected: Result<(), &str>,
    ) {
        assert_eq!(
            judge(status, state, Some(5)),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
        assert_eq!(start_time("no such file"), None);
    }
}
