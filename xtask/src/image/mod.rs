//! `cargo xtask image`.

mod base;
mod boot;
mod build;
mod context;
mod links;
mod mmdebstrap;
mod overlay;
mod plan;
mod throwaway;
mod wheels;

pub(crate) mod lock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use bytes::Bytes;
use clap::ValueEnum;

use self::base::BaseError;
use self::boot::BootError;
use self::build::BuildError;
use self::context::{FileError, Tree};
use self::overlay::OverlayError;
use self::plan::{Facts, Plan};
use self::wheels::WheelsError;
use crate::engine::{self, EngineError};
use crate::paths::Checkout;
use crate::process;
use crate::progress::Step;

pub(crate) use self::plan::{Request, TAG, name};
pub(crate) use base::STAND_IN;

/// Which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// talaria-base: an init and supervision
    Base,
    /// talaria-hermes: that, and the agent
    Hermes,
    /// Both
    All,
}

impl Target {
    fn has_agent(self) -> bool {
        self != Self::Base
    }

    fn stages(self) -> &'static [&'static str] {
        match self {
            Self::Base => &["base"],
            Self::Hermes => &["hermes"],
            Self::All => &["base", "hermes"],
        }
    }
}

/// Package lists that an agent's image may have besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum With {
    /// ffmpeg
    Media,
    /// Chromium
    Browser,
}

impl With {
    fn list(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Browser => "browser",
        }
    }
}

/// The container's first program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// Ours, over Debian's s6.
    Debian,
    /// s6-overlay's, from the release archives in this folder.
    S6Overlay(PathBuf),
}

impl Init {
    fn name(&self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::S6Overlay(_) => "s6-overlay",
        }
    }
}

/// Text that names no init.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither `debian` nor `s6-overlay=DIR`")]
pub(crate) struct BadInit;

impl FromStr for Init {
    type Err = BadInit;

    fn from_str(text: &str) -> Result<Self, BadInit> {
        match (text, text.strip_prefix("s6-overlay=")) {
            ("debian", _) => Ok(Self::Debian),
            (_, Some(dir)) if !dir.is_empty() => Ok(Self::S6Overlay(dir.into())),
            _ => Err(BadInit),
        }
    }
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// s6-overlay's archives.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The program of ours.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The base image.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The agent's wheels.
    #[error(transparent)]
    Wheels(#[from] WheelsError),
    /// The builder.
    #[error(transparent)]
    Build(Box<BuildError>),
    /// A file of the context.
    #[error("cannot assemble the build context")]
    Context(#[from] FileError),
    /// Not even a thread of our own.
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] std::io::Error),
    /// A new lock.
    #[error(transparent)]
    Lock(#[from] lock::LockError),
}

impl From<BuildError> for ImageError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl ImageError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Overlay(error) => error.hint(),
            Self::Base(BaseError::Bootstrap(error)) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}

fn facts(checkout: &Checkout) -> Result<Facts, FileError> {
    let read = |name: &str| {
        let path = checkout.image().join(name);
        fs::read_to_string(&path).map_err(FileError::on(&path))
    };
    Ok(Facts {
        pinned_base: base::pinned(&read("Dockerfile")?)
            .unwrap_or_default()
            .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: revision(checkout.root()),
        wheels: wheels::locked(&read("hermes.lock")?),
    })
}

/// The commit of a checkout; `unknown` outside of one.
fn revision(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        process::output(Command::new("git").arg("-C").arg(root).args(arguments)).ok()
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain"]).is_none_or(|text| !text.is_empty());
    format!("{}{}", commit.trim(), if changed { "-dirty" } else { "" })
}

/// What will be done.
pub(crate) fn plan(checkout: &Checkout, request: &Request) -> Result<Plan, ImageError> {
    Ok(Plan::new(request, &facts(checkout)?))
}

/// Does it.
pub(crate) async fn build(
    checkout: &Checkout,
    request: &Request,
    checksums: Option<&Path>,
) -> Result<(), ImageError> {
    let _turn = lock_cache(checkout)?;
    let plan = plan(checkout, request)?;
    let docker = engine::connect().await?;
    let init = match (&request.init, links::init(&request.init)) {
        (Init::S6Overlay(dir), _) => overlay::load(dir, checksums)?,
        (Init::Debian, links) => {
            let mut tree = Tree::new();
            let archive = links.unwrap_or_default().to_tar();
            tree.file(
                "links.tar",
                archive.map_err(FileError::on(&checkout.image()))?,
                false,
            );
            tree
        }
    };
    let programs = boot::build(checkout)?;
    let base = base::provide(&docker, checkout, request.no_cache).await?;
    let wheels = if request.target.has_agent() {
        Some(wheels::load(&docker, checkout, &base).await?)
    } else {
        None
    };

    let context = assemble(checkout, &request.init, init, programs, wheels)?;
    let folder = checkout.cache().join("context");
    context.write(&folder)?;
    for build in plan.builds() {
        let without_wheels;
        let needed = if build.stage == "base" {
            without_wheels = context.without("wheels");
            &without_wheels
        } else {
            &context
        };
        let archive = needed.to_tar().map_err(FileError::on(&folder))?;
        let log = checkout.cache().join(format!("build-{}.log", build.stage));
        let id = build::build(&docker, build, &base, Bytes::from(archive), &log).await?;
        anstream::println!("{} {id}", build.tag);
    }
    Ok(())
}

/// A Debian suite whose s6 the tests ask besides trixie's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// s6 2.11
    Bookworm,
    /// s6 2.15
    Forky,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Forky => "forky",
        }
    }
}

/// Makes the image of a suite where it is missing, and prints its name.
pub(crate) async fn build_s6(checkout: &Checkout, suite: Suite) -> Result<(), ImageError> {
    let _turn = lock_cache(checkout)?;
    let docker = engine::connect().await?;
    let image = base::provide_s6(&docker, checkout, suite.name()).await?;
    anstream::println!("{image}");
    Ok(())
}

/// Everything that the Dockerfile copies.
fn assemble(
    checkout: &Checkout,
    init: &Init,
    init_archives: Tree,
    programs: boot::Programs,
    wheels: Option<Tree>,
) -> Result<Tree, FileError> {
    let mut context = Tree::read(&checkout.image())?;
    if *init == Init::Debian {
        context.append("packages/base.txt", "packages/init-debian.txt");
    }
    context.graft("init", init_archives);
    let mut shared = links::shared();
    shared.file("usr/libexec/talaria/talaria-boot", programs.boot, true);
    shared.file("usr/local/bin/talaria", programs.talaria, true);
    context.graft("base", shared.clone());
    context.graft("hermes", shared);
    context.graft("hermes", links::hermes());
    context.graft("wheels", wheels.unwrap_or_default());
    Ok(context)
}

/// One build at a time in a target folder; held until the file is dropped.
fn lock_cache(checkout: &Checkout) -> Result<fs::File, FileError> {
    let folder = checkout.cache();
    fs::create_dir_all(&folder).map_err(FileError::on(&folder))?;
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(FileError::on(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let step = Step::begin(format!("wait for another xtask ({})", path.display()));
            file.lock().map_err(FileError::on(&path))?;
            step.done("it has ended");
        }
        Err(fs::TryLockError::Error(error)) => return Err(FileError::on(&path)(error)),
    }
    Ok(file)
}

/// The image that ours are built on, pulled or made where it is not there.
pub(crate) async fn provide_base(
    docker: &bollard::Docker,
    checkout: &Checkout,
) -> Result<String, ImageError> {
    Ok(base::provide(docker, checkout, false).await?)
}

/// Whether an image of this name is on the engine.
pub(crate) async fn exists(docker: &bollard::Docker, tag: &str) -> Result<bool, EngineError> {
    match docker.inspect_image(tag).await {
        Ok(_) => Ok(true),
        Err(error) if engine::is_not_found(&error) => Ok(false),
        Err(error) => Err(EngineError::on(format!("inspect {tag}"))(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("debian", Ok(Init::Debian))]
    #[case("s6-overlay=/a=b", Ok(Init::S6Overlay("/a=b".into())))]
    #[case("s6-overlay=", Err(BadInit))]
    #[case("s6-overlay", Err(BadInit))]
    #[case("systemd", Err(BadInit))]
    fn an_init_is_named_with_its_folder(
        #[case] text: &str,
        #[case] expected: Result<Init, BadInit>,
    ) {
        assert_eq!(text.parse(), expected);
    }
}
