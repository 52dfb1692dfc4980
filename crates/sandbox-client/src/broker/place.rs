//! Where a broker's socket is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The socket of the broker for one engine, and what lies beside it, in a directory that is its
/// user's alone.
#[derive(Debug, Clone)]
pub struct Place {
    directory: PathBuf,
    name: String,
}

/// Why a broker cannot have its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The directory cannot be made or looked at.
    #[error("cannot use {}", .path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Somebody else could put a socket there.
    #[error("{} is not a directory of user {uid} alone", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it should be.
        uid: u32,
    },
}

impl PlaceError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Io { .. } => "set XDG_RUNTIME_DIR to a directory that you can write".to_owned(),
            Self::NotOurs { path, .. } => format!(
                "chmod 0700 {path}, or remove it if it is not yours to have, or set \
                 XDG_RUNTIME_DIR",
                path = path.display()
            ),
        }
    }
}

impl Place {
    /// The place in `directory` for the engine at `engine`, for example
    /// `unix:///var/run/docker.sock`. Nothing is touched.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, engine: &str) -> Self {
        Self {
            directory: directory.into(),
            name: format!("broker-{:016x}", fnv(engine.as_bytes())),
        }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.with("sock")
    }

    /// What the broker has to say, since it was started.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.with("log")
    }

    fn with(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{}.{what}", self.name))
    }

    /// Where a socket is made before it is published.
    pub(super) fn staging(&self) -> PathBuf {
        self.with("new")
    }

    /// The file that a broker has locked while the place is its own.
    pub(super) fn lock(&self) -> Result<File, PlaceError> {
        let path = self.with("lock");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|source| PlaceError::Io { path, source })
    }

    /// Makes the directory where it is missing, and makes sure of whose it is.
    ///
    /// # Errors
    ///
    /// [`PlaceError`]
    pub fn prepare(&self) -> Result<(), PlaceError> {
        let failed = |source| PlaceError::Io {
            path: self.directory.clone(),
            source,
        };
        let made = DirBuilder::new().mode(0o700).create(&self.directory);
        if let Err(error) = made
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
        self.check()
    }

    /// Makes sure that nobody else can have put a socket here.
    pub(super) fn check(&self) -> Result<(), PlaceError> {
        let path = &self.directory;
        let found = std::fs::symlink_metadata(path).map_err(|source| PlaceError::Io {
            path: path.clone(),
            source,
        })?;
        let uid = rustix::process::geteuid().as_raw();
        let others = found.mode() & 0o077;
        if found.is_dir() && found.uid() == uid && others == 0 {
            Ok(())
        } else {
            Err(PlaceError::NotOurs {
                path: path.clone(),
                uid,
            })
        }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// FNV-1a: a short name for an address, not a secret.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn engines_have_places_of_their_own() {
        let place = |engine| Place::new("/run/user/1000/talaria", engine).socket();
        assert_ne!(place("unix:///a"), place("unix:///b"));
        assert_eq!(place("unix:///a"), place("unix:///a"));
    }

    #[test]
    fn only_a_directory_of_ones_own_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("talaria"), "engine");
        place.prepare().unwrap();
        place.prepare().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(place.directory(), open).unwrap();
        assert!(matches!(place.prepare(), Err(PlaceError::NotOurs { .. })));

        let link = dir.path().join("link");
        let target = dir.path().join("target");
        Place::new(&target, "engine").prepare().unwrap();
        symlink(&target, &link).unwrap();
        let linked = Place::new(&link, "engine").prepare();
        assert!(matches!(linked, Err(PlaceError::NotOurs { .. })));
    }
}
