//! One command in a sandbox, by the command line as people use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::UpError;
use crate::checks::cargo;
use crate::engine::EngineError;
use crate::paths::Checkout;
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// Who it is there, and what of root is left to it: no capability but those that package managers
/// and the change of user need, no way to more, and a filter on system calls.
const SCRIPT: &str = "id; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";

/// What was run, as a person would type it, and what it printed.
#[derive(Debug)]
pub(super) struct Shown {
    /// The command line's program.
    pub(super) program: PathBuf,
    pub(super) command: String,
    pub(super) output: String,
}

/// The command line while it is being built, where it is missing or older than its source.
#[derive(Debug)]
pub(super) struct Building {
    program: PathBuf,
    cargo: JoinHandle<Result<String, ProcessError>>,
}

impl Building {
    /// Begins to build, beside whatever else is done.
    pub(super) fn begin(checkout: &Checkout) -> Self {
        let mut cargo = cargo(checkout);
        cargo.args(["build", "--package", "talaria"]);
        Self {
            program: checkout.target().join("debug/talaria"),
            cargo: thread::spawn(move || process::output(&mut cargo)),
        }
    }

    /// Waits for the rest of it, and gives the program.
    fn finish(self, checkout: &Checkout) -> Result<PathBuf, UpError> {
        let step = Step::begin("build talaria, the command line");
        match self.cargo.join() {
            Ok(built) => built.map_err(UpError::Program)?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        step.done(shown(checkout, &self.program).display());
        Ok(self.program)
    }
}

/// A path as it is typed from the checkout.
fn shown(checkout: &Checkout, path: &Path) -> PathBuf {
    path.strip_prefix(checkout.root())
        .unwrap_or(path)
        .to_owned()
}

/// Runs the command in the sandbox of that task, a new one or the one that is there.
pub(super) fn run(
    building: Building,
    checkout: &Checkout,
    image: &str,
    task: &str,
) -> Result<Shown, UpError> {
    let program = building.finish(checkout)?;
    let words = ["sandbox", "run", "--image", image, "--task", task, "--"];
    let shown = shown(checkout, &program);
    let command = format!("{} {} sh -c \"{SCRIPT}\"", shown.display(), words.join(" "));
    let step = Step::begin("talaria sandbox run");
    let output = process::output(
        Command::new(&program)
            .args(words)
            .args(["sh", "-c", SCRIPT]),
    )
    .map_err(UpError::Sandbox)?;
    step.done("ran");
    Ok(Shown {
        program: shown,
        command,
        output,
    })
}

/// Removes the sandbox of that task, if there is one.
pub(super) async fn remove(
    docker: &Docker,
    checkout: &Checkout,
    task: &str,
) -> Result<(), UpError> {
    let filters = HashMap::from([("label", vec![format!("talaria.task={task}")])]);
    let all = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let there = docker
        .list_containers(Some(all))
        .await
        .map_err(EngineError::on("list sandboxes"))?;
    if there.is_empty() {
        anstream::eprintln!("sandbox {task} is not there");
        return Ok(());
    }
    let program = Building::begin(checkout).finish(checkout)?;
    let step = Step::begin(format!("remove sandbox {task}"));
    process::output(Command::new(program).args(["sandbox", "rm", "--force", task]))
        .map_err(UpError::Sandbox)?;
    step.done("removed");
    Ok(())
}
