//! The docker command line's contexts: `config.json` names one, `contexts/meta` holds it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Surroundings;

/// A context that is named and cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what docker writes.
    #[error("{} is no such file as docker writes", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// There is no context of that name.
    #[error("there is no docker context {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The context has no address of a Docker engine.
    #[error("docker context {name:?} names no engine")]
    NoEndpoint {
        /// The name.
        name: String,
    },
}

impl ContextError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "docker context ls shows the contexts, docker context use default goes back to the usual \
         one; DOCKER_HOST is used before any context"
            .to_owned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: Option<String>,
}

/// The name and the address of the docker context in use; none where it is `default`, or where
/// `DOCKER_HOST` comes first.
///
/// # Errors
///
/// Where a context is named and cannot be had: to use another engine then would be wrong.
pub fn current_context(around: &Surroundings) -> Result<Option<(String, String)>, ContextError> {
    if around.docker_host.is_some() {
        return Ok(None);
    }
    let Some(directory) = &around.docker_config else {
        return Ok(None);
    };
    let name = match &around.docker_context {
        Some(name) => Some(name.clone()),
        None => read::<ConfigFile>(&directory.join("config.json"))?
            .and_then(|config| config.current_context),
    };
    match name {
        None => Ok(None),
        Some(name) if name.is_empty() || name == "default" => Ok(None),
        Some(name) => address(directory, &name).map(|host| Some((name, host))),
    }
}

fn address(directory: &Path, name: &str) -> Result<String, ContextError> {
    let folder = crate::kill::hex(&Sha256::digest(name));
    let path = directory
        .join("contexts/meta")
        .join(folder)
        .join("meta.json");
    let name = || name.to_owned();
    let meta: Meta = read(&path)?.ok_or_else(|| ContextError::Unknown { name: name() })?;
    if meta.name != name() {
        return Err(ContextError::Unknown { name: name() });
    }
    let host = meta.endpoints.docker.and_then(|docker| docker.host);
    host.filter(|host| !host.is_empty())
        .ok_or_else(|| ContextError::NoEndpoint { name: name() })
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, ContextError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(ContextError::Read { path, source });
        }
    };
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|source| ContextError::Parse {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its folder's name is what `docker context create far` (28.2) makes of it.
    const FAR: &str = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";

    fn surroundings(config: &str) -> (tempfile::TempDir, Surroundings) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), config).unwrap();
        let around = Surroundings {
            docker_config: Some(directory.path().to_owned()),
            ..Surroundings::default()
        };
        (directory, around)
    }

    #[test]
    fn no_configuration_is_the_default_context() {
        let directory = tempfile::tempdir().unwrap();
        let around = Surroundings {
            docker_config: Some(directory.path().to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(current_context(&around).unwrap(), None);
        assert_eq!(current_context(&Surroundings::default()).unwrap(), None);
    }

    #[test]
    fn the_default_context_has_no_address_of_its_own() {
        let (_directory, around) = surroundings(r#"{"currentContext": "default", "auths": {}}"#);
        assert_eq!(current_context(&around).unwrap(), None);
    }

    #[test]
    fn a_context_that_is_gone_is_an_error_and_not_another_engine() {
        let (_directory, around) = surroundings(r#"{"currentContext": "far"}"#);
        let error = current_context(&around).unwrap_err();
        assert_eq!(error.to_string(), r#"there is no docker context "far""#);
    }

    #[test]
    fn a_configuration_that_is_no_json_is_an_error() {
        let (_directory, around) = surroundings("{");
        assert!(matches!(
            current_context(&around).unwrap_err(),
            ContextError::Parse { .. }
        ));
    }

    #[test]
    fn docker_host_comes_before_a_context_that_is_broken() {
        let (_directory, mut around) = surroundings("{");
        around.docker_host = Some("unix:///x".to_owned());
        assert_eq!(current_context(&around).unwrap(), None);
    }
    #[test]
    fn a_context_made_by_docker_is_found() {
        let (directory, around) = surroundings(r#"{"currentContext": "far"}"#);
        let folder = directory.path().join("contexts/meta").join(FAR);
        fs::create_dir_all(&folder).unwrap();
        let meta = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}}"#;
        fs::write(folder.join("meta.json"), meta).unwrap();
        assert_eq!(
            current_context(&around).unwrap(),
            Some(("far".to_owned(), "tcp://far:2375".to_owned()))
        );
    }
}
