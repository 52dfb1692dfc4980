//! Sandboxes on the real engine.

mod attach;
mod bad;
mod between;
mod copy;
mod cut;
mod doctor;
mod ended;
mod full;
mod given;
mod hang;
mod inits;
mod inside;
mod kill;
mod lifecycle;
mod metadata;
mod own;
mod render;
mod restart;
mod verify;
mod volume;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use docker_harness::labels::Run;
use docker_harness::{Failure, Lab, TestResult, on_image};
use sandbox_core::{Caller, HostPath, Owner, SandboxSpec, Scalar, SpecFile};
use sandbox_engine::find::Address;
use sandbox_engine::{Agent, AgentBinary, Ask, Engine, Exec, Pull, Ran, Sandbox, SandboxError};

/// The machine's engine.
pub(super) const SOCKET: &str = "/var/run/docker.sock";

/// The image that most tests use: Debian, with no entrypoint.
pub(super) const DEBIAN: &str = "talaria-debian:trixie";

/// One test's sandboxes: of an owner of its own, removed when it is dropped.
pub(super) struct Rig<'a> {
    pub(super) lab: &'a Lab,
    pub(super) engine: Engine,
    /// Where the command line is told that the engine is, where it would not find it.
    pub(super) address: Option<String>,
    pub(super) owner: Owner,
    owners: Vec<Owner>,
    profile: String,
}

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy)]
pub(super) enum On {
    /// The machine's.
    Docker,
    /// A Podman of the tests' own.
    Podman,
}

/// Runs a test with its own sandboxes on that engine.
pub(super) fn with_rig_on(on: On, test: impl AsyncFnOnce(&mut Rig<'_>) -> TestResult) {
    with_rig(async |rig| match on {
        On::Docker => test(rig).await,
        On::Podman if own::podman::lend(rig).await? => test(rig).await,
        On::Podman => Ok(()),
    });
}

/// Runs a test with its own sandboxes.
pub(super) fn with_rig(test: impl AsyncFnOnce(&mut Rig<'_>) -> TestResult) {
    let image = || docker_harness::image::base().map(|_| DEBIAN.to_owned());
    on_image(
        image,
        |_| None,
        async |lab| {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let engine = Engine::at(Address::Unix(PathBuf::from(SOCKET))).await?;
            let owner = Owner::new(format!("test-{}-{next}", Run::this().id))?;
            let mut rig = Rig {
                lab,
                engine,
                address: None,
                owners: vec![owner.clone()],
                owner,
                profile: Run::this().scratch_prefix(),
            };
            let done = test(&mut rig).await;
            let cleaned = rig.clean().await;
            done.and(cleaned)
        },
    );
}

impl Rig<'_> {
    /// A spec on Debian, for a task.
    pub(super) fn file(&self, task: &str) -> SpecFile {
        SpecFile {
            image: Some(DEBIAN.to_owned()),
            task: Some(task.to_owned()),
            profile: Some(self.profile.clone()),
            // What is removed by hand is told apart from what the engine removes.
            persist: Some(true),
            ..SpecFile::default()
        }
    }

    pub(super) fn caller(&self) -> Caller {
        let mut caller = Caller::new(self.owner.clone());
        let scratch = self.lab.scratch().to_string_lossy().into_owned();
        caller.data_dir = HostPath::new(scratch).ok();
        (caller.uid, caller.gid) = (Some(1234), Some(1234));
        caller
    }

    pub(super) fn spec(&self, file: SpecFile) -> Result<SandboxSpec, Failure> {
        SandboxSpec::try_from(file, &self.caller())
            .map_err(|problems| format!("{problems:?}").into())
    }

    pub(super) async fn try_get(&self, spec: &SandboxSpec) -> Result<Sandbox, SandboxError> {
        self.get_with(spec, carried()).await
    }

    pub(super) async fn get_with(
        &self,
        spec: &SandboxSpec,
        agent: Agent,
    ) -> Result<Sandbox, SandboxError> {
        let ask = Ask {
            pull: Pull::Never,
            agent,
            progress: &mut |_| {},
        };
        // It is large, and so would be every test.
        Box::pin(self.engine.sandbox(spec, ask)).await
    }

    /// One whose commands the engine runs.
    pub(super) async fn get_bare(&self, file: SpecFile) -> Result<Sandbox, Failure> {
        Ok(self.get_with(&self.spec(file)?, Agent::None).await?)
    }

    pub(super) async fn get(&self, file: SpecFile) -> Result<Sandbox, Failure> {
        Ok(self.try_get(&self.spec(file)?).await?)
    }

    /// Another owner, whose sandboxes are removed as well.
    pub(super) fn other_owner(&mut self) -> Result<Owner, Failure> {
        let other = Owner::new(format!("{}-other", self.owner))?;
        self.owners.push(other.clone());
        Ok(other)
    }

    /// The ids of this rig's containers.
    pub(super) async fn containers(&self) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for owner in &self.owners {
            let label = format!("talaria.owner={}", owner.digest());
            let filters = HashMap::from([("label", vec![label])]);
            let all = ListContainersOptionsBuilder::new()
                .all(true)
                .filters(&filters)
                .build();
            let listed = self.engine.docker().list_containers(Some(all)).await?;
            found.extend(listed.into_iter().filter_map(|one| one.id));
        }
        Ok(found)
    }

    /// The machine's engine again.
    pub(super) async fn back(&mut self) -> TestResult {
        self.engine = Engine::at(Address::Unix(PathBuf::from(SOCKET))).await?;
        self.address = None;
        Ok(())
    }

    async fn clean(&self) -> TestResult {
        for id in self.containers().await? {
            let how = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            // What the engine is removing already is as good as removed.
            self.engine
                .docker()
                .remove_container(&id, Some(how))
                .await
                .ok();
        }
        Ok(())
    }

    /// `talaria sandbox WORDS…` as this rig's owner.
    pub(super) fn talaria(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("sandbox");
        if let Some(address) = &self.address {
            command.args(["--engine", address]);
        }
        command
            .args(words)
            .env_clear()
            .env("HOME", self.lab.scratch())
            .env("TALARIA_OWNER", self.owner.as_str())
            // One for a Podman of the tests' own has nobody else to serve.
            .env("TALARIA_BROKER_IDLE", "60s")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(super) fn say(&self, words: &[&str]) -> Result<Output, Failure> {
        Ok(self.talaria(words).output()?)
    }

    /// The options of a sandbox on Debian for a task, before what else is said.
    pub(super) fn run<'a>(&'a self, task: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec![
            "run",
            "--image",
            DEBIAN,
            "--pull",
            "never",
            "--task",
            task,
            "--profile",
            &self.profile,
        ];
        words.extend(more);
        words
    }
}

/// The agent that the command line brings along as well.
pub(super) fn carried() -> Agent {
    static AGENT: OnceLock<AgentBinary> = OnceLock::new();
    Agent::Volume(AGENT.get_or_init(AgentBinary::embedded).clone())
}

/// The command line, built once.
pub(super) fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "-q", "-p", "talaria"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "talaria cannot be built"
        );
        // Cargo puts tests into target/PROFILE/deps.
        let test = std::env::current_exe().unwrap_or_default();
        let profile = test.parent().and_then(std::path::Path::parent);
        profile.map_or_else(PathBuf::new, |profile| profile.join("talaria"))
    })
}

pub(super) fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

pub(super) async fn shell(sandbox: &Sandbox, script: &str) -> Result<Ran, Failure> {
    Ok(sandbox
        .exec(Exec::new(["sh", "-c", script]), &mut |_, _| {})
        .await?)
}

pub(super) async fn says(sandbox: &Sandbox, script: &str) -> Result<String, Failure> {
    let ran = shell(sandbox, script).await?;
    Ok(ran.outcome.stdout.text().trim().to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields take it")]
pub(super) fn scalar(text: &str) -> Option<Scalar> {
    Some(text.into())
}
