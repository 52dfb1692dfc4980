//! What `cargo xtask image` will do, decided before anything is done.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::base::STAND_IN;
use super::overlay;
use super::{Init, Target, With};

/// What a person asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which images.
    pub(crate) target: Target,
    /// Their init.
    pub(crate) init: Init,
    /// The tag of their names, `dev` by default.
    pub(crate) tag: String,
    /// Package lists to add to the agent's image.
    pub(crate) with: BTreeSet<With>,
    /// Build every step again, and look for a new base image.
    pub(crate) no_cache: bool,
}

impl Request {
    /// Images as they are by default.
    pub(crate) fn plain(target: Target) -> Self {
        Self {
            target,
            init: Init::Debian,
            tag: default_tag(),
            with: BTreeSet::new(),
            no_cache: false,
        }
    }
}

/// Facts about the checkout that a plan depends on.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The base image that the Dockerfile pins.
    pub(crate) pinned_base: String,
    /// The workspace's version.
    pub(crate) version: String,
    /// The commit, with `-dirty` after it where files differ from it.
    pub(crate) revision: String,
    /// How many packages the agent's lock names.
    pub(crate) wheels: usize,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Build {
    /// Its name.
    pub(crate) tag: String,
    /// The Dockerfile's stage.
    pub(crate) stage: &'static str,
    /// The Dockerfile's arguments, but for `BASE`, which is known last.
    pub(crate) args: BTreeMap<String, String>,
    /// Build every step again.
    pub(crate) no_cache: bool,
}

/// One thing to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Act {
    /// Check s6-overlay's archives.
    CheckOverlay {
        /// The folder.
        dir: String,
        /// The archives.
        archives: Vec<String>,
    },
    /// Link talaria-boot and talaria.
    BuildBoot,
    /// See to a base image.
    ProvideBase {
        /// What is wanted.
        pinned: String,
        /// What is made where that cannot be had.
        otherwise: &'static str,
    },
    /// Fetch the agent's wheels, or take them from the cache.
    FetchWheels {
        /// How many.
        packages: usize,
    },
    /// Fill target/image/context.
    WriteContext,
    /// Build and tag.
    Build(Build),
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) acts: Vec<Act>,
}

impl Plan {
    /// Decides.
    pub(crate) fn new(request: &Request, facts: &Facts) -> Self {
        let mut acts = Vec::new();
        if let Init::S6Overlay(dir) = &request.init {
            let dir = dir.display().to_string();
            acts.push(Act::CheckOverlay {
                dir,
                archives: overlay::archives().into(),
            });
        }
        acts.push(Act::BuildBoot);
        acts.push(Act::ProvideBase {
            pinned: facts.pinned_base.clone(),
            otherwise: STAND_IN,
        });
        if request.target.has_agent() {
            acts.push(Act::FetchWheels {
                packages: facts.wheels,
            });
        }
        acts.push(Act::WriteContext);
        let stages = request.target.stages();
        acts.extend(
            stages
                .iter()
                .map(|stage| Act::Build(build(stage, request, facts))),
        );
        Self { acts }
    }

    /// The images, in order.
    pub(crate) fn builds(&self) -> impl Iterator<Item = &Build> {
        self.acts.iter().filter_map(|act| match act {
            Act::Build(build) => Some(build),
            _ => None,
        })
    }
}

/// The variable that gives images another tag than `dev`, so that several checkouts can use one
/// engine. The tests look for images of the same tag.
pub(crate) const TAG: &str = "TALARIA_TAG";

/// [`TAG`]'s value, or `dev`.
fn default_tag() -> String {
    std::env::var(TAG)
        .ok()
        .filter(|tag| !tag.is_empty())
        .unwrap_or_else(|| "dev".to_owned())
}

/// The name of a stage's image.
pub(crate) fn name(stage: &str, request: &Request) -> String {
    let suffix = match request.init {
        Init::Debian => "",
        Init::S6Overlay(_) => "-s6-overlay",
    };
    format!("talaria-{stage}:{}{suffix}", request.tag)
}

fn build(stage: &'static str, request: &Request, facts: &Facts) -> Build {
    let mut args = BTreeMap::from([
        ("INIT".to_owned(), request.init.name().to_owned()),
        ("VERSION".to_owned(), facts.version.clone()),
        ("REVISION".to_owned(), facts.revision.clone()),
    ]);
    if stage == "hermes" {
        let lists: Vec<_> = request.with.iter().map(|with| with.list()).collect();
        args.insert("WITH".to_owned(), lists.join(" "));
    }
    Build {
        tag: name(stage, request),
        stage,
        args,
        no_cache: request.no_cache,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, act) in self.acts.iter().enumerate() {
            writeln!(f, "{}. {act}", index + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckOverlay { dir, archives } => {
                write!(
                    f,
                    "check s6-overlay's archives in {dir}: {}",
                    archives.join(", ")
                )
            }
            Self::BuildBoot => write!(f, "build talaria-boot and talaria, linked statically"),
            Self::ProvideBase { pinned, otherwise } => {
                write!(
                    f,
                    "see to the base image: {pinned}, or else {otherwise} made here"
                )
            }
            Self::FetchWheels { packages } => {
                write!(
                    f,
                    "fetch {packages} wheels by the hashes of image/hermes.lock"
                )
            }
            Self::WriteContext => write!(f, "write target/image/context"),
            Self::Build(build) => {
                write!(f, "build {} from stage {}", build.tag, build.stage)?;
                if build.no_cache {
                    write!(f, ", without the builder's cache")?;
                }
                for (name, value) in &build.args {
                    write!(f, "\n     {name}={value}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(target: Target) -> Request {
        Request {
            tag: "dev".to_owned(),
            ..Request::plain(target)
        }
    }

    fn facts() -> Facts {
        Facts {
            pinned_base: "debian:trixie-slim@sha256:00".to_owned(),
            version: "0.1.0".to_owned(),
            revision: "abc-dirty".to_owned(),
            wheels: 108,
        }
    }

    #[test]
    fn the_base_image_needs_no_wheels() {
        insta::assert_snapshot!(Plan::new(&plain(Target::Base), &facts()), @r"
        1. build talaria-boot and talaria, linked statically
        2. see to the base image: debian:trixie-slim@sha256:00, or else talaria-debian:trixie made here
        3. write target/image/context
        4. build talaria-base:dev from stage base
             INIT=debian
             REVISION=abc-dirty
             VERSION=0.1.0
        ");
    }

    #[test]
    fn s6_overlay_is_checked_first_and_has_tags_of_its_own() {
        let request = Request {
            init: Init::S6Overlay("dir".into()),
            with: BTreeSet::from([With::Media, With::Browser]),
            no_cache: true,
            ..plain(Target::All)
        };
        insta::assert_snapshot!(Plan::new(&request, &facts()), @r"
        1. check s6-overlay's archives in dir: s6-overlay-noarch.tar.xz, s6-overlay-x86_64.tar.xz, s6-overlay-symlinks-noarch.tar.xz
        2. build talaria-boot and talaria, linked statically
        3. see to the base image: debian:trixie-slim@sha256:00, or else talaria-debian:trixie made here
        4. fetch 108 wheels by the hashes of image/hermes.lock
        5. write target/image/context
        6. build talaria-base:dev-s6-overlay from stage base, without the builder's cache
             INIT=s6-overlay
             REVISION=abc-dirty
             VERSION=0.1.0
        7. build talaria-hermes:dev-s6-overlay from stage hermes, without the builder's cache
             INIT=s6-overlay
             REVISION=abc-dirty
             VERSION=0.1.0
             WITH=media browser
        ");
    }

    #[test]
    fn a_plan_has_a_json_form() {
        let plan = Plan::new(&plain(Target::Hermes), &facts());
        insta::assert_snapshot!(serde_json::to_string(&plan.acts[1..3]).unwrap(), @r#"[{"step":"provide-base","pinned":"debian:trixie-slim@sha256:00","otherwise":"talaria-debian:trixie"},{"step":"fetch-wheels","packages":108}]"#);
    }
}
