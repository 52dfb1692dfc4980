//! A directory beside the destination that is renamed into place, or goes.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::kill::new_mark;

/// A new directory that only this user can enter; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
}

impl Stage {
    /// Makes one in the directory `parent`, on whose file system the result is to be.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!(".talaria-copy-{}", new_mark()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What was unpacked is this user's, and a directory is always open to its owner. If it
        // cannot be removed, its name says what it is.
        fs::remove_dir_all(&self.path).ok();
    }
}
