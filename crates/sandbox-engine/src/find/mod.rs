//! Where an engine may be: a list of places in the order in which they are tried.
//!
//! [`candidates`] is a function of values. What it needs of the environment and of the disk is in
//! [`Surroundings`], which the caller fills; [`Surroundings::from_vars`] does it as a command line
//! would.

mod binary;
mod context;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use binary::{Binary, binaries, find_binary};
pub use context::{ContextError, current_context};

/// What the search for an engine depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `DOCKER_HOST`: the one engine to use.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`: the context to use in place of the current one.
    pub docker_context: Option<String>,
    /// Where the docker command line keeps `config.json` and `contexts/`.
    pub docker_config: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: where rootless engines put their sockets.
    pub runtime_dir: Option<PathBuf>,
    /// `HERMES_DOCKER_BINARY`: the engine's command line.
    pub docker_binary: Option<PathBuf>,
    /// A program that is not the engine's command line, even where it goes by that name.
    pub not: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// The user's number.
    pub uid: u32,
}

impl Surroundings {
    /// Takes them from variables, for example `|name| std::env::var_os(name)`.
    ///
    /// An empty variable counts as one that is not set, as for the docker command line.
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>, uid: u32) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let home = set("HOME").map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: set("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| Some(home.as_ref()?.join(".docker"))),
            runtime_dir: set("XDG_RUNTIME_DIR").map(PathBuf::from),
            docker_binary: set("HERMES_DOCKER_BINARY").map(PathBuf::from),
            not: None,
            path: set("PATH"),
            home,
            uid,
        }
    }
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket of this machine.
    Unix(PathBuf),
    /// `HOST:PORT`, without encryption.
    Tcp(String),
    /// Something else, as it was written: `ssh://`, `npipe://`, or no address at all.
    Unsupported(String),
}

impl Address {
    /// Reads what `DOCKER_HOST` or a context says.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            return Self::Unix(PathBuf::from(path));
        }
        if text.starts_with('/') {
            return Self::Unix(PathBuf::from(text));
        }
        let tcp = text
            .strip_prefix("tcp://")
            .or_else(|| text.strip_prefix("http://"));
        match tcp.map(|rest| rest.trim_end_matches('/')) {
            Some(rest) if !rest.is_empty() => Self::Tcp(if rest.contains(':') {
                rest.to_owned()
            } else {
                format!("{rest}:2375")
            }),
            _ => Self::Unsupported(text.to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Unsupported(text) => f.write_str(text),
        }
    }
}

/// Why an address is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// `DOCKER_HOST` names it.
    DockerHost,
    /// The docker context of this name has it.
    Context(String),
    /// It is where an engine of this kind usually listens, for example `rootless Podman`.
    Usual(&'static str),
    /// The caller named it.
    Given,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DockerHost => f.write_str("DOCKER_HOST"),
            Self::Context(name) => write!(f, "docker context {name}"),
            Self::Usual(kind) => f.write_str(kind),
            Self::Given => f.write_str("as told"),
        }
    }
}

/// A place where an engine may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// How it is reached.
    pub address: Address,
    /// Why it is tried.
    pub origin: Origin,
}

/// The places to try, in order.
///
/// A place that the user named (`DOCKER_HOST`, then `context`) is the only one: to fall back from
/// it would run things where nobody expects them.
#[must_use]
pub fn candidates(around: &Surroundings, context: Option<(String, String)>) -> Vec<Candidate> {
    if let Some(host) = &around.docker_host {
        return vec![Candidate {
            address: Address::parse(host),
            origin: Origin::DockerHost,
        }];
    }
    if let Some((name, host)) = context {
        return vec![Candidate {
            address: Address::parse(&host),
            origin: Origin::Context(name),
        }];
    }
    usual(around)
        .into_iter()
        .map(|(kind, path)| Candidate {
            address: Address::Unix(path),
            origin: Origin::Usual(kind),
        })
        .collect()
}

fn usual(around: &Surroundings) -> Vec<(&'static str, PathBuf)> {
    let runtime = around
        .runtime_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", around.uid)));
    let home = |kind, rest: &str| Some((kind, around.home.as_deref()?.join(rest)));
    let fixed = |kind, path: &str| Some((kind, Path::new(path).to_owned()));
    [
        fixed("Docker", "/var/run/docker.sock"),
        Some(("rootless Docker", runtime.join("docker.sock"))),
        home("rootless Docker", ".docker/run/docker.sock"),
        home("Docker Desktop", ".docker/desktop/docker.sock"),
        fixed("Podman", "/run/podman/podman.sock"),
        Some(("rootless Podman", runtime.join("podman/podman.sock"))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            home: Some("/home/ann".into()),
            uid: 1000,
            ..Surroundings::default()
        }
    }

    fn shown(found: &[Candidate]) -> Vec<String> {
        let line = |one: &Candidate| format!("{} ({})", one.address, one.origin);
        found.iter().map(line).collect()
    }

    #[test]
    fn docker_host_is_the_only_place_even_beside_a_context() {
        let around = Surroundings {
            docker_host: Some("tcp://build:2375".to_owned()),
            ..around()
        };
        let context = Some(("far".to_owned(), "unix:///far.sock".to_owned()));
        assert_eq!(
            shown(&candidates(&around, context)),
            ["tcp://build:2375 (DOCKER_HOST)"]
        );
    }

    #[test]
    fn a_context_is_the_only_place_where_docker_host_is_not_set() {
        let context = Some(("far".to_owned(), "unix:///far.sock".to_owned()));
        assert_eq!(
            shown(&candidates(&around(), context)),
            ["unix:///far.sock (docker context far)"]
        );
    }

    #[test]
    fn without_either_the_usual_sockets_are_tried() {
        assert_eq!(
            shown(&candidates(&around(), None)),
            [
                "unix:///var/run/docker.sock (Docker)",
                "unix:///run/user/1000/docker.sock (rootless Docker)",
                "unix:///home/ann/.docker/run/docker.sock (rootless Docker)",
                "unix:///home/ann/.docker/desktop/docker.sock (Docker Desktop)",
                "unix:///run/podman/podman.sock (Podman)",
                "unix:///run/user/1000/podman/podman.sock (rootless Podman)",
            ]
        );
    }

    #[rstest]
    #[case("unix:///a b.sock", Address::Unix("/a b.sock".into()))]
    #[case(" /x.sock ", Address::Unix("/x.sock".into()))]
    #[case("tcp://h:1/", Address::Tcp("h:1".to_owned()))]
    #[case("tcp://h", Address::Tcp("h:2375".to_owned()))]
    #[case("ssh://me@h", Address::Unsupported("ssh://me@h".to_owned()))]
    #[case("tcp://", Address::Unsupported("tcp://".to_owned()))]
    fn an_address_is_read_as_docker_reads_it(#[case] text: &str, #[case] expected: Address) {
        assert_eq!(Address::parse(text), expected);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let vars = |name: &str| match name {
            "DOCKER_HOST" => Some(OsString::new()),
            "HOME" => Some("/h".into()),
            _ => None,
        };
        let around = Surroundings::from_vars(vars, 7);
        assert_eq!(around.docker_host, None);
        assert_eq!(around.docker_config, Some("/h/.docker".into()));
    }
}
