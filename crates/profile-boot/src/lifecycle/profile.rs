//! Making a profile, and removing it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use s6_svc::{Deadline, Registration, Unregistered, Unregistration, Want};

use super::{LifecycleError, SUPERVISED, Site};
use crate::folder::Folder;
use crate::port::{self, Assigned};
use crate::profile::ProfileName;
use crate::{atomic, read, slot};

/// The directories that an agent expects in a profile.
const DIRECTORIES: [&str; 9] = [
    "cron",
    "home",
    "logs",
    "memories",
    "plans",
    "sessions",
    "skills",
    "skins",
    "workspace",
];

/// What creating a profile made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The gateway's port.
    pub port: Assigned,
    /// Whether its slot is supervised now. Where no s6-svscan runs, it will be at the next boot.
    pub registered: bool,
}

/// What deleting a profile found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there, or part of it, and is not any more.
    Removed,
    /// Nothing of it was there.
    Absent,
}

/// Makes a profile with its directories, its port, and a slot that is down.
///
/// `SOUL.md`, which makes the directory a profile, comes last, from the one in
/// `seeds` where the image has one: whoever is killed before that can do it again, as can
/// whoever finds no room for the port or the slot.
///
/// # Errors
/// [`LifecycleError::Reserved`] for `default`, [`LifecycleError::Exists`] where
/// the profile is there, and where it cannot be made.
pub fn create(site: &Site, profile: &ProfileName, seeds: &Path) -> Result<Created, LifecycleError> {
    if profile.is_default() {
        return Err(LifecycleError::Reserved);
    }
    let directory = site.directory(profile);
    make_directory(&site.home.join("profiles"))?;
    make_directory(&directory)?;
    for name in DIRECTORIES {
        make_directory(&directory.join(name))?;
    }
    let (seed, soul) = (seeds.join("SOUL.md"), directory.join("SOUL.md"));
    let text = read::small_file(&seed)
        .map_err(io::Error::other)
        .map_err(LifecycleError::file("read it", &seed))?;
    let made = Folder::open(&directory)
        .and_then(|folder| atomic::create(&folder, "SOUL.md", &text.unwrap_or_default(), 0o644))
        .map_err(LifecycleError::file("make it", &soul))?;
    if !made {
        return Err(LifecycleError::Exists {
            profile: profile.clone(),
        });
    }
    announce(site, profile).inspect_err(|_| {
        // Without it the directory is no profile, and the same call can be made again. Where it
        // cannot be removed, the profile is there, and starting its gateway does the rest.
        fs::remove_file(&soul).ok();
    })
}

/// Gives a profile its port and its slot.
fn announce(site: &Site, profile: &ProfileName) -> Result<Created, LifecycleError> {
    let port = port::assign(&site.home, profile)?;
    let registered = match register(site, profile, Want::Down) {
        Ok(()) => true,
        Err(LifecycleError::NotScanned { .. }) => false,
        Err(error) => return Err(error),
    };
    Ok(Created { port, registered })
}

/// Has a profile's slot supervised, making it where it is missing.
pub(super) fn register(
    site: &Site,
    profile: &ProfileName,
    want: Want,
) -> Result<(), LifecycleError> {
    Registration::new(
        &site.scandir,
        &slot::service_name(profile),
        &slot::definition(want),
    )
    .deadline(Deadline::after(SUPERVISED))
    .execute()
    .map(drop)
    .map_err(LifecycleError::registration(profile))
}

/// Stops a profile's gateway, takes its slot away, and removes what the profile
/// kept. What an interrupted deletion left is removed as well.
///
/// # Errors
/// [`LifecycleError::Reserved`] for `default`, and where something does not go.
pub fn delete(site: &Site, profile: &ProfileName) -> Result<Deleted, LifecycleError> {
    if profile.is_default() {
        return Err(LifecycleError::Reserved);
    }
    let unregistered =
        match Unregistration::new(&site.scandir, &slot::service_name(profile)).execute() {
            Ok(Unregistered::Absent) => false,
            Ok(_) => true,
            // No scandir, no slot.
            Err(s6_svc::RegistrationError::Fs(error)) if error.is_missing() => false,
            Err(error) => return Err(LifecycleError::registration(profile)(error)),
        };
    let mut removed = unregistered;
    for directory in [site.logs(profile), site.directory(profile)] {
        match fs::remove_dir_all(&directory) {
            Ok(()) => removed = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(LifecycleError::file("remove it", &directory)(error)),
        }
    }
    Ok(if removed {
        Deleted::Removed
    } else {
        Deleted::Absent
    })
}

fn make_directory(path: &Path) -> Result<(), LifecycleError> {
    match DirBuilder::new().mode(0o755).create(path) {
        // A directory that a link leads to is the operator's own arrangement.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result.map_err(LifecycleError::file("make it", path)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::profile::discover;

    fn site(home: &Path) -> Site {
        let scandir = home.join("scandir");
        fs::create_dir(&scandir).unwrap();
        Site::new(home.to_owned(), s6_svc::Scandir::new(scandir).unwrap())
    }

    fn coder() -> ProfileName {
        "coder".parse().unwrap()
    }

    #[test]
    fn a_profile_is_made_whole_and_removed_whole() {
        let (home, seeds) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(seeds.path().join("SOUL.md"), "kind").unwrap();
        let site = site(home.path());
        let created = create(&site, &coder(), seeds.path()).unwrap();
        assert!(!created.registered);
        assert_eq!(created.port.port, port::first_choice(&coder()));
        let directory = home.path().join("profiles/coder");
        assert_eq!(
            fs::read_to_string(directory.join("SOUL.md")).unwrap(),
            "kind"
        );
        for name in DIRECTORIES {
            let mode = directory
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o755, "{name}");
        }
        assert!(matches!(
            create(&site, &coder(), seeds.path()),
            Err(LifecycleError::Exists { .. })
        ));

        fs::create_dir_all(site.logs(&coder())).unwrap();
        assert_eq!(delete(&site, &coder()).unwrap(), Deleted::Removed);
        assert_eq!(delete(&site, &coder()).unwrap(), Deleted::Absent);
        assert_eq!(discover(home.path()).unwrap().profiles.len(), 1);
        assert!(!site.logs(&coder()).exists());
    }

    #[test]
    fn an_interrupted_creation_is_completed() {
        let (home, seeds) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(home.path().join("profiles/coder/home")).unwrap();
        let site = site(home.path());
        create(&site, &coder(), seeds.path()).unwrap();
        assert_eq!(
            fs::read(home.path().join("profiles/coder/SOUL.md")).unwrap(),
            b""
        );
    }

    #[test]
    fn the_default_profile_is_neither_made_nor_removed() {
        let home = tempfile::tempdir().unwrap();
        let site = site(home.path());
        let default = ProfileName::default_profile();
        assert!(matches!(
            create(&site, &default, home.path()),
            Err(LifecycleError::Reserved)
        ));
        assert!(matches!(
            delete(&site, &default),
            Err(LifecycleError::Reserved)
        ));
        assert!(home.path().exists());
    }
}
