//! What a home holds before its agent first looks at it: directories, and files
//! to start from. What is there already is never touched.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::folder::Folder;
use crate::read::{self, Odd};
use crate::{atomic, gateway_state};

/// The directories that an agent expects in its home.
pub const DIRECTORIES: [&str; 15] = [
    "backups",
    "cron",
    "home",
    "hooks",
    "lazy-packages",
    "logs",
    "logs/gateways",
    "memories",
    "pairing",
    "plans",
    "profiles",
    "sessions",
    "skills",
    "skins",
    "workspace",
];

/// The files that a home starts with, each with its mode. What is in them comes
/// from the image; where the image has nothing, the first two are empty, and the
/// third is the agent's to write.
const SEEDS: [(&str, u32, bool); 3] = [
    (".env", 0o600, true),
    ("config.yaml", 0o640, true),
    ("SOUL.md", 0o644, false),
];

/// Where the agent keeps its credentials.
const AUTH_JSON: &str = "auth.json";

/// What the container's environment asks for on a first boot.
#[derive(Clone, Default)]
pub struct Wishes {
    /// `HERMES_AUTH_JSON_BOOTSTRAP`: the text of `auth.json`, which is secret.
    pub auth_json: Option<String>,
    /// `HERMES_GATEWAY_BOOTSTRAP_STATE`: what the default gateway is to be at first.
    pub gateway_state: Option<String>,
}

impl fmt::Debug for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wishes")
            .field("auth_json", &self.auth_json.as_ref().map(|_| "secret"))
            .field("gateway_state", &self.gateway_state)
            .finish()
    }
}

/// One thing to make.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// A directory of mode 0755.
    Directory {
        /// Its path in the home.
        name: &'static str,
    },
    /// A file, with its mode from the first byte on.
    File {
        /// Its name in the home.
        name: &'static str,
        /// Its mode.
        mode: u32,
        /// What is in it: maybe a secret.
        bytes: Vec<u8>,
        /// Whether the image has it as well.
        is_seed: bool,
    },
}

impl Step {
    /// The path in the home that it makes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Directory { name } | Self::File { name, .. } => name,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { name } => write!(f, "Directory({name})"),
            Self::File {
                name, mode, bytes, ..
            } => {
                write!(f, "File({name}, {mode:o}, {} bytes)", bytes.len())
            }
        }
    }
}

/// A step that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot make it", path = .path.display())]
pub struct StepError {
    /// What was to be made.
    pub path: PathBuf,
    /// Why it could not be.
    pub source: io::Error,
}

/// What is missing in `home`, with the image's own files in `seeds`.
#[must_use]
pub fn plan(home: &Path, seeds: &Path, wishes: &Wishes) -> Vec<Step> {
    let home = Folder::open(home).ok();
    let kind = |name: &str| {
        home.as_ref()
            .and_then(|home| home.kind(name).ok().flatten())
    };
    let missing = |name: &str| kind(name).is_none();
    let directories = DIRECTORIES.into_iter().filter(|name| missing(name));
    let mut steps: Vec<Step> = directories.map(|name| Step::Directory { name }).collect();
    for (name, mode, always) in SEEDS {
        let image = read::small_file(&seeds.join(name)).ok().flatten();
        if let Some(bytes) = image.or_else(|| always.then(Vec::new))
            && missing(name)
        {
            steps.push(Step::File {
                name,
                mode,
                bytes,
                is_seed: true,
            });
        }
    }
    if let Some(text) = &wishes.auth_json
        && missing(AUTH_JSON)
    {
        steps.push(Step::File {
            name: AUTH_JSON,
            mode: 0o600,
            bytes: text.clone().into(),
            is_seed: false,
        });
    }
    if wishes.gateway_state.as_deref() == Some("running") && missing(gateway_state::FILE_NAME) {
        let bytes = b"{\"desired_state\":\"running\"}\n".to_vec();
        steps.push(Step::File {
            name: gateway_state::FILE_NAME,
            mode: 0o600,
            bytes,
            is_seed: false,
        });
    }
    steps
}

/// What stands in the place of a directory or a file of the home and is none.
/// It is left as it is: a link to a directory is the operator's arrangement,
/// and so is anything else for all one knows, but who made it should be told.
#[must_use]
pub fn odd(home: &Path) -> Vec<Odd> {
    let odd = |name: &str, reason: &str| Odd {
        path: home.join(name),
        reason: reason.to_owned(),
    };
    let Ok(open) = Folder::open(home) else {
        return Vec::new();
    };
    let kind = |name: &str| open.kind(name).ok().flatten();
    let directories = DIRECTORIES.into_iter().filter_map(|name| {
        let wrong = !kind(name)?.is_dir() && !open.leads_to_directory(name);
        wrong.then(|| odd(name, "not a directory"))
    });
    let seeds = SEEDS.into_iter().map(|(name, ..)| name);
    let files = seeds
        .chain([AUTH_JSON])
        .filter_map(|name| match kind(name)? {
            FileType::RegularFile => None,
            FileType::Symlink => Some(odd(name, "a symbolic link")),
            _ => Some(odd(name, "not a regular file")),
        });
    directories.chain(files).collect()
}

/// Makes it, as the agent's user. One step that fails does not stop the others.
///
/// What cannot be had again is on the disk afterwards. What the image has as well
/// need not be yet: that is for [`sync`], since a disk can take longer than a boot.
#[must_use]
pub fn execute(steps: &[Step], home: &Path) -> Vec<StepError> {
    let failed = |step: &Step, source: io::Error| StepError {
        path: home.join(step.name()),
        source,
    };
    let open = match Folder::open(home) {
        Ok(open) => open,
        Err(error) => {
            let source = || io::Error::from(error.kind());
            return steps.iter().map(|step| failed(step, source())).collect();
        }
    };
    let make = |step: &Step| match step {
        Step::Directory { name } => open.make_directory_of(name, 0o755),
        Step::File {
            name,
            mode,
            bytes,
            is_seed: true,
        } => atomic::create_unsynced(&open, name, bytes, *mode),
        Step::File {
            name, mode, bytes, ..
        } => atomic::create(&open, name, bytes, *mode),
    };
    let outcome = |step: &Step| make(step).err().map(|source| failed(step, source));
    steps.iter().filter_map(outcome).collect()
}

/// The files that [`execute`] leaves for [`sync`] to bring to the disk.
#[must_use]
pub fn unsynced(steps: &[Step]) -> Vec<&'static str> {
    let seed = |step: &Step| match step {
        Step::File {
            name,
            bytes,
            is_seed: true,
            ..
        } if !bytes.is_empty() => Some(*name),
        _ => None,
    };
    steps.iter().filter_map(seed).collect()
}

/// Brings files of the home to the disk. One that fails does not stop the others.
#[must_use]
pub fn sync(files: &[&str], home: &Path) -> Vec<StepError> {
    let failed = |name: &&str| {
        let synced = Folder::open(home).and_then(|home| atomic::sync(&home, name));
        let path = home.join(name);
        synced.err().map(|source| StepError { path, source })
    };
    files.iter().filter_map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn wishes() -> Wishes {
        Wishes {
            auth_json: Some("{\"t\":1}".into()),
            gateway_state: Some("running".into()),
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_first_boot_makes_all_of_it_and_a_second_nothing() {
        let (home, seeds) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(seeds.path().join("SOUL.md"), "soul").unwrap();
        assert!(execute(&plan(home.path(), seeds.path(), &wishes()), home.path()).is_empty());
        for directory in DIRECTORIES {
            assert!(home.path().join(directory).is_dir(), "{directory}");
        }
        assert_eq!(fs::read(home.path().join("SOUL.md")).unwrap(), b"soul");
        assert_eq!(mode(&home.path().join(".env")), 0o600);
        assert_eq!(mode(&home.path().join("config.yaml")), 0o640);
        assert_eq!(mode(&home.path().join("auth.json")), 0o600);
        assert_eq!(plan(home.path(), seeds.path(), &wishes()), []);
    }

    #[test]
    fn what_is_there_is_never_touched() {
        let (home, seeds) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in [
            ".env",
            "config.yaml",
            "auth.json",
            "gateway_state.json",
            "logs",
        ] {
            fs::write(home.path().join(name), "mine").unwrap();
        }
        let steps = plan(home.path(), seeds.path(), &wishes());
        let failed = execute(&steps, home.path());
        assert_eq!(
            failed
                .iter()
                .map(|error| error.path.clone())
                .collect::<Vec<_>>(),
            [home.path().join("logs/gateways")]
        );
        for name in [
            ".env",
            "config.yaml",
            "auth.json",
            "gateway_state.json",
            "logs",
        ] {
            assert_eq!(fs::read(home.path().join(name)).unwrap(), b"mine");
        }
        assert!(home.path().join("workspace").is_dir());
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let home = tempfile::tempdir().unwrap();
        let wishes = Wishes {
            auth_json: Some("canary".into()),
            gateway_state: None,
        };
        let text = format!("{wishes:?} {:?}", plan(home.path(), home.path(), &wishes));
        assert!(!text.contains("canary"), "{text}");
    }
}
