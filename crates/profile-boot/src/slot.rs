//! The service slot of a gateway: a service directory whose programs are links
//! to the image's own, so that nothing executable stands where the agent can
//! write, and whoever made the slot, it runs the same.
//!
//! The layout is s6's service directory:
//! <https://skarnet.org/software/s6/servicedir.html>.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use s6_svc::{AbsPath, Definition, FsError, Scandir, ServiceName, Want};

use crate::profile::ProfileName;

/// Where the image keeps the programs that slots link to.
pub const PROGRAMS: &str = "/usr/libexec/talaria";

/// What a gateway slot's name begins with.
pub const PREFIX: &str = "gateway-";

/// The links of a slot: where in the slot, and to which of [`PROGRAMS`].
const LINKS: [(&str, &str); 3] = [
    ("run", "gateway-run"),
    ("finish", "gateway-finish"),
    ("log/run", "gateway-log"),
];

/// The dashboard's slot.
pub const DASHBOARD: &str = "dashboard";

/// The links of the dashboard's slot.
const DASHBOARD_LINKS: [(&str, &str); 3] = [
    ("run", "dashboard-run"),
    ("finish", "dashboard-finish"),
    ("log/run", "dashboard-log"),
];

/// The name of a profile's slot in the scandir.
#[must_use]
pub fn name(profile: &ProfileName) -> String {
    format!("{PREFIX}{profile}")
}

/// The same as s6's kind of name.
///
/// # Panics
/// Never: a profile's name is of fewer characters, and shorter, than a service's may be.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a profile's name is of fewer characters, and shorter, than a service's may be"
)]
pub fn service_name(profile: &ProfileName) -> ServiceName {
    ServiceName::new(name(profile)).expect("a gateway's slot has a service's name")
}

/// What [`publish`] makes, for a scandir that is scanned.
///
/// # Panics
/// Never: all that is in it is constant.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the path is a constant, and a logger has no logger itself"
)]
pub fn definition(want: Want) -> Definition {
    let program = |name: &str| {
        AbsPath::new(Path::new(PROGRAMS).join(name)).expect("the programs have an absolute path")
    };
    let gateway = Definition::new(program("gateway-run"))
        .finish(program("gateway-finish"))
        .log(Definition::new(program("gateway-log")))
        .expect("a gateway has one logger");
    match want {
        Want::Up => gateway,
        Want::Down => gateway.down(),
    }
}

/// The profile that a slot of this name belongs to; `None` for other services.
#[must_use]
pub fn profile(slot: &str) -> Option<ProfileName> {
    slot.strip_prefix(PREFIX)?.parse().ok()
}

/// Puts a profile's slot into `scandir`, whole, by one rename.
///
/// # Errors
/// Where the scandir cannot be written, or a slot of that name is there.
pub fn publish(scandir: &Path, profile: &ProfileName, want: Want) -> io::Result<()> {
    publish_links(scandir, &name(profile), LINKS, want)
}

/// Puts the dashboard's slot into `scandir`. One that is there stays as it is.
///
/// # Errors
/// Where the scandir cannot be written.
pub fn publish_dashboard(scandir: &Path, want: Want) -> io::Result<()> {
    if scandir.join(DASHBOARD).symlink_metadata().is_ok() {
        return Ok(());
    }
    publish_links(scandir, DASHBOARD, DASHBOARD_LINKS, want)
}

/// Makes a slot under a name that s6-svscan passes over, since it begins with a
/// dot, and gives it its own when it is whole.
fn publish_links(
    scandir: &Path,
    name: &str,
    links: [(&str, &str); 3],
    want: Want,
) -> io::Result<()> {
    let staging = scandir.join(format!(".{name}.tmp"));
    if staging.symlink_metadata().is_ok() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir(&staging)?;
    fs::write(staging.join("type"), "longrun\n")?;
    fs::create_dir(staging.join("log"))?;
    fs::write(staging.join("log/type"), "longrun\n")?;
    for (place, program) in links {
        symlink(Path::new(PROGRAMS).join(program), staging.join(place))?;
    }
    if want == Want::Down {
        fs::write(staging.join("down"), "")?;
    }
    fs::rename(&staging, scandir.join(name))
}

/// Whether s6-supervise will leave the slot's service down when it starts.
#[must_use]
pub fn is_down(scandir: &Path, profile: &ProfileName) -> bool {
    scandir.join(name(profile)).join("down").exists()
}

/// Makes a slot start up, or stay down, the next time s6-supervise starts on it.
///
/// # Errors
/// Where the `down` file can be neither written nor removed.
pub fn set_want(scandir: &Path, profile: &ProfileName, want: Want) -> io::Result<()> {
    set_down_file(&scandir.join(name(profile)), want)
}

fn set_down_file(slot: &Path, want: Want) -> io::Result<()> {
    let down = slot.join("down");
    match want {
        Want::Down => fs::write(down, ""),
        Want::Up => match fs::remove_file(down) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Makes every slot start as its last s6-supervise was last told to, be it a
/// gateway's or another service's. Left alone, a slot starts as its `down` file
/// says, which is what it was told first. Returns the slots that could not be
/// changed, each with the reason.
///
/// An s6-svscan that is told to end tells every service to go down before it
/// does, so that where none is wanted up, none of them says anything.
///
/// # Errors
/// Where the scandir cannot be listed.
pub fn keep_wants(scandir: &Scandir) -> Result<Vec<(PathBuf, io::Error)>, FsError> {
    let mut wants = Vec::new();
    for entry in scandir.entries()? {
        // Without a status that can be read, nobody was told anything.
        if !entry.is_link()
            && let Ok(status) = entry.service().last_status()
        {
            wants.push((entry.service().path(), status.want()));
        }
    }
    if wants.iter().all(|(_, want)| *want == Want::Down) {
        return Ok(Vec::new());
    }
    let failed =
        |(slot, want): (PathBuf, Want)| set_down_file(&slot, want).err().map(|error| (slot, error));
    Ok(wants.into_iter().filter_map(failed).collect())
}

/// Turns the programs of every gateway slot in `scandir` into links to the
/// image's own. Returns the slots that were changed.
///
/// The agent's own command line writes slots with scripts in them, which do not
/// run on a noexec file system and know nothing of ports, parking and logs.
///
/// # Errors
/// Where the scandir cannot be listed; a slot that cannot be changed is
/// reported with its reason among the results.
pub fn normalise(scandir: &Path) -> io::Result<Vec<(String, io::Result<()>)>> {
    let mut changed = Vec::new();
    for entry in fs::read_dir(scandir)? {
        let entry = entry?;
        let slot = entry.file_name().to_string_lossy().into_owned();
        if profile(&slot).is_none() || !entry.file_type()?.is_dir() {
            continue;
        }
        match normalise_slot(&entry.path()) {
            Ok(false) => {}
            Ok(true) => changed.push((slot, Ok(()))),
            Err(error) => changed.push((slot, Err(error))),
        }
    }
    Ok(changed)
}

fn normalise_slot(slot: &Path) -> io::Result<bool> {
    let mut changed = false;
    match fs::create_dir(slot.join("log")) {
        Ok(()) => changed = true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    for (place, program) in LINKS {
        let link = slot.join(place);
        let target = Path::new(PROGRAMS).join(program);
        if fs::read_link(&link).is_ok_and(|found| found == target) {
            continue;
        }
        let staged = slot.join(format!("{place}.tmp"));
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(&target, &staged)?;
        fs::rename(&staged, &link)?;
        changed = true;
    }
    Ok(changed)
}

/// Removes what an interrupted [`publish`] left. Returns the names removed.
///
/// # Errors
/// Where the scandir cannot be listed or a leftover cannot be removed.
pub fn sweep_staging(scandir: &Path) -> io::Result<Vec<String>> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(scandir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let staged = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".tmp"));
        if staged.is_some_and(|slot| slot.starts_with(PREFIX)) {
            fs::remove_dir_all(entry.path())?;
            swept.push(name);
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coder() -> ProfileName {
        "coder".parse().unwrap()
    }

    #[test]
    fn a_published_slot_holds_links_and_nothing_executable() {
        let scandir = tempfile::tempdir().unwrap();
        publish(scandir.path(), &coder(), Want::Down).unwrap();
        let slot = scandir.path().join("gateway-coder");
        for (place, program) in LINKS {
            assert_eq!(
                fs::read_link(slot.join(place)).unwrap(),
                Path::new(PROGRAMS).join(program)
            );
        }
        assert!(is_down(scandir.path(), &coder()));
        assert_eq!(normalise(scandir.path()).unwrap().len(), 0);
    }

    #[test]
    fn a_registered_slot_is_the_same_as_a_published_one() {
        let scandir = tempfile::tempdir().unwrap();
        publish(scandir.path(), &coder(), Want::Down).unwrap();
        let registered = s6_svc::Registration::new(
            &Scandir::new(scandir.path()).unwrap(),
            &service_name(&coder()),
            &definition(Want::Down),
        )
        .publish();
        assert_eq!(registered.unwrap(), s6_svc::Registered::Already);
        let longest: ProfileName = "a".repeat(ProfileName::MAX_LEN).parse().unwrap();
        assert_eq!(service_name(&longest).as_str(), name(&longest));
    }

    #[test]
    fn a_slot_with_scripts_gets_links() {
        let scandir = tempfile::tempdir().unwrap();
        let slot = scandir.path().join("gateway-coder");
        fs::create_dir(&slot).unwrap();
        fs::write(slot.join("run"), "#!/bin/sh\n").unwrap();
        let changed = normalise(scandir.path()).unwrap();
        assert_eq!(changed.len(), 1);
        assert!(changed[0].1.is_ok());
        assert_eq!(
            fs::read_link(slot.join("log/run")).unwrap(),
            Path::new(PROGRAMS).join("gateway-log")
        );
        assert_eq!(normalise(scandir.path()).unwrap().len(), 0);
    }

    #[test]
    fn other_services_and_links_are_left_alone() {
        let scandir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(scandir.path().join("web")).unwrap();
        symlink(elsewhere.path(), scandir.path().join("gateway-coder")).unwrap();
        assert_eq!(normalise(scandir.path()).unwrap().len(), 0);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_leftover_of_an_interrupted_publication_is_no_obstacle() {
        let scandir = tempfile::tempdir().unwrap();
        fs::create_dir_all(scandir.path().join(".gateway-coder.tmp/log")).unwrap();
        fs::create_dir(scandir.path().join(".gateway-old.tmp")).unwrap();
        publish(scandir.path(), &coder(), Want::Up).unwrap();
        assert_eq!(sweep_staging(scandir.path()).unwrap(), [".gateway-old.tmp"]);
        assert!(!is_down(scandir.path(), &coder()));
    }
}
