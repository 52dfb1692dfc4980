//! A dockerd of a test's own, out of reach of the machine's network.

use std::path::{Path, PathBuf};
use std::process::Command;

use docker_harness::engine::skip;
use docker_harness::{Failure, TestResult};
use sandbox_engine::Engine;

use super::{Service, give_image, missing};
use crate::sandbox::{Rig, text};

/// What a dockerd does beyond the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum With {
    Nothing,
    /// What it runs outlives it.
    LiveRestore,
    /// Networks that lead somewhere: to what its network namespace is connected to.
    Networks,
}

/// A dockerd that can be restarted. What it runs goes with it when it is dropped.
pub(in crate::sandbox) struct Dockerd {
    directory: PathBuf,
    with: With,
    service: Option<Service>,
}

impl Dockerd {
    /// Starts one that keeps everything in `directory`, and gives it the image; nothing where none can
    /// run, which is told.
    pub(in crate::sandbox) async fn start(
        rig: &mut Rig<'_>,
        directory: &Path,
        with: With,
    ) -> Result<Option<Self>, Failure> {
        if let Some(why) = missing(&["dockerd", "docker", "unshare"]) {
            skip(rig.lab.test(), &why);
            return Ok(None);
        }
        let mut started = Self {
            directory: directory.to_owned(),
            with,
            service: None,
        };
        rig.engine = started.resume().await?;
        rig.address = Some(started.address());
        give_image(started.docker().arg("load"))?;
        Ok(Some(started))
    }

    pub(in crate::sandbox) fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("sock")
    }

    /// The command line, for this engine.
    pub(in crate::sandbox) fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        docker.arg("-H").arg(self.address());
        docker
    }

    /// Runs a command in its network namespace, to its end.
    pub(in crate::sandbox) fn in_its_network(&self, words: &[&str]) -> TestResult {
        let service = self.service.as_ref().ok_or("it is down")?;
        let ended = Command::new("nsenter")
            .args(["--net", "--target", &service.child.id().to_string(), "--"])
            .args(words)
            .output()?;
        if ended.status.success() {
            Ok(())
        } else {
            Err(format!("{words:?}: {}", text(&ended.stderr)).into())
        }
    }

    /// Starts it where it is down.
    pub(in crate::sandbox) async fn resume(&mut self) -> Result<Engine, Failure> {
        let place = |name: &str| self.directory.join(name);
        // Without a bridge, dockerd removes the one named docker0, whosever it is: it gets a network
        // namespace of its own, in which there is none.
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "dockerd"]);
        if self.with != With::Networks {
            command.args(["--bridge=none", "--iptables=false", "--ip-forward=false"]);
        }
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
            ("--config-file", "daemon.json"),
        ] {
            command.arg(option).arg(place(name));
        }
        std::fs::write(place("daemon.json"), "{}")?;
        if self.with == With::LiveRestore {
            command.arg("--live-restore");
        }
        command.arg("-H").arg(self.address());
        let mut service = Service::start(&command, &place("log"))?;
        let engine = service.engine(&self.socket()).await?;
        self.service = Some(service);
        Ok(engine)
    }

    /// Ends it, as a service is ended.
    pub(in crate::sandbox) fn end(&mut self) -> TestResult {
        match self.service.take() {
            Some(mut service) => service.end(),
            None => Ok(()),
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Containers outlive an engine with live-restore.
        if self.service.is_some()
            && let Ok(listed) = self.docker().args(["ps", "--all", "--quiet"]).output()
        {
            for id in text(&listed.stdout).split_whitespace() {
                self.docker().args(["rm", "--force", id]).output().ok();
            }
        }
    }
}
