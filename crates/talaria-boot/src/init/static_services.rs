//! The services of root's scandir: those of `/etc/services.d`, and the agent's tree.
//!
//! `/run` may be noexec, so a slot there holds links to what the service's own
//! directory holds, and nothing that s6 could run lies in it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::containment;
use crate::error::{BootError, Stage2Failure};
use crate::identity::Identity;
use crate::paths;

/// What s6-supervise makes in a slot for itself.
const SUPERVISE_OWN: [&str; 2] = ["event", "supervise"];

/// Puts the agent's tree into root's scandir.
pub(super) fn publish_agent_tree(grace: Duration) -> Result<(), BootError> {
    let slot = Path::new(paths::ROOT_SCANDIR).join(paths::AGENT_TREE);
    let make = || {
        make_directory(&slot)?;
        // Where s6-svscan cannot fork for a SIGTERM it ends its services by itself,
        // and waits for them; this bounds that.
        let grace = grace.as_millis().to_string();
        fs::write(slot.join("timeout-kill"), grace)?;
        symlink("/usr/libexec/talaria/agent-tree", slot.join("run"))
    };
    make().map_err(BootError::file("make it", &slot))
}

/// Puts these static services into root's scandir, and returns why which cannot
/// be supervised.
pub(super) fn publish(services: &[PathBuf], identity: &Identity) -> Vec<BootError> {
    let failed = |service: &PathBuf| publish_one(service, identity).err();
    services.iter().filter_map(failed).collect()
}

/// The directories of the static services.
pub(super) fn list() -> Result<Vec<PathBuf>, BootError> {
    let directory = Path::new(paths::STATIC_SERVICES);
    list_in(directory).map_err(BootError::file("list it", directory))
}

fn list_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut services = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_dir() {
            services.push(entry.path());
        }
    }
    services.sort();
    Ok(services)
}

fn publish_one(service: &Path, identity: &Identity) -> Result<(), BootError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |failure| BootError::Stage2 { path, failure }
    };
    let name = service.file_name().unwrap_or_default();
    if name == paths::AGENT_TREE {
        return Err(fail(service)(Stage2Failure::ReservedName));
    }
    let mut programs = Vec::new();
    for program in ["run", "finish", "log/run", "log/finish"] {
        let path = service.join(program);
        match path.symlink_metadata() {
            Ok(_) => {
                let real = containment::check_program(&path, identity).map_err(fail(&path))?;
                programs.push((path, real));
            }
            Err(_) if program == "run" => return Err(fail(service)(Stage2Failure::NoRun)),
            Err(_) => {}
        }
    }
    let slot = Path::new(paths::ROOT_SCANDIR).join(name);
    link_slot(service, &slot, &programs).map_err(BootError::file("make it", &slot))
}

/// Makes `slot` a view of `service`, with the logger's as a directory of its own,
/// and with links to the very `programs` that were checked.
fn link_slot(service: &Path, slot: &Path, programs: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    make_directory(slot)?;
    for entry in service.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        if SUPERVISE_OWN.iter().any(|own| name == *own) {
            continue;
        }
        let is_logger = name == "log" && entry.path().is_dir();
        // Only the service's own `log/` is a logger; one in it would be its data.
        if is_logger && slot.file_name().is_some_and(|slot| slot != "log") {
            link_slot(&entry.path(), &slot.join("log"), programs)?;
        } else {
            let path = entry.path();
            let checked = programs.iter().find(|(program, _)| *program == path);
            symlink(checked.map_or(&path, |(_, real)| real), slot.join(name))?;
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    // Whatever the umask: the agent may look at what is supervised.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_links_to_all_that_the_service_has() {
        let place = tempfile::tempdir().unwrap();
        let service = place.path().join("web");
        fs::create_dir_all(service.join("log/supervise")).unwrap();
        fs::create_dir_all(service.join("data")).unwrap();
        fs::create_dir_all(service.join("supervise")).unwrap();
        for file in ["run", "down-signal", "log/run"] {
            fs::write(service.join(file), "x").unwrap();
        }
        let slot = place.path().join("slot");
        link_slot(&service, &slot, &[]).unwrap();
        for file in ["run", "down-signal", "data", "log/run"] {
            assert_eq!(fs::read_link(slot.join(file)).unwrap(), service.join(file));
        }
        assert!(!slot.join("supervise").exists());
        assert!(!slot.join("log/supervise").exists());
    }

    #[test]
    fn a_slot_leads_to_the_program_that_was_checked_and_not_along_the_links_to_it() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("web/log")).unwrap();
        for name in ["good", "evil"] {
            fs::write(at(name), "").unwrap();
        }
        symlink(at("good"), at("turns")).unwrap();
        let mut programs = Vec::new();
        for program in ["web/run", "web/log/run"] {
            symlink(at("turns"), at(program)).unwrap();
            programs.push((at(program), at(program).canonicalize().unwrap()));
        }
        link_slot(&at("web"), &at("slot"), &programs).unwrap();
        fs::remove_file(at("turns")).unwrap();
        symlink(at("evil"), at("turns")).unwrap();
        for program in ["slot/run", "slot/log/run"] {
            assert_eq!(at(program).canonicalize().unwrap(), at("good"));
        }
    }
}
