//! One image through the engine's classic builder.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use bollard::Docker;
use bollard::body_full;
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures_util::StreamExt;

use super::context::FileError;
use super::plan::Build;
use crate::engine::EngineError;
use crate::progress::Step;

/// Lines of the builder's output in the message when a build fails.
const TAIL: usize = 30;

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The builder stopped.
    #[error("cannot build {tag} (all of its output: {log})\n{output}")]
    Failed {
        /// The image.
        tag: String,
        /// A file with everything that it wrote.
        log: String,
        /// The end of that.
        output: String,
        /// What it said last.
        source: EngineError,
    },
    /// The builder ended without an image.
    #[error("the engine built {0} and named no image")]
    NoImage(String),
    /// The engine does not know it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log could not be written.
    #[error("cannot write the build's log")]
    Log(#[from] FileError),
}

/// Builds and tags; returns the image's id. What the builder writes is kept in `log`.
pub(crate) async fn build(
    docker: &Docker,
    plan: &Build,
    base: &str,
    context: Bytes,
    log: &Path,
) -> Result<String, BuildError> {
    let step = Step::begin(format!("build {}", plan.tag));
    let mut arguments: HashMap<&str, &str> = plan
        .args
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    arguments.insert("BASE", base);
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t(&plan.tag)
        .target(plan.stage)
        .buildargs(&arguments)
        .nocache(plan.no_cache)
        .rm(true)
        .forcerm(true)
        .version(BuilderVersion::BuilderV1)
        .build();

    let mut log_file = fs::File::create(log).map_err(FileError::on(log))?;
    let mut lines: Vec<String> = Vec::new();
    let mut events = docker.build_image(options, None, Some(body_full(context)));
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| BuildError::Failed {
            tag: plan.tag.clone(),
            log: log.display().to_string(),
            output: lines[lines.len().saturating_sub(TAIL)..].join("\n"),
            source: EngineError::on("build")(error),
        })?;
        for line in event
            .stream
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            writeln!(log_file, "{line}").map_err(FileError::on(log))?;
            match step_number(line) {
                Some((at, of)) => step.position(at, of, line),
                None => step.note(line),
            }
            lines.push(line.to_owned());
        }
    }
    // The builder also names the image as it goes, but in a form that depends on which features of
    // bollard the rest of the workspace turns on.
    let asked = EngineError::on(format!("inspect {}", plan.tag));
    let image = docker.inspect_image(&plan.tag).await.map_err(asked)?;
    let id = image
        .id
        .ok_or_else(|| BuildError::NoImage(plan.tag.clone()))?;
    step.done(&id);
    Ok(id)
}

/// `Step 3/17 : RUN true` -> (3, 17).
fn step_number(line: &str) -> Option<(u64, u64)> {
    let (at, of) = line
        .strip_prefix("Step ")?
        .split_once(" :")?
        .0
        .split_once('/')?;
    Some((at.parse().ok()?, of.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Step 3/17 : RUN true", Some((3, 17)))]
    #[case("Step by step", None)]
    #[case(" ---> Using cache", None)]
    fn the_builders_steps_are_recognised(#[case] line: &str, #[case] expected: Option<(u64, u64)>) {
        assert_eq!(step_number(line), expected);
    }
}
