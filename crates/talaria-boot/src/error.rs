//! What can go wrong, and which exit code it ends in.

use std::io;
use std::path::PathBuf;

use profile_boot::agent::{AGENT_TOML, AgentError};
use profile_boot::identity::IdentityError;
use profile_boot::profile::ProfileName;
use s6_svc::FsError;

use crate::identity::Identity;

/// Why an applet could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error("started without arguments, not even a name")]
    NoArguments,
    #[error("no part of talaria-boot is called {0}")]
    UnknownApplet(String),
    #[error("usage: {0}")]
    Usage(&'static str),
    #[error("{path}", path = .path.display())]
    AgentToml { path: PathBuf, source: AgentError },
    #[error("{path}: there is no user \"hermes\"", path = .path.display())]
    NoAgentUser { path: PathBuf },
    #[error("{path}: s6-rc services are not read by this init: {names}", path = .path.display())]
    S6RcServices { path: PathBuf, names: String },
    #[error("{path}: not writable for uid {uid} gid {gid}; it belongs to {owner_uid}:{owner_gid}", path = .path.display())]
    NotWritable {
        path: PathBuf,
        uid: u32,
        gid: u32,
        owner_uid: u32,
        owner_gid: u32,
    },
    #[error("{path}: read-only file system", path = .path.display())]
    ReadOnly { path: PathBuf },
    #[error("{variable}={value:?} is no id for the agent: 1 to 65534 are")]
    UnusableId {
        variable: &'static str,
        value: String,
    },
    #[error("{path}: cannot change the ids of the agent's user", path = .path.display())]
    Remap { path: PathBuf, source: io::Error },
    #[error("cannot become uid {uid} gid {gid}")]
    Drop {
        uid: u32,
        gid: u32,
        source: nix::Error,
    },
    #[error("{program}: command not found", program = .program.display())]
    NotFound { program: PathBuf },
    #[error("{program}: there is no agent here", program = .program.display())]
    NoAgent { program: PathBuf },
    #[error("{program}: cannot be executed", program = .program.display())]
    Execute { program: PathBuf, source: io::Error },
    #[error("{slot:?} is not the slot of a gateway")]
    NotAGatewaySlot { slot: String },
    #[error("{path}: the agent has no gateway: there is no [gateway] table", path = .path.display())]
    NoGateway { path: PathBuf },
    #[error("there is no profile {profile} whose gateway could run")]
    NoProfile { profile: ProfileName },
    #[error("{path}: the agent has no dashboard: there is no [dashboard] table", path = .path.display())]
    NoDashboard { path: PathBuf },
    #[error("{path}: cannot {action}", path = .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path}: cannot give its services to the agent", path = .path.display())]
    Supervision { path: PathBuf, source: FsError },
    #[error("{call}")]
    System {
        call: &'static str,
        source: nix::Error,
    },
    #[error("exited with {code}, and said why")]
    SaidAlready { code: i32 },
    #[error("{path}: {failure}", path = .path.display())]
    Stage2 {
        path: PathBuf,
        failure: Stage2Failure,
    },
}

/// How a hook or a static service kept the boot from going on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stage2Failure {
    #[error("exited with {0}")]
    Exited(i32),
    #[error("killed by signal {0}")]
    Signaled(i32),
    #[error("not executable")]
    NotExecutable,
    #[error("has no run program")]
    NoRun,
    #[error("can be written by the agent's user: not run as root")]
    WritableByAgent,
    #[error("the name is taken by the init itself")]
    ReservedName,
    #[error("{0}")]
    Unusable(String),
}

impl Stage2Failure {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Exited(code) => *code,
            Self::Signaled(signal) => 128 + signal,
            Self::NoRun => 127,
            Self::NotExecutable | Self::WritableByAgent | Self::Unusable(_) => 126,
            Self::ReservedName => 78,
        }
    }
}

impl From<IdentityError> for BootError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Read { path, source } => Self::file("read it", path)(source),
            IdentityError::NoUser { path } => Self::NoAgentUser { path },
            IdentityError::Groups(source) => Self::system("getgroups")(source),
            IdentityError::Drop { uid, gid, source } => Self::Drop { uid, gid, source },
        }
    }
}

impl BootError {
    /// That this process may not become the agent's user or take its group.
    pub(crate) fn not_the_agent(identity: &Identity) -> impl FnOnce(nix::Error) -> Self {
        let (uid, gid) = (identity.uid.as_raw(), identity.gid.as_raw());
        move |source| Self::Drop { uid, gid, source }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn system(call: &'static str) -> impl FnOnce(nix::Error) -> Self {
        move |source| Self::System { call, source }
    }

    /// The exit code that this error ends in: the shell's 126 and 127, those of
    /// `sysexits.h` for configuration (78) and for what cannot be created (73),
    /// s6's 100 for wrong usage and 111 for a system call that failed.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::NoArguments
            | Self::UnknownApplet(_)
            | Self::Usage(_)
            | Self::NotAGatewaySlot { .. } => 100,
            Self::AgentToml { .. }
            | Self::NoAgentUser { .. }
            | Self::S6RcServices { .. }
            | Self::UnusableId { .. }
            | Self::Remap { .. }
            | Self::NoGateway { .. }
            | Self::NoDashboard { .. }
            | Self::NoProfile { .. } => 78,
            Self::NotWritable { .. } | Self::ReadOnly { .. } => 73,
            Self::NotFound { .. } | Self::NoAgent { .. } => 127,
            Self::Execute { .. } | Self::Drop { .. } => 126,
            Self::File { .. } | Self::Supervision { .. } | Self::System { .. } => 111,
            Self::SaidAlready { code } => *code,
            Self::Stage2 { failure, .. } => failure.exit_code(),
        }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::S6RcServices { .. } => {
                "move each service to /etc/services.d/NAME with an executable run program".into()
            }
            Self::NotWritable {
                uid,
                gid,
                owner_uid,
                owner_gid,
                ..
            } => format!(
                "start as root with HERMES_UID={owner_uid} HERMES_GID={owner_gid} (or PUID and PGID), \
                 or make it writable for {uid}:{gid}"
            ),
            Self::ReadOnly { path } if path.starts_with("/run") => {
                "with --read-only add --tmpfs /run:rw,noexec,nosuid,size=64m".into()
            }
            Self::ReadOnly { path } => format!("mount a writable volume at {}", path.display()),
            Self::NoProfile { profile } => {
                format!(
                    "talaria profile create {profile} makes it, in a container of the same volume"
                )
            }
            Self::UnusableId { .. } => {
                "leave it out for 10000, or give the ids that own the directory: \
                 stat -c %u:%g DIRECTORY"
                    .into()
            }
            Self::Remap { .. } => {
                "under --read-only start with --user UID:GID instead of HERMES_UID and HERMES_GID"
                    .into()
            }
            Self::Drop { .. } => {
                "add --cap-add SETUID --cap-add SETGID, or start with --user 10000:10000".into()
            }
            Self::NoAgent { .. } => {
                format!("{AGENT_TOML} names it; mend that, or name a program of the image to run")
            }
            Self::AgentToml {
                source: AgentError::Read { .. },
                ..
            } => "it says which program the agent is; the image has one, and a mount may hide it"
                .into(),
            Self::AgentToml { .. } => {
                "the image brings the file along, and a mount may hide it: mend it there".into()
            }
            Self::Stage2 {
                path,
                failure: Stage2Failure::NotExecutable,
            } => {
                format!("chmod +x {}", path.display())
            }
            Self::Stage2 {
                failure: Stage2Failure::WritableByAgent,
                ..
            } => "let root own it and nobody else write it".into(),
            _ => return None,
        })
    }
}
