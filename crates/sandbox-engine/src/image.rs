//! Images: whether they are there, and fetching them.

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use crate::connect::Engine;
use crate::error::{Fault, RequestError, Retry, ask};

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pull {
    /// Where the engine does not have it.
    #[default]
    Missing,
    /// Never.
    Never,
    /// Each time.
    Always,
}

/// How far fetching has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The layer, where it is about one.
    pub layer: Option<String>,
    /// What is being done, in the engine's words.
    pub status: String,
    /// Bytes done of bytes in all, where they are known.
    pub bytes: Option<(u64, u64)>,
}

/// An image that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Its name is not one.
    #[error("{image:?} is not the name of an image")]
    Name {
        /// What was given.
        image: String,
    },
    /// It is not there, and was not to be fetched.
    #[error("the engine does not have the image {image}")]
    Missing {
        /// The image.
        image: String,
    },
    /// The engine could not fetch it.
    #[error("the engine does not have the image {image} and cannot pull it")]
    Pull {
        /// The image.
        image: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The engine could not be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ImageError {
    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Name { .. } | Self::Missing { .. } => Retry::No,
            Self::Pull { fault, .. } if fault.is_not_found() => Retry::No,
            Self::Pull { fault, .. } => fault.retry(),
            Self::Request(error) => error.retry(),
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } => "a name is NAME[:TAG], in lower case".to_owned(),
            Self::Missing { image } => {
                format!("docker pull {image}, or docker images for what is there")
            }
            Self::Pull { image, fault } => match fault.as_ref() {
                Fault::Refused { status: 404, .. } => format!(
                    "is the name right? docker images shows what is there; for a private image: \
                     docker login, docker pull {image}"
                ),
                Fault::Refused { .. } => format!(
                    "the engine may not reach the registry: docker pull {image} shows the same; \
                     docker load brings an image in from a file"
                ),
                fault => return fault.hint(),
            },
            Self::Request(error) => return error.hint(),
        })
    }
}

impl Engine {
    /// What the engine knows of an image, once it has it.
    ///
    /// # Errors
    ///
    /// [`ImageError`] when it is not there and cannot be fetched.
    pub async fn image(
        &self,
        image: &str,
        pull: Pull,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<bollard::models::ImageInspect, ImageError> {
        if pull != Pull::Always
            && let Some(found) = self.look_for_image(image).await?
        {
            return Ok(found);
        }
        if pull == Pull::Never {
            let image = image.to_owned();
            return Err(ImageError::Missing { image });
        }
        self.pull(image, progress).await?;
        let found = self.look_for_image(image).await?;
        found.ok_or_else(|| ImageError::Missing {
            image: image.to_owned(),
        })
    }

    pub(crate) async fn look_for_image(
        &self,
        image: &str,
    ) -> Result<Option<bollard::models::ImageInspect>, ImageError> {
        // The name becomes part of a path.
        let is_odd = |c: char| !(c.is_ascii_alphanumeric() || "._-/:@".contains(c));
        if image.is_empty() || image.contains(is_odd) || image.contains("..") {
            let image = image.to_owned();
            return Err(ImageError::Name { image });
        }
        match ask(|| self.docker.inspect_image(image)).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(Fault::Refused { status: 400, .. }) => Err(ImageError::Name {
                image: image.to_owned(),
            }),
            Err(fault) => Err(RequestError::new(format!("inspect image {image}"), fault).into()),
        }
    }

    async fn pull(
        &self,
        image: &str,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ImageError> {
        let has_tag = image.contains('@')
            || image
                .rsplit_once(':')
                .is_some_and(|(_, tag)| !tag.contains('/'));
        // Without a tag the engine would fetch all of them.
        let named = if has_tag {
            image.to_owned()
        } else {
            format!("{image}:latest")
        };
        let options = CreateImageOptionsBuilder::new().from_image(&named).build();
        let mut steps = self.docker.create_image(Some(options), None, None);
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| ImageError::Pull {
                image: image.to_owned(),
                fault: Box::new(error.into()),
            })?;
            let bytes = step.progress_detail.and_then(|detail| {
                let number = |number: Option<i64>| u64::try_from(number?).ok();
                Some((number(detail.current)?, number(detail.total)?))
            });
            progress(Progress {
                layer: step.id,
                status: step.status.unwrap_or_default(),
                bytes,
            });
        }
        Ok(())
    }
}
