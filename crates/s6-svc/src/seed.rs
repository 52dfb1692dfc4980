//! Carrying out a skeleton's plan.

use crate::dir::{self, Dir, Links};
use crate::error::{FileKind, RegistrationError};
use crate::servicedir::ServiceDir;
use crate::skeleton::{self, Identity};
use crate::step::Steps;
use crate::tree;

/// Makes what is missing of the skeleton in one service directory.
pub(crate) fn seed_dir(
    service: &Dir,
    owner: Identity,
    steps: &mut Steps<'_>,
) -> Result<(), RegistrationError> {
    let observed = tree::observe(service)?;
    let refused = |source| RegistrationError::Refused {
        path: service.path().to_owned(),
        source,
    };
    let makes = skeleton::plan(&observed, Identity::effective(), owner).map_err(refused)?;
    for make in makes {
        tree::make_place(service, make, steps)?;
    }
    Ok(())
}

impl ServiceDir {
    /// Makes what is missing of the supervise skeleton, for `owner`, in the service and in its
    /// logger.
    ///
    /// [`Registration`](crate::Registration) does this itself. It is for slots that others make,
    /// and only before their supervisor starts: what exists is not touched.
    ///
    /// # Errors
    /// [`RegistrationError::Refused`] where something else stands in a place, or where only root
    /// could give the skeleton to `owner`; [`RegistrationError::Fs`] where the file system does not
    /// allow it.
    pub fn seed(&self, owner: Identity) -> Result<(), RegistrationError> {
        let steps = &mut Steps::default();
        let dir = self.open()?;
        seed_dir(&dir, owner, steps)?;
        match dir.stat("log")?.map(|stat| dir::kind(&stat)) {
            Some(FileKind::Directory) if !self.is_log() => {
                seed_dir(&dir.below("log", Links::Refuse)?, owner, steps)
            }
            Some(FileKind::Symlink) if !self.is_log() => Err(dir
                .wrong_kind("log", FileKind::Directory, FileKind::Symlink)
                .into()),
            _ => Ok(()),
        }
    }
}
