//! Copying into a sandbox and out of it.

use std::path::Path;

use bollard::models::{Mount, MountType};

use super::Sandbox;
use crate::copy::{Bounds, CopiedOut, Place};
use crate::error::RequestError;

impl Sandbox {
    async fn place(&self) -> Result<Place<'_>, RequestError> {
        let found = self.look().await?;
        let host = found.host_config.unwrap_or_default();
        let is_tmpfs = |mount: &Mount| mount.typ == Some(MountType::TMPFS);
        let mounts = host.mounts.into_iter().flatten();
        let tmpfs = mounts.filter(is_tmpfs).filter_map(|mount| mount.target);
        let tmpfs = host
            .tmpfs
            .into_iter()
            .flatten()
            .map(|(path, _)| path)
            .chain(tmpfs)
            // The engine's own, with /dev/shm in it: in no list of its own.
            .chain(["/dev".to_owned()]);
        let user = found
            .config
            .and_then(|config| config.user)
            .unwrap_or_default();
        let (uid, gid) = user.split_once(':').unwrap_or((&user, ""));
        // A user by name is known to the image alone: its files are root's then.
        let uid = uid.parse().unwrap_or(0);
        Ok(Place {
            engine: &self.engine,
            id: &self.id,
            name: &self.name,
            tmpfs: tmpfs.collect(),
            owner: (uid, gid.parse().unwrap_or(uid)),
        })
    }

    /// Copies a file or directory of this machine into the sandbox: to the path `to`, or into it
    /// where that is a directory. Gives the path where it is then.
    ///
    /// # Errors
    ///
    /// [`CopyError`](crate::copy::CopyError); a part may be there then.
    pub async fn copy_in(&self, from: &Path, to: &str) -> Result<String, crate::Error> {
        Ok(self.place().await?.copy_in(from, to).await?)
    }

    /// Copies a file or directory of the sandbox to `to` of this machine, or into it where that
    /// is a directory. What comes out is not trusted: no links, no devices, no special bits,
    /// nothing outside of the destination, and not more than `bounds`.
    ///
    /// # Errors
    ///
    /// [`CopyError`](crate::copy::CopyError); nothing is at the destination then.
    pub async fn copy_out(
        &self,
        from: &str,
        to: &Path,
        bounds: Bounds,
    ) -> Result<CopiedOut, crate::Error> {
        Ok(self.place().await?.copy_out(from, to, bounds).await?)
    }
}
