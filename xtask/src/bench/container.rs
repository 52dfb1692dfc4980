//! Rows about a whole container: starting it and stopping it.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::BenchError;
use super::report::{Goal, Row};
use super::sample::{in_turns, time};
use crate::process::{self, ProcessError};

/// How long a container may take to be ready for its measurement.
const READY: Duration = Duration::from_mins(2);

/// A `/run` that no storage driver stands behind.
pub(crate) const RUN_TMPFS: [&str; 2] = ["--tmpfs", "/run:rw,noexec,nosuid,mode=1777,size=64m"];

/// How often what takes a second or more is timed.
pub(crate) const FEW: usize = 5;

/// Ten services in the agent's scandir, each up as soon as it is scanned.
const TEN_SERVICES: &str = "for n in 0 1 2 3 4 5 6 7 8 9; do mkdir /run/service/idle-$n; \
    printf '#!/bin/sh\\nexec sleep infinity\\n' > /run/service/idle-$n/run; chmod +x /run/service/idle-$n/run; done; \
    exec /command/s6-svscanctl -a /run/service";

/// Whether all of them are up.
const ALL_UP: &str = "for n in 0 1 2 3 4 5 6 7 8 9; do [ \"$(/command/s6-svstat -o up /run/service/idle-$n)\" = true ] || exit 1; done";

/// `docker run --rm IMAGE true`, beside the same image without its init.
pub(crate) fn run_true(image: &str, samples: usize) -> Result<Row, BenchError> {
    let mut plain = || timed(&["run", "--rm", "--entrypoint", "true", image]);
    let mut ours = || timed(&["run", "--rm", image, "true"]);
    Ok(Row::new(
        "docker run --rm IMAGE true",
        in_turns(
            samples,
            [
                ("the image without its init", &mut plain),
                ("talaria", &mut ours),
            ],
        )?,
        Goal::Over(60.0),
    ))
}

/// From `docker run` to the first thing that the main program does, with no profile in the home,
/// beside the same image without its init.
pub(crate) fn boot(image: &str, samples: usize) -> Result<Row, BenchError> {
    let date = [image, "date", "+%s%N"];
    let mut plain = || until_main(&["--entrypoint", "date", image, "+%s%N"]);
    let mut layered = || until_main(&date);
    let mut ours = || until_main(&[&RUN_TMPFS[..], &date].concat());
    let samples = in_turns(
        samples,
        [
            ("the image without its init", &mut plain),
            ("talaria, /run in the image", &mut layered),
            ("talaria, /run a tmpfs", &mut ours),
        ],
    )?;
    let work = "boot to main program, no profiles";
    Ok(Row::new(work, samples, Goal::Over(30.0)))
}

/// The time from now to the one that a container's program tells, in nanoseconds since 1970.
fn until_main(args: &[&str]) -> Result<Duration, BenchError> {
    let begin = SystemTime::now();
    let told = process::output(Command::new("docker").args(["run", "--rm"]).args(args))?;
    let main = UNIX_EPOCH + Duration::from_nanos(told.trim().parse().unwrap_or(u64::MAX));
    Ok(main.duration_since(begin).unwrap_or_default())
}

/// `docker stop` of a container with ten idle services, beside one with a single
/// idle program under the engine's own init.
pub(crate) fn stop_ten_services(image: &str, samples: usize) -> Result<Row, BenchError> {
    let mut plain =
        || Running::start(&["--init", "--entrypoint", "sleep", image, "infinity"])?.stop();
    let mut ours = || {
        let container = Running::start(&[image, "sleep", "infinity"])?;
        container.exec(TEN_SERVICES)?;
        container.wait_for(ALL_UP, "ten services up")?;
        container.stop()
    };
    Ok(Row::new(
        "docker stop",
        in_turns(
            samples,
            [
                ("one idle program", &mut plain),
                ("talaria, ten idle services", &mut ours),
            ],
        )?,
        Goal::Over(200.0),
    ))
}

/// A container in the background, gone when this is.
#[derive(Debug)]
pub(crate) struct Running {
    id: String,
}

impl Running {
    /// `docker run --detach --rm` with these arguments.
    pub(crate) fn start(args: &[&str]) -> Result<Self, BenchError> {
        let label = ["run", "--detach", "--rm", "--label", "org.talaria.bench=1"];
        let id = process::output(Command::new("docker").args(label).args(args))?;
        Ok(Self {
            id: id.trim().to_owned(),
        })
    }

    /// What a script writes that the agent's user runs in it.
    pub(crate) fn exec(&self, script: &str) -> Result<String, BenchError> {
        let exec = ["exec", "--user", "hermes", &self.id, "sh", "-c", script];
        Ok(process::output(Command::new("docker").args(exec))?)
    }

    /// How long work takes inside it, as a whole process, without what `docker exec` takes.
    pub(crate) fn inside(&self, work: &str) -> Result<Duration, BenchError> {
        let script = format!(
            "exec bash -c 'a=$EPOCHREALTIME; {work} > /dev/null; b=$EPOCHREALTIME; \
             echo $(( ${{b/./}} - ${{a/./}} ))'"
        );
        let told = self.exec(&script)?;
        let microseconds = told.trim().parse();
        microseconds
            .map(Duration::from_micros)
            .map_err(|_| BenchError::Unexpected {
                what: format!("`{work}` was to be timed, and told {told:?}"),
            })
    }

    /// Runs a check in it until it succeeds.
    pub(crate) fn wait_for(&self, check: &str, what: &'static str) -> Result<(), BenchError> {
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            match self.exec(check) {
                Ok(_) => return Ok(()),
                Err(BenchError::Process(ProcessError::Failed { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(BenchError::TimedOut {
            what,
            seconds: READY.as_secs(),
        })
    }

    /// How long `docker stop` takes.
    fn stop(self) -> Result<Duration, BenchError> {
        timed(&["stop", &self.id])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already, which is all that is wanted.
        drop(process::output(
            Command::new("docker").args(["rm", "--force", &self.id]),
        ));
    }
}

/// How long a `docker` command takes.
pub(crate) fn timed(args: &[&str]) -> Result<Duration, BenchError> {
    time(|| {
        process::output(Command::new("docker").args(args))
            .map(drop)
            .map_err(BenchError::from)
    })
}
