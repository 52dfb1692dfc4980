//! The images under test, built on demand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::engine::{Doing as _, Engine};
use crate::error::{EngineError, ImageError};
use crate::variant::Variant;

/// The variable that points every test at another image.
pub const OVERRIDE: &str = "TALARIA_TEST_IMAGE";

/// The variable that gives the images another tag than `dev`, as for `cargo xtask image`.
pub const TAG: &str = "TALARIA_TAG";

/// The image without an agent: `talaria-base:dev`, built first where it is missing or stale.
///
/// # Errors
///
/// When the build fails; the failure is kept, so that a process builds at most once.
pub fn base() -> Result<String, ImageError> {
    static BASE: OnceLock<Result<String, ImageError>> = OnceLock::new();
    BASE.get_or_init(|| named_or_built("base")).clone()
}

/// The image with the agent: `talaria-hermes:dev`, built first where it is missing or stale.
///
/// # Errors
///
/// As for [`base`].
pub fn hermes() -> Result<String, ImageError> {
    static HERMES: OnceLock<Result<String, ImageError>> = OnceLock::new();
    HERMES.get_or_init(|| named_or_built("hermes")).clone()
}

fn named_or_built(which: &str) -> Result<String, ImageError> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(named) = set(OVERRIDE) {
        return Ok(named);
    }
    let tag = set(TAG);
    let tag = tag.as_deref().unwrap_or("dev");
    build(which).map(|()| format!("talaria-{which}:{tag}"))
}

/// Debian's `suite` with its s6, made where it is missing: `bookworm` or `forky`.
///
/// # Errors
///
/// When it cannot be made.
pub fn with_s6(suite: &str) -> Result<String, ImageError> {
    xtask(&["s6-image", suite]).map(|()| format!("talaria-test-s6-{suite}:dev"))
}

fn build(which: &str) -> Result<(), ImageError> {
    xtask(&["image", which])
}

/// Runs `cargo xtask` in the workspace, with its progress on this process's stderr.
fn xtask(words: &[&str]) -> Result<(), ImageError> {
    let command = format!("cargo xtask {}", words.join(" "));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .arg("xtask")
        .args(words)
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| ImageError::Spawn {
            command: command.clone(),
            reason: error.to_string(),
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(ImageError::Build { command, status })
    }
}

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `ENV`, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// `USER`, empty for root.
    pub user: String,
    /// `WORKDIR`.
    pub workdir: String,
    /// `VOLUME`.
    pub volumes: Vec<String>,
    /// `LABEL`, sorted.
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Facts {
    /// Asks the engine.
    ///
    /// # Errors
    ///
    /// When there is no such image.
    pub async fn of(engine: &Engine, image: &str) -> Result<Self, EngineError> {
        let inspected = engine.docker().inspect_image(image).await;
        let config = inspected
            .doing(format_args!("inspect image {image}"))?
            .config
            .ok_or_else(|| EngineError::Incomplete {
                request: format!("inspect image {image}"),
                field: "Config",
            })?;
        Ok(Self {
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            workdir: config.working_dir.unwrap_or_default(),
            volumes: config.volumes.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
        })
    }

    /// Whether it holds the real agent.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        let title = self.labels.get("org.opencontainers.image.title");
        title.is_some_and(|title| title == "talaria-hermes")
    }

    /// Which of the two inits it has.
    #[must_use]
    pub fn variant(&self) -> Variant {
        Variant::from_label(self.labels.get(Variant::LABEL).map(String::as_str))
    }
}
