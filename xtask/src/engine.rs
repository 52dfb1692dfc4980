//! The container engine: finding it, and what several commands ask of it.

use std::env;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as ApiError;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::time::timeout;

/// Builds and pulls report as they go; this bounds the wait for the first answer to a request.
const ANSWER: Duration = Duration::from_mins(10);

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nothing answers.
    #[error("no container engine answers at {}", tried.join(", "))]
    Unreachable {
        /// Every address, in order.
        tried: Vec<String>,
        /// What happened at the last one.
        source: Option<ApiError>,
    },
    /// It answered with an error.
    #[error("the engine refuses to {action}")]
    Refused {
        /// What was asked.
        action: String,
        /// What it said.
        source: ApiError,
    },
    /// A program in a container failed.
    #[error("{command}: exit code {code}{}", indented(output))]
    Exec {
        /// As it was called.
        command: String,
        /// Its exit code.
        code: i64,
        /// What it wrote.
        output: String,
    },
}

fn indented(output: &str) -> String {
    output.trim_end().lines().fold(String::new(), |text, line| {
        text + "
    " + line
    })
}

impl EngineError {
    /// For `map_err`: what was asked.
    pub(crate) fn on(action: impl Into<String>) -> impl FnOnce(ApiError) -> Self {
        let action = action.into();
        move |source| Self::Refused { action, source }
    }
}

/// Whether an answer says that there is no such thing.
pub(crate) fn is_not_found(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// The addresses to try, from the values of `DOCKER_HOST` and `XDG_RUNTIME_DIR`.
fn addresses(docker_host: Option<String>, runtime_dir: Option<String>) -> Vec<String> {
    if let Some(host) = docker_host.filter(|host| !host.is_empty()) {
        return vec![host];
    }
    let rootless = runtime_dir.map(|dir| format!("unix://{dir}/docker.sock"));
    ["unix:///var/run/docker.sock".to_owned()]
        .into_iter()
        .chain(rootless)
        .collect()
}

/// Connects to the first engine that answers, and agrees on an API version with it.
pub(crate) async fn connect() -> Result<Docker, EngineError> {
    let tried = addresses(
        env::var("DOCKER_HOST").ok(),
        env::var("XDG_RUNTIME_DIR").ok(),
    );
    let mut source = None;
    for address in &tried {
        match Docker::connect_with_host(address) {
            Ok(docker) => {
                let docker = docker.with_timeout(ANSWER);
                match timeout(Duration::from_secs(10), docker.negotiate_version()).await {
                    Ok(Ok(docker)) => return Ok(docker),
                    Ok(Err(error)) => source = Some(error),
                    Err(_) => source = Some(ApiError::RequestTimeoutError),
                }
            }
            Err(error) => source = Some(error),
        }
    }
    Err(EngineError::Unreachable { tried, source })
}

/// What a program in a container did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i64,
    /// Both streams, as they came.
    pub(crate) output: String,
}

/// Runs a program in a running container, as `user`.
pub(crate) async fn exec(
    docker: &Docker,
    container: &str,
    user: &str,
    command: &[&str],
) -> Result<Ran, EngineError> {
    let asked = || EngineError::on(format!("run {} in {container}", command[0]));
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        user: Some(user),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let id = docker
        .create_exec(container, options)
        .await
        .map_err(asked())?
        .id;
    let mut text = String::new();
    if let StartExecResults::Attached { mut output, .. } =
        docker.start_exec(&id, None).await.map_err(asked())?
    {
        while let Some(chunk) = output.next().await {
            let chunk: LogOutput = chunk.map_err(asked())?;
            text.push_str(&String::from_utf8_lossy(&chunk.into_bytes()));
        }
    }
    let code = docker
        .inspect_exec(&id)
        .await
        .map_err(asked())?
        .exit_code
        .unwrap_or(-1);
    Ok(Ran { code, output: text })
}

/// The same, where anything but exit code 0 is an error.
pub(crate) async fn exec_ok(
    docker: &Docker,
    container: &str,
    user: &str,
    command: &[&str],
) -> Result<String, EngineError> {
    let ran = exec(docker, container, user, command).await?;
    if ran.code == 0 {
        Ok(ran.output)
    } else {
        let command = command.join(" ");
        Err(EngineError::Exec {
            command,
            code: ran.code,
            output: ran.output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::named(Some("tcp://host:2375"), Some("/run/user/1"), &["tcp://host:2375"])]
    #[case::rootless(None, Some("/run/user/1"),
        &["unix:///var/run/docker.sock", "unix:///run/user/1/docker.sock"])]
    #[case::plain(None, None, &["unix:///var/run/docker.sock"])]
    #[case::empty_is_unset(Some(""), None, &["unix:///var/run/docker.sock"])]
    fn docker_host_wins_over_the_usual_sockets(
        #[case] host: Option<&str>,
        #[case] runtime_dir: Option<&str>,
        #[case] expected: &[&str],
    ) {
        let found = addresses(host.map(str::to_owned), runtime_dir.map(str::to_owned));
        assert_eq!(found, expected);
    }
}
