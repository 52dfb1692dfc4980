//! The service slot of a gateway: a service directory whose programs are links
//! to the image's own, so that nothing executable stands where the agent can
//! write, and whoever made the slot, it runs the same.
//!
//! The layout is s6's service directory:
//! <https://skarnet.org/software/s6/servicedir.html>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use s6_svc::skeleton::Identity;
use s6_svc::{AbsPath, Definition, FsError, Scandir, ServiceDir, ServiceName, Want};

use crate::folder::Folder;
use crate::profile::ProfileName;
use crate::supervisors::Supervisors;

/// Where the image keeps the programs that slots link to.
pub const PROGRAMS: &str = "/usr/libexec/talaria";

/// How many s6-supervise processes the agent's tree can hold: two for each slot
/// with a logger. s6-svscan keeps its table on the stack, about 400 bytes an entry.
pub const MAX_SUPERVISED: u32 = 4096;

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
pub fn publish(
    scandir: &Path,
    profile: &ProfileName,
    want: Want,
    supervisors: Supervisors,
) -> io::Result<()> {
    Series::new(&Folder::open(scandir)?, supervisors).publish(profile, want)
}

/// Gateways' slots that are made one after another in a scandir that is open.
pub(crate) struct Series<'a> {
    scandir: &'a Folder,
    supervisors: Supervisors,
    /// One that was made, where there is one that starts down if any does.
    model: Option<String>,
}

impl<'a> Series<'a> {
    pub(crate) fn new(scandir: &'a Folder, supervisors: Supervisors) -> Self {
        Self {
            scandir,
            supervisors,
            model: None,
        }
    }

    /// The same as [`publish`].
    pub(crate) fn publish(&mut self, profile: &ProfileName, want: Want) -> io::Result<()> {
        let name = name(profile);
        let model = self.model.as_deref();
        publish_links(self.scandir, &name, LINKS, want, self.supervisors, model)?;
        if self.supervisors != Supervisors::Roots && (model.is_none() || want == Want::Down) {
            self.model = Some(name);
        }
        Ok(())
    }
}

/// Puts the dashboard's slot into `scandir`. One that is there stays as it is.
///
/// # Errors
/// Where the scandir cannot be written.
pub fn publish_dashboard(scandir: &Path, want: Want, supervisors: Supervisors) -> io::Result<()> {
    let scandir = Folder::open(scandir)?;
    if scandir.kind(DASHBOARD)?.is_some() {
        return Ok(());
    }
    publish_links(
        &scandir,
        DASHBOARD,
        DASHBOARD_LINKS,
        want,
        supervisors,
        None,
    )
}

/// Makes a slot under a name that s6-svscan passes over, since it begins with a
/// dot, and gives it its own when it is whole.
///
/// What a `model` has, another slot of the same kind, becomes this one's too, under a second name:
/// that is one small step where a new file is three large ones. Nobody writes into these files;
/// what changes is replaced.
fn publish_links(
    scandir: &Folder,
    name: &str,
    links: [(&str, &str); 3],
    want: Want,
    supervisors: Supervisors,
    model: Option<&str>,
) -> io::Result<()> {
    let staged = format!(".{name}.tmp");
    if !scandir.make_directory(&staged)? {
        scandir.remove(&staged)?;
        scandir.make_directory(&staged)?;
    }
    let shares = |place: &str| {
        model.is_some_and(|model| {
            let [old, new] = [model, &staged].map(|slot| format!("{slot}/{place}"));
            scandir.link(&old, &new).is_ok()
        })
    };
    let file = |place: &str, bytes: &[u8]| {
        if shares(place) {
            Ok(())
        } else {
            scandir.make_file(&format!("{staged}/{place}"), bytes)
        }
    };
    file("type", b"longrun\n")?;
    scandir.make_directory(&format!("{staged}/log"))?;
    file("log/type", b"longrun\n")?;
    for (place, program) in links {
        if !shares(place) {
            let target = Path::new(PROGRAMS).join(program);
            scandir.make_link(&format!("{staged}/{place}"), &target)?;
        }
    }
    if want == Want::Down {
        file("down", b"")?;
    }
    if supervisors == Supervisors::Roots {
        seed(&scandir.path().join(&staged))?;
    }
    scandir.rename(&staged, name)
}

/// The programs of a slot that are not links to the image's own, by their place
/// in the slot; those that are missing as well. Empty for a slot of ours.
///
/// # Errors
/// Where the slot cannot be looked into.
pub fn strangers(scandir: &Path, slot: &str) -> io::Result<Vec<&'static str>> {
    let links = if slot == DASHBOARD {
        DASHBOARD_LINKS
    } else {
        LINKS
    };
    let at = scandir.join(slot);
    at.symlink_metadata()?;
    let strange = |(place, program): (&'static str, &str)| {
        let ours = fs::read_link(at.join(place))
            .is_ok_and(|target| target == Path::new(PROGRAMS).join(program));
        (!ours).then_some(place)
    };
    Ok(links.into_iter().filter_map(strange).collect())
}

/// Makes the supervise skeleton of a slot that no supervisor has seen yet, for
/// whoever makes the slot.
fn seed(slot: &Path) -> io::Result<()> {
    ServiceDir::new(slot)
        .map_err(io::Error::other)?
        .seed(Identity::effective())
        .map_err(io::Error::other)
}

/// Whether s6-supervise will leave the slot's service down when it starts.
#[must_use]
pub fn is_down(scandir: &Path, profile: &ProfileName) -> bool {
    scandir.join(name(profile)).join("down").exists()
}

/// How the service of a slot starts; `None` without a slot.
pub(crate) fn want_at(scandir: &Folder, profile: &ProfileName) -> Option<Want> {
    let name = name(profile);
    if !scandir.leads_somewhere(format!("{name}/")) {
        return None;
    }
    // s6 asks only whether it is there, and follows a link for that.
    let is_down = scandir.leads_somewhere(format!("{name}/down"));
    Some(if is_down { Want::Down } else { Want::Up })
}

/// Makes a slot start up, or stay down, the next time s6-supervise starts on it.
///
/// # Errors
/// Where the `down` file can be neither written nor removed.
pub fn set_want(scandir: &Path, profile: &ProfileName, want: Want) -> io::Result<()> {
    set_down_file(&Folder::open(&scandir.join(name(profile)))?, want)
}

/// The same in a scandir that is open.
pub(crate) fn set_want_at(scandir: &Folder, profile: &ProfileName, want: Want) -> io::Result<()> {
    set_down_file(&scandir.at(&name(profile))?, want)
}

fn set_down_file(slot: &Folder, want: Want) -> io::Result<()> {
    // To open what is there could wait for ever.
    match slot.kind("down")? {
        Some(FileType::RegularFile) if want == Want::Down => return Ok(()),
        _ => slot.remove("down")?,
    }
    match want {
        Want::Down => slot.make_file("down", b""),
        Want::Up => Ok(()),
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
    let failed = |(slot, want): (PathBuf, Want)| {
        let set = Folder::open(&slot).and_then(|slot| set_down_file(&slot, want));
        set.err().map(|error| (slot, error))
    };
    Ok(wants.into_iter().filter_map(failed).collect())
}

/// Turns the programs of every gateway slot in `scandir` into links to the
/// image's own. Returns the slots that were changed.
///
/// The agent's own command line writes slots with scripts in them, which do not
/// run on a noexec file system and know nothing of ports, parking and logs. Such
/// a slot is new: where its supervisors will be root's, it gets its skeleton too.
///
/// # Errors
/// Where the scandir cannot be listed; a slot that cannot be changed is
/// reported with its reason among the results.
pub fn normalise(
    scandir: &Path,
    supervisors: Supervisors,
) -> io::Result<Vec<(String, io::Result<()>)>> {
    let mut changed = Vec::new();
    let open = Folder::open(scandir)?;
    for entry in fs::read_dir(scandir)? {
        let entry = entry?;
        let slot = entry.file_name().to_string_lossy().into_owned();
        if profile(&slot).is_none() || !entry.file_type()?.is_dir() {
            continue;
        }
        let result = match open.at(&slot).and_then(|slot| normalise_slot(&slot)) {
            Ok(false) => continue,
            Ok(true) if supervisors == Supervisors::Roots => seed(&entry.path()),
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        changed.push((slot, result));
    }
    Ok(changed)
}

fn normalise_slot(slot: &Folder) -> io::Result<bool> {
    let mut changed = false;
    for (place, program) in LINKS {
        let target = Path::new(PROGRAMS).join(program);
        if slot.is_link_to(place, &target) {
            continue;
        }
        if place == "log/run" {
            slot.make_directory("log")?;
        }
        let staged = format!("{place}.tmp");
        slot.remove(&staged)?;
        slot.make_link(&staged, &target)?;
        slot.rename(&staged, place)?;
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
    let open = Folder::open(scandir)?;
    for entry in fs::read_dir(scandir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let staged = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".tmp"));
        if staged.is_some_and(|slot| slot.starts_with(PREFIX)) {
            open.remove(&name)?;
            swept.push(name);
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn coder() -> ProfileName {
        "coder".parse().unwrap()
    }

    #[test]
    fn a_published_slot_holds_links_and_nothing_executable() {
        let scandir = tempfile::tempdir().unwrap();
        publish(scandir.path(), &coder(), Want::Down, Supervisors::Ours).unwrap();
        let slot = scandir.path().join("gateway-coder");
        for (place, program) in LINKS {
            assert_eq!(
                fs::read_link(slot.join(place)).unwrap(),
                Path::new(PROGRAMS).join(program)
            );
        }
        assert!(is_down(scandir.path(), &coder()));
        assert_eq!(
            normalise(scandir.path(), Supervisors::Ours).unwrap().len(),
            0
        );
    }

    #[test]
    fn slots_of_a_series_share_their_files_and_change_by_themselves() {
        use std::os::unix::fs::MetadataExt;

        let directory = tempfile::tempdir().unwrap();
        let scandir = directory.path();
        let open = Folder::open(scandir).unwrap();
        let mut series = Series::new(&open, Supervisors::Ours);
        let names = ["up", "down", "too"].map(|name| name.parse::<ProfileName>().unwrap());
        for (profile, want) in names.iter().zip([Want::Up, Want::Down, Want::Down]) {
            series.publish(profile, want).unwrap();
        }
        let [up, down, too] = &names;
        for profile in &names {
            let slot = scandir.join(name(profile));
            assert_eq!(fs::read(slot.join("log/type")).unwrap(), b"longrun\n");
            assert!(strangers(scandir, &name(profile)).unwrap().is_empty());
            assert_eq!(slot.join("type").metadata().unwrap().nlink(), 3);
        }
        set_want(scandir, up, Want::Down).unwrap();
        set_want(scandir, down, Want::Up).unwrap();
        let wants = names.each_ref().map(|profile| is_down(scandir, profile));
        assert_eq!(wants, [true, false, true]);
        fs::remove_dir_all(scandir.join(name(down))).unwrap();
        // The slot that they were made after is gone.
        set_want(scandir, too, Want::Up).unwrap();
        let late = "late".parse().unwrap();
        series.publish(&late, Want::Down).unwrap();
        assert!(is_down(scandir, &late));
        assert!(strangers(scandir, &name(&late)).unwrap().is_empty());
    }

    #[test]
    fn a_registered_slot_is_the_same_as_a_published_one() {
        let scandir = tempfile::tempdir().unwrap();
        publish(scandir.path(), &coder(), Want::Down, Supervisors::Ours).unwrap();
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
        let changed = normalise(scandir.path(), Supervisors::Ours).unwrap();
        assert_eq!(changed.len(), 1);
        assert!(changed[0].1.is_ok());
        assert_eq!(
            fs::read_link(slot.join("log/run")).unwrap(),
            Path::new(PROGRAMS).join("gateway-log")
        );
        assert_eq!(
            normalise(scandir.path(), Supervisors::Ours).unwrap().len(),
            0
        );
    }

    #[test]
    fn other_services_and_links_are_left_alone() {
        let scandir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(scandir.path().join("web")).unwrap();
        symlink(elsewhere.path(), scandir.path().join("gateway-coder")).unwrap();
        assert_eq!(
            normalise(scandir.path(), Supervisors::Ours).unwrap().len(),
            0
        );
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_leftover_of_an_interrupted_publication_is_no_obstacle() {
        let scandir = tempfile::tempdir().unwrap();
        fs::create_dir_all(scandir.path().join(".gateway-coder.tmp/log")).unwrap();
        fs::create_dir(scandir.path().join(".gateway-old.tmp")).unwrap();
        publish(scandir.path(), &coder(), Want::Up, Supervisors::Ours).unwrap();
        assert_eq!(sweep_staging(scandir.path()).unwrap(), [".gateway-old.tmp"]);
        assert!(!is_down(scandir.path(), &coder()));
    }

    #[test]
    fn a_slot_for_supervisors_of_roots_has_its_skeleton() {
        let scandir = tempfile::tempdir().unwrap();
        publish(scandir.path(), &coder(), Want::Up, Supervisors::Roots).unwrap();
        publish_dashboard(scandir.path(), Want::Down, Supervisors::Roots).unwrap();
        let by_others = scandir.path().join("gateway-writer");
        fs::create_dir(&by_others).unwrap();
        normalise(scandir.path(), Supervisors::Roots).unwrap();
        for slot in ["gateway-coder", "dashboard", "gateway-writer"] {
            for place in s6_svc::skeleton::Place::ALL {
                for service in [slot.to_owned(), format!("{slot}/log")] {
                    let path = scandir.path().join(service).join(place.path());
                    let mode = path.symlink_metadata().unwrap().permissions().mode();
                    assert_eq!(mode & 0o7777, place.mode(), "{}", path.display());
                }
            }
        }
    }
}
