//! What of an image matters to its containers.

use std::fmt;

use super::InspectedImage;
use crate::env;

/// What an image says about the containers that are made from it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The image's id, with `sha256:` before it; empty if it is not known.
    pub id: String,
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its user; empty is root.
    pub user: String,
    /// Its environment, `NAME=value`.
    pub env: Vec<String>,
}

impl fmt::Debug for ImageConfig {
    /// Of variables the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageConfig")
            .field("id", &self.id)
            .field("entrypoint", &self.entrypoint)
            .field("user", &self.user)
            .field("env", &env::names(&self.env))
            .finish()
    }
}

impl From<InspectedImage> for ImageConfig {
    fn from(image: InspectedImage) -> Self {
        Self {
            id: image.id,
            entrypoint: image.config.entrypoint.0,
            user: image.config.user,
            env: image.config.env,
        }
    }
}
