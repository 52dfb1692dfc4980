//! A Debian root file system made on this machine, with nothing installed for it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::context::FileError;
use crate::digest::Sum;
use crate::paths::Checkout;
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// Debian's own keys, as its package installs them.
const KEYRING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";
/// The dates of all files: what depends on the day is not reproducible.
const EPOCH: &str = "1735689600";

/// What packages leave out, as dpkg's configuration says it.
const SLIM: [&str; 8] = [
    "path-exclude /usr/share/doc/*",
    "path-include /usr/share/doc/*/copyright",
    "path-exclude /usr/share/groff/*",
    "path-exclude /usr/share/info/*",
    "path-exclude /usr/share/linda/*",
    "path-exclude /usr/share/lintian/*",
    "path-exclude /usr/share/locale/*",
    "path-exclude /usr/share/man/*",
];
/// The same for the packages that are there before that configuration.
const REMOVE: &str = "cd \"$1/usr/share\"; \
    rm -rf groff/* info/* linda/* lintian/* locale/* man/*; \
    find doc ! -type d ! -name copyright -delete; \
    find doc -mindepth 1 -type d -empty -delete";

/// Why no root file system could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapError {
    /// Neither mmdebstrap nor what fetches it is here.
    #[error("mmdebstrap is not installed, and there is no apt-get to fetch it with")]
    NoApt,
    /// Neither root nor a user with subordinate ids.
    #[error(
        "making a root file system needs root, or a user with subordinate ids in /etc/subuid and newuidmap"
    )]
    NoRights,
    /// A package could not be fetched.
    #[error("cannot fetch the package {package}")]
    Fetch {
        /// Its name.
        package: &'static str,
        /// What apt-get or dpkg-deb said.
        source: ProcessError,
    },
    /// mmdebstrap failed.
    #[error("mmdebstrap failed")]
    Run(#[from] ProcessError),
    /// A file of the cache could not be read or written.
    #[error("cannot keep the root file system")]
    File(#[from] FileError),
}

impl BootstrapError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoApt => Some(
                "install mmdebstrap (Fedora: dnf install mmdebstrap; Arch: pacman -S mmdebstrap), \
                 or `docker pull debian:trixie-slim` where a registry can be reached",
            ),
            Self::NoRights => Some(
                "run this command once as root, or `usermod --add-subuids 100000-165535 \
                 --add-subgids 100000-165535 $USER` and `apt-get install uidmap`",
            ),
            Self::Fetch { .. } => Some("`apt-get install mmdebstrap` does the same by hand"),
            Self::Run(_) | Self::File(_) => None,
        }
    }
}

/// Everything that decides what is in the root file system.
#[derive(Debug)]
pub(crate) struct Recipe {
    suite: &'static str,
    arguments: Vec<String>,
}

impl Recipe {
    /// What `debian:trixie-slim` is: minbase, without manuals and translations.
    pub(crate) fn trixie() -> Self {
        let excludes = SLIM.map(|line| format!("{line}\\n")).concat();
        let arguments = [
            "--variant=minbase".to_owned(),
            // Devices are the engine's business, and cannot be unpacked without root.
            "--skip=output/dev".to_owned(),
            "--aptopt=Apt::Install-Recommends \"false\"".to_owned(),
            "--aptopt=Acquire::Languages \"none\"".to_owned(),
            // As --dpkgopt these would need mmdebstrap's filter, which needs Python.
            format!("--customize-hook=printf '{excludes}' > \"$1/etc/dpkg/dpkg.cfg.d/slim\""),
            format!("--customize-hook={REMOVE}"),
        ];
        Self {
            suite: "trixie",
            arguments: arguments.into(),
        }
    }

    /// A suite with its s6, for the tests.
    pub(crate) fn s6(suite: &'static str) -> Self {
        let arguments = [
            "--variant=minbase",
            "--include=s6,execline",
            "--skip=output/dev",
            // A suite in development may not have been signed lately.
            "--aptopt=Acquire::Check-Valid-Until \"false\"",
        ];
        Self {
            suite,
            arguments: arguments.map(str::to_owned).into(),
        }
    }

    /// Tells one recipe from another.
    pub(crate) fn sum(&self) -> Sum {
        let arguments = self.arguments.iter().map(String::as_bytes);
        let rest = [
            self.suite.as_bytes(),
            env::consts::ARCH.as_bytes(),
            EPOCH.as_bytes(),
        ];
        Sum::of_fields(arguments.chain(rest))
    }
}

/// How mmdebstrap gets the rights to make files of many owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Root,
    Unshare,
}

impl Mode {
    /// Root if it is root; a user namespace if the user has ids to fill it with.
    fn choose(is_root: bool, has_subordinate_ids: bool) -> Option<Self> {
        match (is_root, has_subordinate_ids) {
            (true, _) => Some(Self::Root),
            (false, true) => Some(Self::Unshare),
            (false, false) => None,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Root => "--mode=root",
            Self::Unshare => "--mode=unshare",
        }
    }
}

/// Makes the archive, or takes the one of the cache; `fresh` makes it again.
pub(crate) fn make(
    checkout: &Checkout,
    recipe: &Recipe,
    fresh: bool,
) -> Result<PathBuf, BootstrapError> {
    let cache = checkout.cache();
    let archive = cache.join(format!("rootfs-{}.tar", recipe.sum().short()));
    if archive.exists() && !fresh {
        return Ok(archive);
    }
    let step = Step::begin(format!("bootstrap Debian {}", recipe.suite));
    let uid = rustix::process::getuid();
    let mode = Mode::choose(uid.is_root(), has_subordinate_ids(uid.as_raw())?)
        .ok_or(BootstrapError::NoRights)?;
    let tools = cache.join("tools");
    let keyring = keyring(&tools, &step)?;
    let scratch = cache.join("tmp");
    fs::create_dir_all(&scratch).map_err(FileError::on(&scratch))?;
    let partial = cache.join("rootfs.part.tar");

    let mut command = mmdebstrap(&tools, &step)?;
    command
        .args(&recipe.arguments)
        .args([mode.argument(), "--format=tar"]);
    command.arg(format!("--keyring={}", keyring.display()));
    for option in ["Acquire::Check-Valid-Until", "Acquire::Check-Date"] {
        // A machine with a wrong clock says so to its own apt; so do we.
        if let Some(value) = apt_setting(option) {
            command.arg(format!("--aptopt={option} \"{value}\""));
        }
    }
    command.arg(recipe.suite).arg(&partial);
    command
        .env("TMPDIR", &scratch)
        .env("SOURCE_DATE_EPOCH", EPOCH);
    process::run(&mut command, &step)?;
    fs::rename(&partial, &archive).map_err(FileError::on(&archive))?;
    step.done(format!("made {}", archive.display()));
    Ok(archive)
}

fn mmdebstrap(tools: &Path, step: &Step) -> Result<Command, BootstrapError> {
    if process::output(Command::new("mmdebstrap").arg("--version")).is_ok() {
        return Ok(Command::new("mmdebstrap"));
    }
    let script = tools.join("mmdebstrap/usr/bin/mmdebstrap");
    if !script.exists() {
        unpack_package("mmdebstrap", tools, step)?;
    }
    let mut command = Command::new("perl");
    command.arg(script);
    Ok(command)
}

/// The archive's keys: this machine's, or those of the package.
fn keyring(tools: &Path, step: &Step) -> Result<PathBuf, BootstrapError> {
    let installed = Path::new("/").join(KEYRING);
    let trixie = Path::new("/usr/share/keyrings/debian-archive-trixie-stable.gpg");
    if installed.exists() && trixie.exists() {
        return Ok(installed);
    }
    let fetched = tools.join("debian-archive-keyring").join(KEYRING);
    if !fetched.exists() {
        unpack_package("debian-archive-keyring", tools, step)?;
    }
    Ok(fetched)
}

/// Fetches a package with apt's own checks, in folders of our own, and unpacks it there.
fn unpack_package(package: &'static str, tools: &Path, step: &Step) -> Result<(), BootstrapError> {
    let failed = |source: ProcessError| {
        if source.is_missing() {
            BootstrapError::NoApt
        } else {
            BootstrapError::Fetch { package, source }
        }
    };
    step.note(format!("fetching the package {package}"));
    let apt = tools.join("apt");
    for folder in ["state/lists/partial", "cache/archives/partial"] {
        let folder = apt.join(folder);
        fs::create_dir_all(&folder).map_err(FileError::on(&folder))?;
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&apt).arg("--quiet");
        command.arg(format!("-oDir::State={}", apt.join("state").display()));
        command.arg(format!("-oDir::Cache={}", apt.join("cache").display()));
        command.arg("-oDir::State::status=/var/lib/dpkg/status");
        // apt's own user may not be able to read a checkout.
        command.arg("-oAPT::Sandbox::User=").args(arguments);
        command
    };
    process::run(&mut apt_get(&["update"]), step).map_err(failed)?;
    process::run(&mut apt_get(&["download", package]), step).map_err(failed)?;
    let archive = fs::read_dir(&apt)
        .map_err(FileError::on(&apt))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
        });
    let Some(archive) = archive else {
        let missing = io::Error::new(io::ErrorKind::NotFound, "apt-get downloaded nothing");
        return Err(FileError::on(&apt.join(package))(missing).into());
    };
    let mut unpack = Command::new("dpkg-deb");
    unpack
        .arg("--extract")
        .arg(&archive)
        .arg(tools.join(package));
    process::run(&mut unpack, step).map_err(failed)
}

/// Whether /etc/subuid gives this user ids, and the program that hands them out is there.
fn has_subordinate_ids(uid: u32) -> Result<bool, FileError> {
    let path = Path::new("/etc/subuid");
    let table = match fs::read_to_string(path) {
        Ok(table) => table,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(FileError::on(path)(error)),
    };
    let user = env::var("USER").unwrap_or_default();
    Ok(names_user(&table, uid, &user) && Path::new("/usr/bin/newuidmap").exists())
}

fn names_user(table: &str, uid: u32, user: &str) -> bool {
    let uid = uid.to_string();
    let owners = table.lines().filter_map(|line| line.split(':').next());
    owners
        .filter(|owner| !owner.is_empty())
        .any(|owner| owner == uid || owner == user)
}

/// A setting of this machine's apt.
fn apt_setting(name: &str) -> Option<String> {
    let dump = process::output(Command::new("apt-config").args(["dump", name])).ok()?;
    let value = dump
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split('"').nth(1))?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::root(true, false, Some(Mode::Root))]
    #[case::root_needs_no_ids(true, true, Some(Mode::Root))]
    #[case::user_with_ids(false, true, Some(Mode::Unshare))]
    #[case::user_without(false, false, None)]
    fn rights_come_from_root_or_subordinate_ids(
        #[case] root: bool,
        #[case] ids: bool,
        #[case] expected: Option<Mode>,
    ) {
        assert_eq!(Mode::choose(root, ids), expected);
    }

    #[rstest]
    #[case::by_name("alice:100000:65536\n", true)]
    #[case::by_number("1000:100000:65536\n", true)]
    #[case::someone_else("alicea:100000:65536\n:1:1\n", false)]
    #[case::nobody("", false)]
    fn subuid_names_users_or_their_numbers(#[case] table: &str, #[case] expected: bool) {
        assert_eq!(names_user(table, 1000, "alice"), expected);
    }

    #[test]
    fn a_recipe_is_told_from_one_with_another_argument() {
        let mut other = Recipe::trixie();
        assert_eq!(other.sum(), Recipe::trixie().sum());
        other.arguments.pop();
        assert_ne!(other.sum(), Recipe::trixie().sum());
    }
}
