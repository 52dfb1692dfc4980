//! `cargo xtask bench`: Talaria beside what people use today, in one run.
//!
//! Every row measures the same work done in several ways, in turns, so that
//! whatever else the machine is doing falls on all of them. What counts is the
//! difference or ratio of the medians, not the figures themselves.

mod container;
mod document;
mod gateways;
mod hermes;
mod machine;
mod plot;
mod report;
mod sample;
mod sandbox;
mod services;
mod volume;

use std::path::PathBuf;

use crate::engine::EngineError;
use crate::image::{self, ImageError, Request, Target};
use crate::paths::Checkout;
use crate::process::ProcessError;
use crate::progress::Step;

use machine::Machine;
use report::{Format, Row};
use sandbox::Desk;

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
    /// A program that was measured did not do as it should.
    #[error("{what}")]
    Unexpected {
        /// What it did.
        what: String,
    },
    /// `--only` names nothing.
    #[error("no row is called anything like {0}")]
    NoSuchRow(String),
    /// The document cannot be written.
    #[error("cannot write {path}", path = .path.display())]
    Write {
        /// Which of its files.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
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
            Self::NoSuchRow(_) => {
                let names: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
                Some(format!("the rows are: {}", names.join(", ")))
            }
            _ => None,
        }
    }
}

/// What is asked of a run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// How often each way of doing the work is timed
    #[arg(long, default_value_t = 20)]
    samples: usize,
    /// How the rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Measure only what has this in its name, such as `gateway`; may be given again
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Also write benchmarks.md and its plot into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// How a row is measured, so many times each way.
enum Measure {
    /// On the image without an agent.
    Base(fn(&str, usize) -> Result<Row, BenchError>),
    /// Where the agent's own command line is what Talaria stands beside.
    Hermes(fn(&str, usize) -> Result<Row, BenchError>),
    /// In a sandbox.
    Sandbox(fn(&Desk, usize) -> Result<Row, BenchError>),
}

/// Every row by its name.
const ROWS: [(&str, Measure); 18] = [
    ("docker run --rm", Measure::Base(container::run_true)),
    ("boot to main program", Measure::Base(container::boot)),
    ("docker stop", Measure::Base(container::stop_ten_services)),
    (
        "boot of 200 000 files",
        Measure::Base(volume::boot_of_many_files),
    ),
    (
        "status of 1000 services",
        Measure::Base(services::status_of_thousand),
    ),
    (
        "gateway list of 1000",
        Measure::Base(gateways::list_of_thousand),
    ),
    (
        "reconcile of 1000",
        Measure::Hermes(gateways::reconcile_thousand),
    ),
    ("gateway start", Measure::Hermes(gateways::start)),
    ("sandbox shell command", Measure::Sandbox(Desk::shell)),
    ("sandbox session command", Measure::Sandbox(Desk::session)),
    ("sandbox new process", Measure::Sandbox(Desk::new_process)),
    ("sandbox attach", Measure::Sandbox(Desk::attach)),
    (
        "sandbox attach and command",
        Measure::Sandbox(Desk::attach_and_run),
    ),
    ("sandbox creation", Measure::Sandbox(Desk::new_sandbox)),
    ("sandbox output", Measure::Sandbox(Desk::output)),
    ("sandbox crowd", Measure::Sandbox(Desk::crowd)),
    ("hermes command", Measure::Sandbox(Desk::hermes_command)),
    ("hermes attach", Measure::Sandbox(Desk::hermes_attach)),
];

/// The rows whose names hold one of these words; all of them without a word.
fn chosen(only: &[String]) -> Result<Vec<&'static (&'static str, Measure)>, BenchError> {
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word));
    for word in only {
        if !ROWS.iter().any(|(name, _)| name.contains(word)) {
            return Err(BenchError::NoSuchRow(word.clone()));
        }
    }
    Ok(ROWS.iter().filter(|(name, _)| is_chosen(name)).collect())
}

/// Measures the rows that were asked for, and prints them.
pub(crate) async fn run(checkout: &Checkout, options: Options) -> Result<(), BenchError> {
    let chosen = chosen(&options.only)?;
    let request = Request::plain(Target::All);
    image::build(checkout, &request, None).await?;
    let base = image::name("base", &request);
    let hermes = image::name("hermes", &request);
    let machine = Machine::ask().await?;
    let mut desk = None;
    let mut rows = Vec::new();
    for (name, measure) in chosen {
        let step = Step::begin(format!(
            "measure {name}, {} times each way",
            options.samples
        ));
        let row = match measure {
            Measure::Base(measure) => measure(&base, options.samples)?,
            Measure::Hermes(measure) => measure(&hermes, options.samples)?,
            Measure::Sandbox(measure) => {
                if desk.is_none() {
                    desk = Some(Desk::new(checkout)?);
                }
                match &desk {
                    Some(desk) => measure(desk, options.samples)?,
                    None => continue,
                }
            }
        };
        step.done("measured");
        rows.push(row);
    }
    if let Some(folder) = &options.write {
        document::write(folder, &rows, &machine, options.samples)?;
    }
    report::print(&rows, options.format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_chooses_the_rows_that_have_it_in_their_name() {
        let names = |only: &[&str]| -> Vec<_> {
            let only: Vec<_> = only.iter().map(|word| (*word).to_owned()).collect();
            chosen(&only).unwrap().iter().map(|row| row.0).collect()
        };
        assert_eq!(
            names(&["gateway"]),
            ["gateway list of 1000", "gateway start"]
        );
        assert_eq!(
            names(&["stop", "sandbox attach"]),
            [
                "docker stop",
                "sandbox attach",
                "sandbox attach and command"
            ]
        );
        assert_eq!(names(&[]).len(), ROWS.len());
    }

    #[test]
    fn a_word_that_no_row_has_is_refused_with_the_names_there_are() {
        let Err(error) = chosen(&["gatway".to_owned()]) else {
            panic!("it was taken");
        };
        assert_eq!(error.to_string(), "no row is called anything like gatway");
        assert!(error.hint().unwrap().contains("gateway start"));
    }
}
