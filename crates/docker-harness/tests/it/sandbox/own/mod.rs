//! Engines of a test's own, beside the machine's: to be restarted, filled up, or another kind of
//! engine altogether.

pub(super) mod dockerd;
pub(super) mod podman;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use docker_harness::{Failure, Level, TestResult, wait_for};
use rustix::process::{Pid, Signal, getuid, kill_process};
use sandbox_engine::Engine;
use sandbox_engine::find::Address;

use super::DEBIAN;

/// An engine has many things to look at before it listens, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running engine. It ends when this is dropped, and with the thread that started it.
#[derive(Debug)]
pub(super) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `program` with the words and variables of `command`, writing to `log`.
    fn start(command: &Command, log: &Path) -> Result<Self, Failure> {
        let file = File::create(log)?;
        // Ended with this program, however that ends.
        let mut wrapped = Command::new("setpriv");
        wrapped
            .args(["--pdeathsig", "TERM", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        for (name, value) in command.get_envs() {
            wrapped.envs(value.map(|value| (name, value)));
        }
        let child = wrapped.spawn()?;
        let log = log.to_owned();
        Ok(Self { child, log })
    }

    /// The engine behind the socket, once it answers.
    async fn engine(&mut self, socket: &Path) -> Result<Engine, Failure> {
        let found = wait_for("the engine answers", PATIENCE, async || {
            if let Some(ended) = self.child.try_wait()? {
                let said = std::fs::read_to_string(&self.log)?;
                return Err(Failure::from(format!("it ended with {ended}: {said}")));
            }
            let address = Address::Unix(socket.to_owned());
            Ok(match Engine::at(address).await {
                Ok(engine) => Level::Holds(engine),
                Err(error) => Level::Not(error.to_string()),
            })
        });
        Ok(found.await?)
    }

    /// Asks it to end, and waits for that.
    fn end(&mut self) -> TestResult {
        if self.child.try_wait()?.is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            kill_process(pid.ok_or("it has no pid")?, Signal::TERM)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot end an engine of a test's own: {error}");
        }
    }
}

/// Why no engine of a test's own can run here.
fn missing(programs: &[&str]) -> Option<String> {
    if !getuid().is_root() {
        return Some("an engine of a test's own needs root".to_owned());
    }
    let lacks = |name: &&&str| on_path(name).is_none();
    let program = ["setpriv"].iter().chain(programs).find(lacks)?;
    Some(format!("{program} is not installed"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).map(|directory| directory.join(name));
    all.find(|program| program.is_file())
}

/// Gives the image that tests use to another engine, by a command that reads it.
fn give_image(load: &mut Command) -> TestResult {
    let saved = Command::new("docker").args(["save", DEBIAN]).output()?;
    if !saved.status.success() {
        return Err(super::text(&saved.stderr).into());
    }
    let mut child = load
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&saved.stdout)?;
    }
    let ended = child.wait_with_output()?;
    if ended.status.success() {
        Ok(())
    } else {
        Err(super::text(&ended.stderr).into())
    }
}
