//! Who the agent is, and where it lives.

use std::path::{Path, PathBuf};

use crate::paths;

pub(crate) use profile_boot::identity::{GROUP, Identity, PASSWD, USER, passwd_entry};

/// Where the agent lives: `HERMES_HOME`.
pub(crate) fn home() -> PathBuf {
    match std::env::var_os("HERMES_HOME") {
        Some(home) if Path::new(&home).is_absolute() => PathBuf::from(home),
        _ => PathBuf::from(paths::DEFAULT_HOME),
    }
}
