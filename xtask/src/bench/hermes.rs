//! Rows about the Hermes agent: its own Docker backend, on docker's containers and on sandboxes.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::BenchError;
use super::report::{Goal, Row};
use super::sample::Samples;
use super::sandbox::{Desk, IMAGE};
use crate::process;

/// The agent, as its package index has it.
const AGENT: &str = "hermes-agent==0.19.0";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/hermes.py");

impl Desk {
    /// A command of the agent's, in a container that it has.
    pub(crate) fn hermes_command(&self, samples: usize) -> Result<Row, BenchError> {
        self.hermes("true, by the Hermes agent", "command", samples)
    }

    /// The agent finds its container again, as a new process does, and is ready for commands.
    pub(crate) fn hermes_attach(&self, samples: usize) -> Result<Row, BenchError> {
        self.hermes("the Hermes agent attaches", "attach", samples)
    }

    fn hermes(&self, name: &'static str, work: &str, samples: usize) -> Result<Row, BenchError> {
        let shim = self.home.join("docker");
        if !shim.is_symlink() {
            symlink(&self.talaria, &shim).map_err(unmade(&shim))?;
        }
        let shim = shim.display().to_string();
        let mut command = Command::new(self.python()?);
        self.dress(&mut command);
        command.env("PYTHONDONTWRITEBYTECODE", "1").args([
            SCRIPT,
            work,
            IMAGE,
            &samples.to_string(),
            "docker",
            &shim,
        ]);
        let told = process::output(&mut command)?;
        let mut told: HashMap<String, Vec<f64>> = serde_json::from_str(&told)?;
        let mut of = |name, docker: &str| Samples {
            name,
            milliseconds: told.remove(docker).unwrap_or_default(),
        };
        let ways = vec![
            of("the real docker", "docker"),
            of("talaria docker-shim", &shim),
        ];
        Ok(Row::new(name, ways, Goal::Times(1.0 / 3.0)))
    }

    /// Python with the agent, installed once.
    fn python(&self) -> Result<PathBuf, BenchError> {
        let target = self.talaria.ancestors().nth(2).unwrap_or(&self.home);
        let directory = target.join("bench-hermes");
        let python = directory.join("bin/python");
        let is_whole = directory.join(AGENT);
        if !is_whole.exists() {
            let venv = ["-m", "venv", "--clear"];
            process::output(Command::new("python3").args(venv).arg(&directory))?;
            let install = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ];
            process::output(Command::new(&python).args(install).arg(AGENT))?;
            fs::write(&is_whole, "").map_err(unmade(&is_whole))?;
        }
        Ok(python)
    }
}

fn unmade(path: &Path) -> impl FnOnce(std::io::Error) -> BenchError {
    let path = path.display().to_string();
    move |error| BenchError::Unexpected {
        what: format!("cannot make {path}: {error}"),
    }
}
