//! Where the agent lives and its gateways are supervised, seen as the agent's user.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use profile_boot::agent::{self, Agent};
use profile_boot::identity::Identity;
use profile_boot::lifecycle::Site;
use profile_boot::profile::{self, ProfileName};
use s6_svc::Scandir;
use s6_svc::detect::Evidence;

use crate::failure::Failure;

/// Where the image keeps what a new profile starts from.
pub(crate) const SEEDS: &str = "/etc/talaria/seed";
/// The container's own environment, a file for each variable.
const CONTAINER_ENVIRONMENT: &str = "/run/s6/container_environment";
const DEFAULT_HOME: &str = "/opt/data";

/// Where things are, if not where they are in every container.
#[derive(Args, Debug)]
#[command(next_help_heading = "Places")]
pub(crate) struct Place {
    /// The agent's home: the container's `HERMES_HOME`, or /opt/data.
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Where the gateways are supervised.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/run/service"
    )]
    scandir: PathBuf,
}

impl Place {
    /// Becomes the agent's user, as which everything that follows is done, and looks where things
    /// are.
    pub(crate) fn enter(&self) -> Result<Site, Failure> {
        let identity = Identity::of_agent()?;
        if identity.is_switch() {
            identity.assume()?;
        }
        let scandir = Scandir::new(&self.scandir)?;
        Ok(Site::new(self.home(), scandir))
    }

    /// Whether the command line itself says where the home is.
    pub(crate) fn is_named(&self) -> bool {
        self.home.is_some()
    }

    /// The home. An agent's own programs may have another `HERMES_HOME` than the container: that of
    /// the profile that they work for.
    fn home(&self) -> PathBuf {
        let of_container = || {
            let bytes = std::fs::read(Path::new(CONTAINER_ENVIRONMENT).join("HERMES_HOME")).ok()?;
            Some(PathBuf::from(OsStr::from_bytes(&bytes)))
        };
        self.home
            .clone()
            .or_else(of_container)
            .or_else(|| std::env::var_os("HERMES_HOME").map(PathBuf::from))
            .filter(|home| home.is_absolute())
            .unwrap_or_else(|| DEFAULT_HOME.into())
    }
}

/// A variable of the container's environment, which a `docker exec -e` does not change; where no
/// init has kept it, of this process's.
pub(crate) fn container_variable(name: &str) -> Option<String> {
    let kept = Path::new(CONTAINER_ENVIRONMENT);
    if kept.is_dir() {
        let bytes = std::fs::read(kept.join(name)).ok()?;
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Which agent the image holds.
pub(crate) fn agent() -> Result<Agent, Failure> {
    let path = Path::new(agent::AGENT_TOML);
    Agent::load(path).map_err(|source| Failure::Agent {
        path: path.to_owned(),
        source,
    })
}

/// Whether anything supervises here: an s6 of the container's, or at least one on the scandir.
pub(crate) fn is_supervised(site: &Site) -> Result<bool, Failure> {
    Ok(Evidence::gather().is_s6() || site.scandir().is_scanned()?)
}

/// The profiles of a home.
pub(crate) fn profiles(site: &Site) -> Result<Vec<ProfileName>, Failure> {
    let found = profile::discover(site.home()).map_err(|source| Failure::File {
        action: "list it",
        path: site.home().join("profiles"),
        source,
    })?;
    Ok(found.profiles)
}
