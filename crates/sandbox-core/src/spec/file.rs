//! The form in which people write a spec.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::secret::Secret;

/// A number or a text: `512`, `0.5`, `"512m"`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// The value of a variable: a text, a number, a truth value, `{ secret = "…" }`, or
/// `{ from = "NAME" }`, which takes the caller's variable of that name as a secret.
///
/// Its `Debug` shows no value: whether a text is a secret can depend on its name.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum EnvFile {
    /// A truth value: `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text. Under a name that [looks secret](crate::EnvName::looks_secret) it is one.
    Text(String),
    /// A secret.
    Secret(SecretValue),
    /// The caller's variable of this name.
    From(FromName),
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool(_) => "Bool(..)",
            Self::Int(_) => "Int(..)",
            Self::Float(_) => "Float(..)",
            Self::Text(_) => "Text(..)",
            Self::Secret(_) => "Secret(..)",
            Self::From(_) => "From(..)",
        })
    }
}

/// `{ secret = "…" }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// The value.
    pub secret: Secret,
}

/// `{ from = "NAME" }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromName {
    /// The name of the caller's variable.
    pub from: String,
}

/// A mount: `"HOST:CONTAINER[:ro][,z]"`, or a table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum MountFile {
    /// As `docker run -v` takes it.
    Text(String),
    /// In full, for paths that hold a colon.
    Table(MountTable),
}

/// A mount in full.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountTable {
    /// A path on the host (`/…`, `./…`, `~/…`) or the name of a volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether the sandbox cannot write it.
    #[serde(default)]
    pub read_only: bool,
    /// `z` or `Z`.
    #[serde(default)]
    pub selinux: Option<String>,
}

macro_rules! spec_file {
    ($($(#[$doc:meta])* $field:ident: $type:ty => $merge:ident,)*) => {
        /// A spec as it is written in TOML or JSON, or put together from a command line. Nothing in
        /// it has been checked; [`SandboxSpec::try_from`](super::SandboxSpec::try_from) does that.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct SpecFile {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl SpecFile {
            /// Every field's name.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// This spec with another on top, such as a command line's: what the other sets wins,
            /// its lists are appended, its variables are added.
            #[must_use]
            pub fn merge(mut self, over: Self) -> Self {
                $($merge(&mut self.$field, over.$field);)*
                self
            }
        }
    };
}

fn set<T>(base: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *base = over;
    }
}

fn append<T>(base: &mut Vec<T>, over: Vec<T>) {
    base.extend(over);
}

fn add(base: &mut BTreeMap<String, EnvFile>, over: BTreeMap<String, EnvFile>) {
    base.extend(over);
}

fn label(base: &mut BTreeMap<String, String>, over: BTreeMap<String, String>) {
    base.extend(over);
}

spec_file! {
    /// The image. The one field that must be there.
    image: Option<String> => set,
    /// The task; `default` if not said.
    task: Option<String> => set,
    /// The profile; `default` if not said.
    profile: Option<String> => set,
    /// The working directory in the container; `~` is `/root`. `/workspace` if not said.
    cwd: Option<String> => set,
    /// Processors: `2`, `0.5`, `unlimited`. 2 if not said.
    cpus: Option<Scalar> => set,
    /// Memory: `512m`, `4g`, `unlimited`. 4g if not said. There is no swap.
    memory: Option<Scalar> => set,
    /// The writable layer's size: `10g`, `unlimited`. Not limited if not said.
    disk: Option<Scalar> => set,
    /// Processes and threads: `256`, `unlimited`. 256 if not said.
    pids: Option<Scalar> => set,
    /// The size of `/dev/shm`. 64m if not said; it is always bounded.
    shm: Option<Scalar> => set,
    /// `isolated` (the default), `none` or `named:NAME`.
    network: Option<String> => set,
    /// `image` (the default), `UID[:GID]`, or `host`: the caller's.
    user: Option<Scalar> => set,
    /// Mounts.
    mounts: Vec<MountFile> => append,
    /// Whether the caller's working directory is mounted at `/workspace`, if nothing else is.
    mount_cwd: Option<bool> => set,
    /// Credential files, mounted read-only.
    credentials: Vec<MountFile> => append,
    /// Skill directories, mounted read-only.
    skills: Vec<MountFile> => append,
    /// Cache directories, mounted read-only.
    caches: Vec<MountFile> => append,
    /// Variables of the container.
    env: BTreeMap<String, EnvFile> => add,
    /// Labels of the container, beside ours and in place of those that begin with `hermes-`.
    labels: BTreeMap<String, String> => label,
    /// Names of the caller's variables that each session is given; see [`env::forward`](crate::env::forward).
    forward: Vec<String> => append,
    /// Whether `/root` and `/workspace` are directories that outlive the container.
    persistent_filesystem: Option<bool> => set,
    /// Whether the container outlives the client that made it.
    persist: Option<bool> => set,
    /// `auto` (the default) or `keep`.
    entrypoint: Option<String> => set,
    /// `talaria` (the default), `engine-default` or `unconfined`.
    seccomp: Option<String> => set,
    /// Which paths of `/proc` and `/sys` are hidden: `talaria` (the default) or `engine-default`.
    masks: Option<String> => set,
    /// Arguments for the engine's command line, after all others. Nobody looks at them, but to keep
    /// secrets out, since they can be seen in the plan and in lists of processes.
    extra_args: Vec<String> => append,
    /// The OCI runtime, by the name the engine knows it by.
    runtime: Option<String> => set,
    /// The lease: `2h`, `none`. 1h if not said.
    lease: Option<Scalar> => set,
    /// What to do where a sandbox is there and differs: `refuse` (the default), `recreate`, `reuse`.
    on_drift: Option<String> => set,
    /// Whether a limit that was asked for may be left out where the host cannot enforce it.
    allow_unenforced: Option<bool> => set,
    /// The path of an engine's socket that the sandbox is given, and with it the host.
    engine_socket: Option<String> => set,
}
