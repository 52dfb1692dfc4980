//! What can be said of a sandbox that is to be.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PullArg {
    Missing,
    Never,
    Always,
}

/// What a sandbox is to be.
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "each is an option of the command line, by its name"
)]
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "The sandbox")]
pub(crate) struct Spec {
    /// A spec in TOML or JSON; options on the command line come on top.
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// The image.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// When the image is fetched.
    #[arg(long, value_name = "WHEN")]
    pub(crate) pull: Option<PullArg>,
    /// What it is for; a sandbox is found again by it.
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// For which profile.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// The working directory in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// Processors, 2 by default.
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<String>,
    /// Memory, 4g by default.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Size of its own file system.
    #[arg(long, value_name = "SIZE")]
    pub(crate) disk: Option<String>,
    /// Processes, 256 by default.
    #[arg(long, value_name = "N")]
    pub(crate) pids: Option<String>,
    /// Size of /dev/shm, 64m by default.
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm: Option<String>,
    /// `isolated`, `none`, or `named:NAME`.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<String>,
    /// `image`, `UID[:GID]`, or `host` for yourself.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A mount, `HOST:CONTAINER[:ro]`.
    #[arg(short = 'v', long = "volume", value_name = "MOUNT")]
    pub(crate) mounts: Vec<String>,
    /// Mount the current directory at /workspace.
    #[arg(long)]
    pub(crate) mount_cwd: bool,
    /// A variable; with the name alone, its value is taken from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// A label of the container, beside Talaria's own.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Keep /root and /workspace when the container goes.
    #[arg(long)]
    pub(crate) persistent_filesystem: bool,
    /// Leave it running when its clients have gone.
    #[arg(long)]
    pub(crate) persist: bool,
    /// `auto` keeps an init of the image; `keep` keeps any entrypoint.
    #[arg(long, value_name = "HOW")]
    pub(crate) entrypoint: Option<String>,
    /// The OCI runtime.
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// How long it lives unused: 2h, or none.
    #[arg(long, value_name = "TIME")]
    pub(crate) lease: Option<String>,
    /// Where one is there and differs: refuse, recreate, reuse.
    #[arg(long, value_name = "POLICY")]
    pub(crate) on_drift: Option<String>,
    /// An argument for the engine's command line, which alone understands it and is run for it.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) extra_arg: Vec<String>,
    /// Go on where the host cannot enforce a limit.
    #[arg(long)]
    pub(crate) allow_unenforced: bool,
}
