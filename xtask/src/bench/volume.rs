//! A row about what lies in the agent's volume.

use std::process::Command;
use std::time::Duration;

use super::BenchError;
use super::container::timed;
use super::report::{Goal, Row};
use super::sample::in_turns;
use crate::process;

/// Two hundred directories of a thousand empty files each, all of the agent's.
const MANY_FILES: &str = "for d in $(seq 200); do mkdir -p many/$d && (cd many/$d && seq 1000 | xargs touch) || exit 1; done";

/// `docker run --rm` on a volume with next to nothing in it, and on one with
/// 200 000 files.
pub(crate) fn boot_of_many_files(image: &str, samples: usize) -> Result<Row, BenchError> {
    let (empty, full) = (Volume::create()?, Volume::create()?);
    // Both have been booted once, so that the home is there.
    docker(&empty.boot(image, &["true"]))?;
    docker(&full.boot(image, &["sh", "-c", MANY_FILES]))?;
    let time = |volume: &Volume| -> Result<Duration, BenchError> {
        let args = volume.boot(image, &["true"]);
        timed(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut on_empty = || time(&empty);
    let mut on_full = || time(&full);
    Ok(Row::new(
        "docker run --rm with a volume",
        in_turns(
            samples,
            [
                ("an empty volume", &mut on_empty),
                ("200 000 files in it", &mut on_full),
            ],
        )?,
        Goal::Over(25.0),
    ))
}

/// A volume, gone when this is.
#[derive(Debug)]
struct Volume {
    name: String,
}

impl Volume {
    fn create() -> Result<Self, BenchError> {
        let label = ["volume", "create", "--label", "org.talaria.bench=1"].map(str::to_owned);
        let name = docker(&label)?.trim().to_owned();
        Ok(Self { name })
    }

    /// The words that run `command` in a container of `image` on it.
    fn boot(&self, image: &str, command: &[&str]) -> Vec<String> {
        let mount = format!("{}:/opt/data", self.name);
        let words = ["run", "--rm", "--volume", &mount, image];
        let words = words.iter().chain(command).copied();
        words.map(str::to_owned).collect()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Nothing depends on it; the label tells whose it is.
        drop(docker(
            &["volume", "rm", "--force", &self.name].map(str::to_owned),
        ));
    }
}

fn docker(args: &[String]) -> Result<String, BenchError> {
    Ok(process::output(Command::new("docker").args(args))?)
}
