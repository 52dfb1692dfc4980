//! The container that `up` starts and `down` removes.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use futures_util::StreamExt;

use super::{Names, UpError};
use crate::engine::{EngineError, is_not_found};
use crate::progress::Step;

/// Marks what `up` has made.
const LABEL: &str = "org.talaria.up";

/// What is there before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    NotOurs,
    Stopped,
    Running,
}

fn judge(container: Option<&ContainerInspectResponse>) -> Found {
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

async fn inspect(
    docker: &Docker,
    name: &str,
) -> Result<Option<ContainerInspectResponse>, EngineError> {
    match docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
    {
        Ok(container) => Ok(Some(container)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(EngineError::on(format!("inspect {name}"))(error)),
    }
}

/// What has the container's name.
pub(super) async fn find(docker: &Docker, name: &str) -> Result<Found, EngineError> {
    Ok(judge(inspect(docker, name).await?.as_ref()))
}

/// Makes it, with the default profile's gateway as its work.
pub(super) async fn create(docker: &Docker, names: &Names, image: &str) -> Result<(), EngineError> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["gateway".to_owned(), "run".to_owned()]),
        labels: Some(HashMap::from([(LABEL.to_owned(), "1".to_owned())])),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{}:/opt/data", names.volume)]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default()
        .name(&names.container)
        .build();
    docker
        .create_container(Some(options), body)
        .await
        .map_err(EngineError::on(format!("create {}", names.container)))?;
    Ok(())
}

/// Starts it.
pub(super) async fn start(docker: &Docker, name: &str) -> Result<(), EngineError> {
    let step = Step::begin(format!("start {name}"));
    docker
        .start_container(name, None)
        .await
        .map_err(EngineError::on(format!("start {name}")))?;
    step.done("started");
    Ok(())
}

/// That it still runs; how it ended otherwise.
pub(super) async fn check_running(docker: &Docker, name: &str) -> Result<(), UpError> {
    let container = inspect(docker, name).await?;
    if judge(container.as_ref()) == Found::Running {
        return Ok(());
    }
    let state = container.and_then(|container| container.state).map_or_else(
        || "it was removed".to_owned(),
        |state| format!("exit code {}", state.exit_code.unwrap_or(-1)),
    );
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("20")
        .build();
    let mut stream = docker.logs(name, Some(options));
    let mut logs = String::new();
    while let Some(Ok(chunk)) = stream.next().await {
        logs.push_str(&chunk.to_string());
    }
    Err(UpError::Ended {
        name: name.to_owned(),
        state,
        logs: logs.trim_end().to_owned(),
    })
}

/// Removes it, after its gateways have had their time to stop.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), EngineError> {
    let step = Step::begin(format!("remove {name}"));
    docker
        .stop_container(name, None)
        .await
        .map_err(EngineError::on(format!("stop {name}")))?;
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    docker
        .remove_container(name, Some(options))
        .await
        .map_err(EngineError::on(format!("remove {name}")))?;
    step.done("removed");
    Ok(())
}

/// Removes its volume.
pub(super) async fn remove_volume(docker: &Docker, name: &str) -> Result<(), EngineError> {
    match docker
        .remove_volume(name, None::<RemoveVolumeOptions>)
        .await
    {
        Ok(()) => anstream::eprintln!("volume {name}: removed"),
        Err(error) if is_not_found(&error) => anstream::eprintln!("volume {name} is not there"),
        Err(error) => {
            return Err(EngineError::on(format!("remove the volume {name}"))(error));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ContainerConfig, ContainerState};

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
        assert_eq!(judge(None), Found::Nothing);
        assert_eq!(judge(Some(&container(false, true))), Found::NotOurs);
        assert_eq!(judge(Some(&container(true, true))), Found::Running);
        assert_eq!(judge(Some(&container(true, false))), Found::Stopped);
    }
}
