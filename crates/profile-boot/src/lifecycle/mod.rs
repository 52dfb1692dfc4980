//! One profile's life, and its gateway's: create, start, stop, restart, look,
//! delete.
//!
//! What the operator wants is recorded before it is acted on, so that a
//! container that dies in between comes back as it was meant to be.
//!
//! ```no_run
//! use profile_boot::lifecycle::{self, Site};
//! use s6_svc::Scandir;
//!
//! let site = Site::new("/opt/data".into(), Scandir::new("/run/service")?);
//! let coder = "coder".parse()?;
//! lifecycle::create(&site, &coder, "/etc/talaria/seed".as_ref())?;
//! lifecycle::start(&site, &coder, None)?;
//! println!("{:?}", lifecycle::status(&site, &coder)?.state);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dashboard;
mod gateway;
mod planned_stop;
mod profile;
mod status;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s6_svc::{ControlError, Loss, RegistrationError, Scandir, ServiceDir, StatusError, WaitError};

use crate::port::PortError;
use crate::profile::ProfileName;
use crate::slot;

pub use dashboard::{DashboardStatus, dashboard};
pub use gateway::{Changed, restart, start, stop};
pub use profile::{Created, Deleted, create, delete};
pub use status::{GatewayStatus, State, all, is_unwell, state, status};

/// How long s6-svscan may take to have a new slot supervised.
const SUPERVISED: Duration = Duration::from_secs(10);

/// Where profiles live, and where their slots are supervised.
#[derive(Debug, Clone)]
pub struct Site {
    home: PathBuf,
    scandir: Scandir,
}

impl Site {
    /// A home, and the scandir of its gateways.
    #[must_use]
    pub fn new(home: PathBuf, scandir: Scandir) -> Self {
        Self { home, scandir }
    }

    /// The agent's home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The scandir.
    #[must_use]
    pub fn scandir(&self) -> &Scandir {
        &self.scandir
    }

    /// A profile's gateway as a service, whether or not it is there.
    #[must_use]
    pub fn service(&self, profile: &ProfileName) -> ServiceDir {
        self.scandir.service(&slot::service_name(profile))
    }

    /// Where a profile keeps its files.
    #[must_use]
    pub fn directory(&self, profile: &ProfileName) -> PathBuf {
        profile.directory(&self.home)
    }

    /// Where the log of a profile's gateway is.
    #[must_use]
    pub fn logs(&self, profile: &ProfileName) -> PathBuf {
        self.home.join("logs/gateways").join(profile.as_str())
    }

    /// That a profile is there.
    ///
    /// # Errors
    /// [`LifecycleError::NoSuchProfile`] where it is not.
    pub fn check(&self, profile: &ProfileName) -> Result<(), LifecycleError> {
        let soul = self.directory(profile).join("SOUL.md");
        if profile.is_default() || soul.exists() {
            Ok(())
        } else {
            Err(LifecycleError::NoSuchProfile {
                profile: profile.clone(),
            })
        }
    }
}

/// Why something could not be done to a profile or its gateway.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// The default profile is the home itself.
    #[error("the profile default is the home itself: it is neither created nor deleted")]
    Reserved,
    /// There is no such profile.
    #[error("there is no profile {profile}")]
    NoSuchProfile {
        /// The name.
        profile: ProfileName,
    },
    /// A profile of that name is there.
    #[error("there is a profile {profile} already")]
    Exists {
        /// The name.
        profile: ProfileName,
    },
    /// Something cannot be made, read, written or removed.
    #[error("{path}: cannot {action}", path = .path.display())]
    File {
        /// What was to be done to it.
        action: &'static str,
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It has no port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The gateway failed for good while it was waited for.
    #[error("gateway of profile {profile}: parked, it failed for good")]
    Parked {
        /// Whose.
        profile: ProfileName,
    },
    /// What was waited for did not come.
    #[error("gateway of profile {profile}: not {goal} in time")]
    TimedOut {
        /// Whose.
        profile: ProfileName,
        /// What was waited for.
        goal: s6_svc::Goal,
    },
    /// Nobody scans the scandir: there is no supervision to ask.
    #[error("{path}: no s6-svscan runs there", path = .path.display())]
    NotScanned {
        /// The scandir.
        path: PathBuf,
    },
    /// A slot cannot be brought under supervision, or out of it.
    #[error("gateway of profile {profile}")]
    Registration {
        /// Whose.
        profile: ProfileName,
        /// Why not.
        source: RegistrationError,
    },
    /// A supervisor cannot be spoken to.
    #[error("gateway of profile {profile}")]
    Control {
        /// Whose.
        profile: ProfileName,
        /// Why not.
        source: ControlError,
    },
    /// The gateway cannot be waited for.
    #[error("gateway of profile {profile}")]
    Wait {
        /// Whose.
        profile: ProfileName,
        /// Why not.
        source: WaitError,
    },
    /// Its state cannot be read.
    #[error("gateway of profile {profile}")]
    Status {
        /// Whose.
        profile: ProfileName,
        /// Why not.
        source: StatusError,
    },
    /// The dashboard's state cannot be read.
    #[error("dashboard")]
    Dashboard {
        /// Why not.
        source: StatusError,
    },
}

impl LifecycleError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    fn registration(profile: &ProfileName) -> impl FnOnce(RegistrationError) -> Self {
        let profile = profile.clone();
        move |source| match source {
            RegistrationError::NotScanned { path } => Self::NotScanned { path },
            source => Self::Registration { profile, source },
        }
    }

    fn control(profile: &ProfileName) -> impl FnOnce(ControlError) -> Self {
        let profile = profile.clone();
        move |source| Self::Control { profile, source }
    }

    fn wait(profile: &ProfileName, goal: s6_svc::Goal) -> impl FnOnce(WaitError) -> Self {
        let profile = profile.clone();
        move |source| match source {
            WaitError::TimedOut { .. } => Self::TimedOut { profile, goal },
            WaitError::Lost { lost }
                if lost.iter().any(|(_, loss)| *loss == Loss::PermanentFailure) =>
            {
                Self::Parked { profile }
            }
            WaitError::Control(source) => Self::Control { profile, source },
            source => Self::Wait { profile, source },
        }
    }
}
