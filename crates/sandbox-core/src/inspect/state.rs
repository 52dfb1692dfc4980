//! The state of a container, in an engine's words.

/// The state of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It was never started.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// The engine is starting it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It has ended.
    Exited,
    /// Its removal failed half way.
    Dead,
    /// A word that this crate does not know.
    Other(String),
}

impl From<&str> for ContainerState {
    fn from(status: &str) -> Self {
        match status {
            "created" | "configured" | "initialized" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" | "stopped" => Self::Exited,
            "dead" => Self::Dead,
            other => Self::Other(other.into()),
        }
    }
}
