//! Where things are in this checkout.

use std::env;
use std::path::{Path, PathBuf};

/// The checkout and its target folder.
#[derive(Debug, Clone)]
pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// The checkout that this xtask belongs to, as `cargo run` tells it.
    pub(crate) fn find() -> Self {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .map_or_else(|| manifest.clone(), Path::to_path_buf);
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(PathBuf::from(dir)));
        Self { root, target }
    }

    /// The repository's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What goes into images: `image/`.
    pub(crate) fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Everything that building images leaves on this machine: `target/image/`.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("image")
    }
}
