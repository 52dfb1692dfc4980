//! One test's place on the engine: what it creates is its own, and goes with it.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::attach::{Attached, streams};
use crate::container::{Container, Ended};
use crate::engine::{Doing as _, Engine, is_required, skip};
use crate::error::{EngineError, ImageError};
use crate::image::{self, Facts};
use crate::labels::Run;
use crate::spec::Spec;
use crate::sweep::{Owned, sweep};
use crate::terminal::Terminal;
use crate::variant::Expected;

/// Any error that a test meets and does not expect.
pub type Failure = Box<dyn Error + Send + Sync>;
/// What a test gives.
pub type TestResult = Result<(), Failure>;

/// How many tests hold containers at a time: a machine of two cores bears a few.
static PLACES: Semaphore = Semaphore::const_new(4);

/// One test's containers, volumes and scratch directory on an image.
///
/// Dropping it removes them all. A test that fails has their state and logs printed first.
#[derive(Debug)]
pub struct Lab {
    engine: Engine,
    image: String,
    facts: Facts,
    test: String,
    owned: Mutex<Vec<Owned>>,
    scratch: tempfile::TempDir,
    _place: SemaphorePermit<'static>,
}

/// Runs a test on the image without an agent.
///
/// # Panics
///
/// When the test fails, or nothing can be tested though `TALARIA_REQUIRE_ENGINE=1`.
pub fn on_base(test: impl AsyncFnOnce(&Lab) -> TestResult) {
    on_image(image::base, |_| None, test);
}

/// Runs a test on the image with the real agent, or skips it where [`image::OVERRIDE`] names an
/// image without.
///
/// # Panics
///
/// As for [`on_base`].
pub fn on_hermes(test: impl AsyncFnOnce(&Lab) -> TestResult) {
    let without = |facts: &Facts| (!facts.has_agent()).then_some("no agent in the image");
    on_image(image::hermes, without, test);
}

/// Runs a test on the image that `image` gives, or skips it where no engine answers or where
/// `unfit` says why that image cannot show it.
///
/// # Panics
///
/// As for [`on_base`].
pub fn on_image(
    image: impl FnOnce() -> Result<String, ImageError>,
    unfit: impl FnOnce(&Facts) -> Option<&'static str>,
    test: impl AsyncFnOnce(&Lab) -> TestResult,
) {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    let runtime = runtime();
    let engine = match runtime.block_on(Engine::connect()) {
        Ok(engine) => engine,
        Err(error) => {
            let why = format!("no engine: {}", chain(&error));
            assert!(!is_required(), "{why}, and TALARIA_REQUIRE_ENGINE=1");
            return skip(&name, &why);
        }
    };
    let image = image().unwrap_or_else(|error| panic!("{}", chain(&error)));
    let lab = runtime.block_on(Lab::open(engine, &image, &name));
    let lab = lab.unwrap_or_else(|error| panic!("{}", chain(&error)));

    if let Some(why) = unfit(lab.facts()) {
        return skip(&name, why);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&lab))));
    if !matches!(outcome, Ok(Ok(()))) {
        runtime.block_on(lab.report());
    }
    drop(lab);
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => panic!("{}", chain(failure.as_ref())),
        Err(panic) => resume_unwind(panic),
    }
}

/// An error and its sources on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_all().build();
    built.unwrap_or_else(|error| panic!("cannot make a runtime: {error}"))
}

impl Lab {
    /// A lab for `test` on `image`, once the process has swept what earlier runs left behind
    /// and there is a place.
    ///
    /// # Errors
    ///
    /// When there is no such image or no room for scratch files.
    pub async fn open(engine: Engine, image: &str, test: &str) -> Result<Self, EngineError> {
        static SWEPT: OnceCell<()> = OnceCell::const_new();
        SWEPT
            .get_or_init(async || match sweep(&engine).await {
                Ok(swept) if swept.is_empty() => {}
                Ok(swept) => eprintln!("swept what earlier runs left: {swept:?}"),
                Err(error) => eprintln!("cannot sweep what earlier runs left: {}", chain(&error)),
            })
            .await;
        let facts = Facts::of(&engine, image).await?;
        let scratch = tempfile::Builder::new()
            .prefix(&Run::this().scratch_prefix())
            .tempdir();
        let scratch = scratch.map_err(|source| EngineError::Scratch {
            path: std::env::temp_dir(),
            source,
        })?;
        let place = PLACES
            .acquire()
            .await
            .unwrap_or_else(|_| unreachable!("it is never closed"));
        Ok(Self {
            engine,
            image: image.to_owned(),
            facts,
            test: test.to_owned(),
            owned: Mutex::default(),
            scratch,
            _place: place,
        })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The test's name.
    #[must_use]
    pub fn test(&self) -> &str {
        &self.test
    }

    /// The image's name.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// What the image says of itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What this image's init does by design.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.facts.variant().expected()
    }

    /// A directory of this machine that goes with the lab, for bind mounts; anyone may look
    /// into it.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes a file into [`Lab::scratch`] and gives its path.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn scratch_file(
        &self,
        name: &str,
        mode: u32,
        content: &str,
    ) -> Result<PathBuf, EngineError> {
        let path = self.scratch.path().join(name);
        let written = fs::set_permissions(self.scratch.path(), Permissions::from_mode(0o755))
            .and_then(|()| fs::write(&path, content))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(EngineError::Scratch { path, source }),
        }
    }

    /// A container of this lab's image, with nothing said yet.
    pub fn container(&self) -> Spec {
        Spec::new(&self.image)
    }

    /// A new named volume, empty.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn volume(&self) -> Result<String, EngineError> {
        let name = self.own(Owned::Volume);
        let wanted = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(Run::this().labels(&self.test)),
            ..VolumeCreateRequest::default()
        };
        let created = self.engine.docker().create_volume(wanted).await;
        created.doing(format_args!("create volume {name}"))?;
        Ok(name)
    }

    /// A new bridge network; with `apart`, its containers do not reach each other.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn network(&self, apart: bool) -> Result<String, EngineError> {
        let name = self.own(Owned::Network);
        let icc = "com.docker.network.bridge.enable_icc".to_owned();
        let wanted = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            options: Some([(icc, (!apart).to_string())].into()),
            labels: Some(Run::this().labels(&self.test)),
            ..NetworkCreateRequest::default()
        };
        let created = self.engine.docker().create_network(wanted).await;
        created.doing(format_args!("create network {name}"))?;
        Ok(name)
    }

    /// Starts a container in the background.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn start(&self, spec: Spec) -> Result<Container, EngineError> {
        let spec = spec.with_raw_env_set_by_shell(&self.facts.entrypoint);
        if !spec.is_detached() {
            let container = self.create(&spec).await?;
            container.start().await?;
            return Ok(container);
        }
        let name = self.own(Owned::Container);
        let labels = Run::this().labels(&self.test);
        let (image, tag) = spec
            .image
            .rsplit_once(':')
            .unwrap_or((&spec.image, "latest"));
        let mut image = GenericImage::new(image, tag);
        if let Some([entrypoint]) = spec.entrypoint.as_deref() {
            image = image.with_entrypoint(entrypoint);
        }
        let host_config = spec.host_config(&labels);
        let mut request = image
            .with_container_name(&name)
            .with_cmd(spec.command)
            .with_labels(labels)
            .with_host_config_modifier(move |config| *config = host_config.clone());
        for (variable, value) in spec.env {
            request = request.with_env_var(variable, value);
        }
        if let Some(user) = spec.user {
            request = request.with_user(user);
        }
        if let Some(directory) = spec.workdir {
            request = request.with_working_dir(directory);
        }
        let started = request.start().await;
        let started = started.map_err(|source| EngineError::Start {
            name: name.clone(),
            source: Box::new(source),
        })?;
        // It is the lab's to remove, after a failed test has told its story.
        std::mem::forget(started);
        Ok(Container::new(self.engine.clone(), name))
    }

    /// Starts a container in the foreground, with its streams in hand.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn attach(&self, spec: Spec) -> Result<Attached, EngineError> {
        let container = self.create(&spec).await?;
        let streams = streams(&container, spec.stdin).await?;
        container.start().await?;
        Ok(Attached::new(container, streams))
    }

    /// Starts a container on a terminal of the size that its spec gives (24 by 80 where it says
    /// none).
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn terminal(&self, spec: Spec) -> Result<Terminal, EngineError> {
        let size = spec.terminal.unwrap_or(crate::Size {
            rows: 24,
            columns: 80,
        });
        let container = self.create(&spec.terminal(size)).await?;
        let streams = streams(&container, true).await?;
        container.start().await?;
        let terminal = Terminal::new(container, streams);
        terminal.resize(size).await?;
        Ok(terminal)
    }

    /// Starts a container and waits for its end: `docker run`.
    ///
    /// # Errors
    ///
    /// When the engine refuses, or it does not end within the bound.
    pub async fn run(&self, spec: Spec, within: Duration) -> Result<Ended, EngineError> {
        self.start(spec).await?.ended(within).await
    }

    /// Creates a container and puts its files there, without starting it.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn create(&self, spec: &Spec) -> Result<Container, EngineError> {
        let spec = spec
            .clone()
            .with_raw_env_set_by_shell(&self.facts.entrypoint);
        let name = self.own(Owned::Container);
        let docker = self.engine.docker();
        let named = CreateContainerOptionsBuilder::new().name(&name).build();
        let body = spec.create_body(Run::this().labels(&self.test));
        let created = docker.create_container(Some(named), body).await;
        created.doing(format_args!("create container {name}"))?;
        if !spec.files.is_empty() {
            let archive = spec.files.archive();
            let archive = archive.map_err(|source| EngineError::Pack {
                name: name.clone(),
                source,
            })?;
            let at_root = UploadToContainerOptionsBuilder::new().path("/").build();
            let body = bollard::body_full(archive.into());
            let put = docker.upload_to_container(&name, Some(at_root), body).await;
            put.doing(format_args!("put files into container {name}"))?;
        }
        Ok(Container::new(self.engine.clone(), name))
    }

    /// A new name, noted for removal before anything of that name exists.
    fn own(&self, kind: impl FnOnce(String) -> Owned) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talaria-test-{}-{next}", Run::this().id);
        let mut owned = self
            .owned
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        owned.push(kind(name.clone()));
        name
    }

    /// Prints state and log of every container, for a test that failed.
    async fn report(&self) {
        let owned = self
            .owned
            .lock()
            .map(|owned| owned.clone())
            .unwrap_or_default();
        for owned in owned {
            if let Owned::Container(name) = owned {
                eprintln!(
                    "--- {}",
                    Container::new(self.engine.clone(), name).story().await
                );
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let owned = std::mem::take(
            &mut *self
                .owned
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        let engine = self.engine.clone();
        // A thread of its own: this may run inside a runtime, which cannot be blocked.
        let removed = std::thread::spawn(move || {
            runtime().block_on(async {
                // Containers before the volumes that they use.
                let (containers, rest): (Vec<_>, Vec<_>) = owned
                    .into_iter()
                    .partition(|owned| matches!(owned, Owned::Container(_)));
                for owned in containers.into_iter().chain(rest) {
                    if let Err(error) = owned.remove(&engine).await {
                        eprintln!("left behind, the next run sweeps it: {}", chain(&error));
                    }
                }
            });
        });
        if removed.join().is_err() {
            eprintln!(
                "what {} created was not removed: the next run sweeps it",
                self.test
            );
        }
    }
}
