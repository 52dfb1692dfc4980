//! The base image: the pinned one where it can be had, a stand-in made here otherwise.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::body_full;
use bollard::errors::Error as ApiError;
use bollard::models::{CreateImageInfo, ImageSummary};
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::context::FileError;
use super::mmdebstrap::{self, BootstrapError, Recipe};
use crate::digest::Sum;
use crate::engine::{EngineError, is_not_found};
use crate::paths::Checkout;
use crate::progress::Step;

/// The name of the stand-in.
pub(crate) const STAND_IN: &str = "talaria-debian:trixie";
/// Says how a stand-in was made: one that was made the same way is as good as a new one.
const RECIPE_LABEL: &str = "org.talaria.rootfs.recipe";
/// The sum of the archive that it was imported from.
const ARCHIVE_LABEL: &str = "org.talaria.rootfs.sha256";

/// How long a registry may stay silent: before its first word, and in the middle of a pull.
const FIRST_WORD: Duration = Duration::from_secs(8);
const SILENCE: Duration = Duration::from_mins(1);

/// Why there is no base image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// The Dockerfile pins nothing.
    #[error("no `ARG BASE=NAME@sha256:...` in {0}")]
    NoPin(String),
    /// The stand-in could not be made.
    #[error("cannot make a Debian root file system")]
    Bootstrap(#[from] BootstrapError),
    /// The engine could not take it.
    #[error("cannot import a Debian root file system")]
    Engine(#[from] EngineError),
    /// The archive could not be read.
    #[error("cannot read the Debian root file system")]
    File(#[from] FileError),
}

/// What there is before anything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The pinned image is on the engine.
    pub(crate) pinned: bool,
    /// A stand-in made by the present recipe is: its name or id.
    pub(crate) stand_in: Option<String>,
}

/// Where the base image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The pinned image, which is there.
    Pinned,
    /// The stand-in of this name or id, which is there.
    StandIn(String),
    /// Neither: pull the pinned one, and make a stand-in if that fails.
    PullOrMake,
}

/// A build never waits for a registry while something usable is there; `fresh` asks again.
pub(crate) fn choose(observed: Observed, fresh: bool) -> Choice {
    match observed {
        Observed { pinned: true, .. } => Choice::Pinned,
        Observed {
            stand_in: Some(image),
            ..
        } if !fresh => Choice::StandIn(image),
        Observed { .. } => Choice::PullOrMake,
    }
}

/// The image that a Dockerfile pins: the default of its `ARG BASE`.
pub(crate) fn pinned(dockerfile: &str) -> Option<&str> {
    let base = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("ARG BASE="))?;
    base.contains("@sha256:").then_some(base)
}

/// Sees to a base image, and returns its name.
pub(crate) async fn provide(
    docker: &Docker,
    checkout: &Checkout,
    fresh: bool,
) -> Result<String, BaseError> {
    let path = checkout.image().join("Dockerfile");
    let dockerfile = fs::read_to_string(&path).map_err(FileError::on(&path))?;
    let pinned = pinned(&dockerfile).ok_or_else(|| BaseError::NoPin(path.display().to_string()))?;
    let recipe = Recipe::trixie();
    let observed = Observed {
        pinned: is_there(docker, pinned).await?,
        stand_in: stand_in(docker, &recipe).await?,
    };
    match choose(observed, fresh) {
        Choice::Pinned => Ok(pinned.to_owned()),
        Choice::StandIn(image) => Ok(image),
        Choice::PullOrMake => {
            let step = Step::begin(format!(
                "pull {}",
                pinned.split('@').next().unwrap_or(pinned)
            ));
            match pull(docker, pinned, &step).await {
                Ok(()) => {
                    step.done("pulled");
                    Ok(pinned.to_owned())
                }
                Err(why) => {
                    step.done(format!(
                        "not to be had ({why}); a stand-in is made here instead"
                    ));
                    let archive = mmdebstrap::make(checkout, &recipe, fresh)?;
                    import(docker, &archive, &recipe, STAND_IN).await?;
                    Ok(STAND_IN.to_owned())
                }
            }
        }
    }
}

/// Sees to an image of another suite, with its s6, for the tests that ask several versions.
pub(crate) async fn provide_s6(
    docker: &Docker,
    checkout: &Checkout,
    suite: &'static str,
) -> Result<String, BaseError> {
    let image = format!("talaria-test-s6-{suite}:dev");
    if !is_there(docker, &image).await? {
        let recipe = Recipe::s6(suite);
        let archive = mmdebstrap::make(checkout, &recipe, false)?;
        import(docker, &archive, &recipe, &image).await?;
    }
    Ok(image)
}

async fn is_there(docker: &Docker, image: &str) -> Result<bool, EngineError> {
    match docker.inspect_image(image).await {
        Ok(_) => Ok(true),
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) => Err(EngineError::on(format!("inspect {image}"))(error)),
    }
}

/// The stand-in that the present recipe makes. Checkouts that share an engine may differ in
/// their recipes and then take the name from each other; the image stays, and is found by label.
async fn stand_in(docker: &Docker, recipe: &Recipe) -> Result<Option<String>, EngineError> {
    let label = format!("{RECIPE_LABEL}={}", recipe.sum());
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    // An image without a name is listed with all the others only once something is built on it.
    let options = ListImagesOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let images = docker
        .list_images(Some(options))
        .await
        .map_err(EngineError::on("list images"))?;
    Ok(best(&images))
}

/// Of images with the recipe's label: the one that has the name, or else the newest. What was
/// built on a stand-in has its labels too, but also a parent, or an init.
fn best(images: &[ImageSummary]) -> Option<String> {
    let made = |image: &&ImageSummary| {
        image.parent_id.is_empty() && !image.labels.contains_key("org.talaria.init")
    };
    if images
        .iter()
        .filter(made)
        .any(|image| image.repo_tags.iter().any(|tag| tag == STAND_IN))
    {
        return Some(STAND_IN.to_owned());
    }
    images
        .iter()
        .filter(made)
        .max_by_key(|image| image.created)
        .map(|image| image.id.clone())
}

/// Pulls, as long as the registry keeps talking; the error is for people.
async fn pull(docker: &Docker, image: &str, step: &Step) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::default()
        .from_image(image)
        .build();
    let mut events = docker.create_image(Some(options), None, None);
    let mut patience = FIRST_WORD;
    loop {
        match timeout(patience, events.next()).await {
            Ok(Some(Ok(CreateImageInfo { status, .. }))) => step.note(status.unwrap_or_default()),
            Ok(Some(Err(error))) => return Err(short(&error)),
            Ok(None) => return Ok(()),
            Err(_) => return Err(format!("no answer in {} s", patience.as_secs())),
        }
        patience = SILENCE;
    }
}

/// An engine's message about a registry ends in what matters.
fn short(error: &ApiError) -> String {
    match error {
        ApiError::DockerResponseServerError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// Imports the archive as `image`. Every import makes a new image, so this is for an archive that
/// is not there yet.
async fn import(
    docker: &Docker,
    archive: &Path,
    recipe: &Recipe,
    image: &str,
) -> Result<(), BaseError> {
    let step = Step::begin(format!("import {image}"));
    let bytes = fs::read(archive).map_err(FileError::on(archive))?;
    let (name, tag) = image.split_once(':').unwrap_or((image, "latest"));
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(name)
        .tag(tag)
        .changes(vec![
            format!("LABEL {ARCHIVE_LABEL}={}", Sum::of(&bytes)),
            format!("LABEL {RECIPE_LABEL}={}", recipe.sum()),
            "CMD [\"bash\"]".to_owned(),
        ])
        .build();
    let mut events = docker.create_image(Some(options), Some(body_full(bytes.into())), None);
    while let Some(event) = events.next().await {
        let event = event.map_err(EngineError::on(format!("import {image}")))?;
        step.note(event.status.unwrap_or_default());
    }
    step.done("imported");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::pinned_wins(true, true, false, Choice::Pinned)]
    #[case::pinned_needs_no_pull_even_when_fresh(true, false, true, Choice::Pinned)]
    #[case::stand_in_saves_a_pull(false, true, false, Choice::StandIn("here".to_owned()))]
    #[case::fresh_makes_it_again(false, true, true, Choice::PullOrMake)]
    #[case::nothing_there(false, false, false, Choice::PullOrMake)]
    fn the_base_is_the_best_that_is_there(
        #[case] pinned: bool,
        #[case] stand_in: bool,
        #[case] fresh: bool,
        #[case] expected: Choice,
    ) {
        let stand_in = stand_in.then(|| "here".to_owned());
        assert_eq!(choose(Observed { pinned, stand_in }, fresh), expected);
    }

    fn image(id: &str, parent: &str, created: i64, tag: &str) -> ImageSummary {
        ImageSummary {
            id: id.to_owned(),
            parent_id: parent.to_owned(),
            created,
            repo_tags: vec![tag.to_owned()],
            ..ImageSummary::default()
        }
    }

    #[test]
    fn a_stand_in_that_lost_its_name_is_found_and_what_was_built_on_it_is_not() {
        let old = image("old", "", 1, "<none>:<none>");
        let new = image("new", "", 2, "<none>:<none>");
        let built = image("built", "new", 3, "talaria-base:dev");
        let images = [old.clone(), new.clone(), built.clone()];
        assert_eq!(best(&images), Some("new".to_owned()));
        let named = image("old", "", 1, STAND_IN);
        assert_eq!(
            best(&[named, new, built.clone()]),
            Some(STAND_IN.to_owned())
        );
        assert_eq!(best(&[built]), None);
    }

    #[test]
    fn the_dockerfile_pins_its_base_by_digest() {
        let dockerfile = include_str!("../../../image/Dockerfile");
        let image = pinned(dockerfile).unwrap();
        let (name, digest) = image.split_once("@sha256:").unwrap();
        assert_eq!(name, "debian:trixie-slim");
        assert!(digest.parse::<Sum>().is_ok());
        assert_eq!(dockerfile.matches("@sha256:").count(), 1);
    }

    #[test]
    fn a_base_without_a_digest_is_no_pin() {
        assert_eq!(pinned("ARG BASE=debian:trixie-slim\n"), None);
    }
}
