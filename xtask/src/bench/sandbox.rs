//! Rows about sandboxes: commands in one that is there, beside the engine's own ways.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::BenchError;
use super::container::{FEW, timed};
use super::report::{Goal, Row};
use super::sample::{Samples, in_turns, time};
use crate::image;
use crate::paths::Checkout;
use crate::process;

/// The image: Debian as it is.
pub(super) const IMAGE: &str = image::STAND_IN;

const TASK: &str = "bench";

/// Gets the sandbox.
const ATTACH: [&str; 6] = ["run", "--image", IMAGE, "--task", TASK, "--persist"];

/// Bytes of the row about output.
const MUCH: u64 = 100_000_000;

/// Programs as users have them, optimised, a place of their own to keep things in, and a sandbox.
pub(crate) struct Desk {
    pub(super) talaria: PathBuf,
    latency: PathBuf,
    pub(super) home: PathBuf,
    /// The sandbox's container.
    container: String,
}

impl Desk {
    pub(crate) fn new(checkout: &Checkout) -> Result<Self, BenchError> {
        let cargo = |words: &[&str]| {
            let mut command = Command::new("cargo");
            command.args(["build", "--quiet", "--release"]).args(words);
            process::output(command.current_dir(checkout.root()))
        };
        cargo(&["--package", "talaria"])?;
        cargo(&["--package", "sandbox-engine", "--example", "latency"])?;
        let release = checkout.target().join("release");
        let home = std::env::temp_dir().join(format!("tal-bench-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&home);
        made.map_err(|error| unexpected(format!("cannot make {}: {error}", home.display())))?;
        let mut desk = Self {
            talaria: release.join("talaria"),
            latency: release.join("examples/latency"),
            home,
            container: String::new(),
        };
        let name = process::output(&mut desk.talaria(&ATTACH))?;
        desk.container.push_str(name.trim());
        Ok(desk)
    }

    fn talaria(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.talaria);
        self.dress(command.arg("sandbox").args(words));
        command
    }

    /// Gives a command this place, and makes its sandboxes this one's.
    pub(super) fn dress(&self, command: &mut Command) {
        command
            .env("HOME", &self.home)
            .env("XDG_RUNTIME_DIR", &self.home)
            .env("TALARIA_OWNER", "bench");
    }

    fn timed(&self, words: &[&str]) -> Result<Duration, BenchError> {
        time(|| Ok(process::output(&mut self.talaria(words)).map(drop)?))
    }

    /// What the example `latency` tells of commands of one program that is connected already: how
    /// long each of them took, by the kind of command.
    fn connected(&self, words: &[&str]) -> Result<HashMap<String, Vec<f64>>, BenchError> {
        Ok(serde_json::from_str(&process::output(
            Command::new(&self.latency).args(words),
        )?)?)
    }

    /// A fresh shell for each command.
    pub(crate) fn shell(&self, samples: usize) -> Result<Row, BenchError> {
        let mut told = self.connected(&[&self.container, &(samples * 10).to_string()])?;
        Ok(Row::new(
            "bash -c true, connected",
            vec![
                of("the exec API", &mut told, "engine_shell"),
                of("talaria", &mut told, "shell"),
            ],
            Goal::Within(3.0),
        ))
    }

    /// One shell that stays.
    pub(crate) fn session(&self, samples: usize) -> Result<Row, BenchError> {
        let mut told = self.connected(&[&self.container, &(samples * 10).to_string()])?;
        Ok(Row::new(
            "true, connected",
            vec![
                of("the exec API", &mut told, "engine_program"),
                of("talaria, a program", &mut told, "program"),
                of("talaria, in a session", &mut told, "session"),
            ],
            Goal::Within(0.6),
        ))
    }

    /// A hundred commands at once.
    pub(crate) fn crowd(&self, samples: usize) -> Result<Row, BenchError> {
        let samples = samples.min(FEW).to_string();
        let mut told = self.connected(&["--crowd", &self.container, &samples])?;
        Ok(Row::new(
            "100 commands at once, connected",
            vec![
                of("the exec API", &mut told, "engine"),
                of("talaria", &mut told, "agent"),
            ],
            Goal::Times(0.5),
        ))
    }

    /// A program that does one thing and ends.
    pub(crate) fn new_process(&self, samples: usize) -> Result<Row, BenchError> {
        Ok(Row::new(
            "true, by a new process",
            in_turns(
                samples,
                [
                    ("docker exec", &mut || {
                        timed(&["exec", &self.container, "true"])
                    }),
                    ("talaria sandbox exec", &mut || {
                        self.timed(&["exec", TASK, "--", "true"])
                    }),
                ],
            )?,
            Goal::Within(15.0),
        ))
    }

    /// A program that gets hold of a sandbox that runs, and would make it.
    pub(crate) fn attach(&self, samples: usize) -> Result<Row, BenchError> {
        Ok(Row::new(
            "attach, by a new process",
            in_turns(
                samples,
                [
                    ("one API list call", &mut || {
                        let mut list = Command::new(&self.latency);
                        time(|| Ok(process::output(list.arg("--list")).map(drop)?))
                    }),
                    ("talaria sandbox run", &mut || self.timed(&ATTACH)),
                ],
            )?,
            Goal::Over(15.0),
        ))
    }

    /// The same, and a command.
    pub(crate) fn attach_and_run(&self, samples: usize) -> Result<Row, BenchError> {
        let words = [&ATTACH[..], &["--", "true"]].concat();
        Ok(Row::new(
            "attach, and true",
            in_turns(
                samples,
                [
                    ("docker exec", &mut || {
                        timed(&["exec", &self.container, "true"])
                    }),
                    ("talaria sandbox run", &mut || self.timed(&words)),
                ],
            )?,
            Goal::Times(1.0),
        ))
    }

    /// From nothing to the first output, not counted what removes it again.
    pub(crate) fn new_sandbox(&self, samples: usize) -> Result<Row, BenchError> {
        let mut made = || {
            let told = process::output(Command::new(&self.latency).args(["--create", IMAGE]))?;
            let taken: f64 = serde_json::from_str(&told)?;
            Ok(Duration::from_secs_f64(taken / 1000.0))
        };
        let mut ours = || {
            let words = [
                "run", "--image", IMAGE, "--task", "new", "--", "echo", "first",
            ];
            let taken = self.timed(&words)?;
            process::output(&mut self.talaria(&["rm", "--force", "new"]))?;
            Ok(taken)
        };
        Ok(Row::new(
            "new sandbox, first output",
            in_turns(
                samples,
                [
                    ("the API's create and start", &mut made),
                    ("docker run --rm", &mut || {
                        timed(&["run", "--rm", IMAGE, "echo", "first"])
                    }),
                    ("talaria sandbox run", &mut ours),
                ],
            )?,
            Goal::Times(1.25),
        ))
    }

    /// A lot of output into a pipe, and how much memory that takes.
    pub(crate) fn output(&self, samples: usize) -> Result<Row, BenchError> {
        let bytes = MUCH.to_string();
        let words = ["head", "-c", &bytes, "/dev/zero"];
        let mut peak = 0;
        let samples = in_turns(
            samples,
            [
                ("docker exec", &mut || {
                    let mut docker = Command::new("docker");
                    Ok(drained(docker.args(["exec", &self.container]).args(words))?.0)
                }),
                ("talaria sandbox exec", &mut || {
                    let mut ours = self.talaria(&["exec", TASK, "--"]);
                    let (taken, memory) = drained(ours.args(words))?;
                    peak = peak.max(memory);
                    Ok(taken)
                }),
            ],
        )?;
        let mut row = Row::new("100 MB of output", samples, Goal::Times(1.0));
        row.notes.push(format!(
            "the client took {} MiB at most, the agent {} MiB",
            peak >> 10,
            self.agent_memory()? >> 10
        ));
        Ok(row)
    }

    fn agent_memory(&self) -> Result<u64, BenchError> {
        let inspect = ["inspect", "--format", "{{.State.Pid}}", &self.container];
        let pid = process::output(Command::new("docker").args(inspect))?;
        Ok(peak(Path::new("/proc").join(pid.trim()).as_path()).unwrap_or(0))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for words in [&["rm", "--all", "--force"][..], &["broker", "stop"]] {
            // Nothing is measured with them any more.
            drop(process::output(&mut self.talaria(words)));
        }
        drop(std::fs::remove_dir_all(&self.home));
    }
}

/// The samples of one kind, out of those that were told.
fn of(name: &'static str, told: &mut HashMap<String, Vec<f64>>, kind: &str) -> Samples {
    Samples {
        name,
        milliseconds: told.remove(kind).unwrap_or_default(),
    }
}

fn unexpected(what: String) -> BenchError {
    BenchError::Unexpected { what }
}

/// Reads all that a command writes: how long that took, and the most memory that it had, in KiB.
fn drained(command: &mut Command) -> Result<(Duration, u64), BenchError> {
    let failed =
        |error: std::io::Error| unexpected(format!("cannot run what is measured: {error}"));
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut count, mut memory, mut piece) = (0, 0, vec![0; 1 << 20]);
    if let Some(mut stdout) = child.stdout.take() {
        loop {
            let some = stdout.read(&mut piece).map_err(failed)?;
            if some == 0 {
                break;
            }
            // A file of /proc takes some microseconds: not for every piece.
            let before: u64 = count;
            count += u64::try_from(some).unwrap_or(0);
            if before >> 23 != count >> 23 {
                memory = peak(&process).unwrap_or(memory);
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() && count == MUCH {
        Ok((begun.elapsed(), memory))
    } else {
        Err(unexpected(format!("{count} bytes came, and then {status}")))
    }
}

/// The most memory that a process has had, in KiB.
fn peak(process: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
