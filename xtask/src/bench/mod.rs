//! `cargo xtask bench`: Talaria beside what people use today, in one run.
//!
//! Every row measures the same work done in several ways, in turns, so that
//! whatever else the machine is doing falls on all of them. What counts is the
//! difference or ratio of the medians, not the figures themselves.

mod container;
mod report;
mod sample;
mod services;

use crate::engine::EngineError;
use crate::image::{self, ImageError, Init, Request, Target};
use crate::paths::Checkout;
use crate::process::ProcessError;
use crate::progress::Step;

pub(crate) use report::Format;
use report::Row;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// No engine, or it refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The image is not there and could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A command that was to be timed failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A container did not get as far as being measured.
    #[error("{what} did not happen within {seconds} s")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The rows cannot be written as JSON.
    #[error("cannot write the rows as JSON")]
    Json(#[from] serde_json::Error),
}

impl BenchError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Process(error) if error.is_missing() => Some(
                "the docker command is what is measured: apt-get install docker-cli".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Measures one row on an image, so many times each way.
type Measure = fn(&str, usize) -> Result<Row, BenchError>;

/// Measures every row, `samples` times each way, and prints them.
pub(crate) async fn run(
    checkout: &Checkout,
    samples: usize,
    format: Format,
) -> Result<(), BenchError> {
    image::build(checkout, &Request::plain(Target::Base), None).await?;
    let image = image::tag("base", &Init::Debian);
    let rows: [(&str, Measure); 3] = [
        ("docker run --rm", container::run_true),
        ("docker stop", container::stop_ten_services),
        ("status of 1000 services", services::status_of_thousand),
    ];
    let mut measured = Vec::new();
    for (name, measure) in rows {
        let step = Step::begin(format!("measure {name}, {samples} times each way"));
        measured.push(measure(&image, samples)?);
        step.done("measured");
    }
    report::print(&measured, format)?;
    Ok(())
}
