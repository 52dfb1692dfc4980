//! A container that does one thing and is gone: for programs that this machine does not have.

use std::collections::HashMap;
use std::io;

use bollard::Docker;
use bollard::body_full;
use bollard::container::LogOutput;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt};

use super::context::Tree;
use crate::engine::EngineError;
use crate::progress::Step;

/// Marks such a container, so that one that was left behind can be told.
const LABEL: &str = "org.talaria.xtask";

/// What to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The image.
    pub(crate) image: &'a str,
    /// For `sh -euc`.
    pub(crate) script: &'a str,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Files that are in `/work` when it starts.
    pub(crate) files: Tree,
}

/// Runs the job and brings back the folder `/work/out` as a tar archive.
pub(crate) async fn run(
    docker: &Docker,
    job: Job<'_>,
    step: &Step,
) -> Result<Vec<u8>, EngineError> {
    let asked = || EngineError::on("run a throwaway container");
    let body = ContainerCreateBody {
        image: Some(job.image.to_owned()),
        entrypoint: Some(vec![
            "/bin/sh".to_owned(),
            "-euc".to_owned(),
            job.script.to_owned(),
        ]),
        env: Some(job.env),
        labels: Some(HashMap::from([(LABEL.to_owned(), "throwaway".to_owned())])),
        working_dir: Some("/work".to_owned()),
        ..ContainerCreateBody::default()
    };
    let id = docker
        .create_container(None::<CreateContainerOptions>, body)
        .await
        .map_err(asked())?
        .id;
    let outcome = work(docker, &id, &job.files, step).await;
    let remove = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    docker
        .remove_container(&id, Some(remove))
        .await
        .map_err(asked())?;
    outcome
}

async fn work(
    docker: &Docker,
    id: &str,
    files: &Tree,
    step: &Step,
) -> Result<Vec<u8>, EngineError> {
    let asked = || EngineError::on("run a throwaway container");
    let archive = files.to_tar().map_err(|err| asked()(err.into()))?;
    let to = UploadToContainerOptionsBuilder::default()
        .path("/work")
        .build();
    docker
        .upload_to_container(id, Some(to), body_full(archive.into()))
        .await
        .map_err(asked())?;
    docker.start_container(id, None).await.map_err(asked())?;

    let follow = LogsOptionsBuilder::default()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .build();
    let mut logs = docker.logs(id, Some(follow));
    let mut tail = Vec::new();
    while let Some(chunk) = logs.next().await {
        let chunk: LogOutput = chunk.map_err(asked())?;
        let text = String::from_utf8_lossy(&chunk.into_bytes()).into_owned();
        for line in text.lines() {
            step.note(line);
            tail.push(line.to_owned());
        }
        tail.drain(..tail.len().saturating_sub(20));
    }
    match docker
        .wait_container(id, None::<WaitContainerOptions>)
        .next()
        .await
    {
        Some(Ok(_)) => {}
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
            let command = "the throwaway container's script".to_owned();
            return Err(EngineError::Exec {
                command,
                code,
                output: tail.join("\n"),
            });
        }
        Some(Err(error)) => return Err(asked()(error)),
        None => return Err(asked()(io::Error::other("no exit code").into())),
    }
    let from = DownloadFromContainerOptionsBuilder::default()
        .path("/work/out")
        .build();
    let bytes: BytesMut = docker
        .download_from_container(id, Some(from))
        .try_fold(BytesMut::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .map_err(asked())?;
    Ok(bytes.to_vec())
}
