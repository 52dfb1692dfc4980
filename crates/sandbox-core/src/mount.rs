//! Mounts, and which of them would hand over the engine.

use serde::Serialize;

use crate::path::{AbsPath, HostPath};
use crate::problem::Problem;

/// A directory, file or volume that a sandbox is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it comes from.
    #[serde(flatten)]
    pub source: Source,
    /// Where it is in the container.
    pub target: AbsPath,
    /// Whether the sandbox cannot write it.
    pub read_only: bool,
    /// The SELinux label it gets, if any.
    pub selinux: Option<Selinux>,
    /// What it is for.
    pub role: Role,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A path on the host.
    Bind(HostPath),
    /// A volume of the engine's.
    Volume(String),
}

impl Source {
    /// The path or the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bind(path) => path.as_str(),
            Self::Volume(name) => name,
        }
    }
}

/// How SELinux labels a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Selinux {
    /// Shared among containers: `z`.
    #[serde(rename = "z")]
    Shared,
    /// For this container alone: `Z`.
    #[serde(rename = "Z")]
    Private,
}

/// What a mount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// One that the spec lists.
    User,
    /// The caller's working directory, on `/workspace`.
    HostCwd,
    /// A directory of ours that outlives the container; it has to be made before the container.
    Persistent,
    /// Credentials, read-only.
    Credentials,
    /// Skills, read-only.
    Skills,
    /// A cache, read-only.
    Cache,
    /// The engine's socket, since the spec names it.
    EngineSocket,
    /// Our agent.
    Agent,
}

impl Mount {
    /// `HOST:CONTAINER[:OPTIONS]`, as `docker run -v` takes it. Only mounts with an SELinux label
    /// need this form.
    #[must_use]
    pub fn bind_string(&self) -> String {
        let mut options = vec![if self.read_only { "ro" } else { "rw" }];
        options.extend(self.selinux.map(|selinux| match selinux {
            Selinux::Shared => "z",
            Selinux::Private => "Z",
        }));
        format!(
            "{}:{}:{}",
            self.source.as_str(),
            self.target,
            options.join(",")
        )
    }

    /// `type=bind,src=…,dst=…`, as `docker run --mount` takes it: one record of comma-separated values.
    #[must_use]
    pub fn mount_string(&self) -> String {
        let kind = match self.source {
            Source::Bind(_) => "bind",
            Source::Volume(_) => "volume",
        };
        let mut text = [
            format!("type={kind}"),
            format!("src={}", self.source.as_str()),
            format!("dst={}", self.target),
        ]
        .map(quoted)
        .join(",");
        if self.read_only {
            text.push_str(",readonly");
        }
        text
    }
}

/// A field of comma-separated values.
fn quoted(field: String) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// Where engines have their sockets. `*` is any one component.
const SOCKETS: &[&str] = &[
    "/run/docker.sock",
    "/run/docker/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/user/*/docker.sock",
    "/run/user/*/podman/podman.sock",
    "/run/user/*/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/balena-engine.sock",
    "/run/dockershim.sock",
];

/// The names of engines' sockets, wherever they are.
const SOCKET_NAMES: &[&str] = &[
    "docker.sock",
    "docker.raw.sock",
    "podman.sock",
    "containerd.sock",
    "crio.sock",
    "buildkitd.sock",
    "balena-engine.sock",
    "dockershim.sock",
    "docker-cli.sock",
];

/// Directories under a home that hold engines' sockets.
const SOCKET_DIRECTORIES: &[&str] = &[
    ".docker/run",
    ".docker/desktop",
    ".colima",
    ".orbstack/run",
    ".rd",
    ".local/share/containers/podman/machine",
];

/// Why a mount of this path on the host would give a sandbox the engine, and so the host; `None` if
/// it would not, as far as a path can tell. `sockets` are engines' sockets that the caller knows of.
///
/// Symbolic links are not followed here: whoever can, asks again with the resolved path.
///
/// ```
/// use sandbox_core::{HostPath, mount::brings_engine};
/// assert!(brings_engine(&HostPath::new("/var/run")?, &[]).is_some());
/// assert!(brings_engine(&HostPath::new("/srv/project")?, &[]).is_none());
/// # Ok::<(), sandbox_core::PathError>(())
/// ```
#[must_use]
pub fn brings_engine(path: &HostPath, sockets: &[HostPath]) -> Option<String> {
    let real = |path: &HostPath| {
        let path = path.as_str();
        let path = path
            .strip_prefix("/private")
            .filter(|p| p.starts_with("/var/"))
            .unwrap_or(path);
        match path.strip_prefix("/var/run") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
            _ => path.to_owned(),
        }
    };
    let shown = real(path);
    if SOCKET_NAMES.contains(&path.file_name()) {
        return Some(format!("{path} is an engine's socket"));
    }
    if shown == "/proc" || shown.starts_with("/proc/") {
        return Some(format!("{path} leads to the host's root directory"));
    }
    let components = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let ours = components(&shown);
    let leads_to = |socket: &str| {
        let socket = components(socket);
        ours.len() <= socket.len()
            && ours
                .iter()
                .zip(&socket)
                .all(|(ours, theirs)| theirs == "*" || ours == theirs)
    };
    if let Some(socket) = sockets.iter().find(|socket| leads_to(&real(socket))) {
        return Some(format!("{path} holds the engine's socket, {socket}"));
    }
    // `/var` holds `/var/run` only as a link, which the container would follow in itself.
    if let Some(socket) = SOCKETS.iter().find(|socket| leads_to(socket)) {
        return Some(format!(
            "{path} is where engines have their sockets ({socket})"
        ));
    }
    SOCKET_DIRECTORIES
        .iter()
        .find(|directory| {
            let place = format!("/{directory}");
            shown.ends_with(&place) || shown.contains(&format!("{place}/"))
        })
        .map(|directory| format!("{path} is where engines have their sockets (~/{directory})"))
}

/// Whether something may be mounted at this path of the container.
pub(crate) fn check_target(field: &str, target: &AbsPath) -> Result<(), Problem> {
    let at = target.as_str();
    let reserved = ["/proc", "/sys", "/dev", "/.talaria"]
        .iter()
        .any(|base| at == *base || at.starts_with(&format!("{base}/")));
    if at == "/" || reserved && at != "/dev/shm" {
        return Err(
            Problem::new(field, format!("nothing can be mounted at {target}"))
                .hint("choose a directory of its own, such as /mnt/data"),
        );
    }
    Ok(())
}
