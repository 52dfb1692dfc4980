//! What can be said to `talaria sandbox`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::svc::args::Span;

const CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage, or a sandbox that cannot be as asked
  3    there is no such sandbox, image or file
  4    not permitted
  5    no container engine answers
  124  timed out
  Those of run and exec are the command's own: 126 where it cannot be executed, 127 where it is
  not found, 128 plus the signal's number where it was killed.";

/// Run commands in hardened containers on Docker or Podman.
///
/// A SANDBOX is the name of its container, its id or the beginning of one, or the name of its task.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(crate) struct Sandbox {
    /// The engine, in place of the one that is found: `unix:///run/podman/podman.sock`.
    #[arg(long, global = true, value_name = "ADDRESS", env = "TALARIA_ENGINE")]
    pub(crate) engine: Option<String>,
    /// Reach agents without the broker, which keeps connections to them open.
    #[arg(long, global = true)]
    pub(crate) no_broker: bool,
    #[command(subcommand)]
    pub(crate) command: SandboxCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    Run(Box<Run>),
    Exec(Exec),
    Shell(Shell),
    Session(Session),
    Jobs(Jobs),
    Logs(Logs),
    Kill(Kill),
    Cp(Cp),
    Ls(Ls),
    Inspect(Inspect),
    Verify(Box<Verify>),
    Rm(Rm),
    Reap(Reap),
    Doctor(Doctor),
    Broker(Broker),
}

/// Get a sandbox, the one that is there for the task or a new one, and run a command in it.
///
/// Without a command the sandbox is left running, and its name is printed.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox run --image debian:trixie -- uname -a
  talaria sandbox run --image python:3.13 --task build -v ./src:/workspace -- python3 -m pytest
  echo 'print(6 * 7)' | talaria sandbox run --image python:3.13 -i -- python3 -
  talaria sandbox run --image debian:trixie --task web
  talaria sandbox run --image debian:trixie --memory 512m --network none --print argv

{CODES}"))]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) spec: Spec,
    #[command(flatten)]
    pub(crate) how: How,
    /// Remove the sandbox when the command has ended.
    #[arg(long, requires = "command")]
    pub(crate) rm: bool,
    /// Leave the agent out: commands are run by the engine, slower, and what they leave behind is
    /// not accounted for.
    #[arg(long, conflicts_with = "tty")]
    pub(crate) no_agent: bool,
    /// Print what would be created, and create nothing: docker commands, or the API's body.
    #[arg(long, value_name = "FORM", conflicts_with = "command")]
    pub(crate) print: Option<Form>,
    /// Print JSON: the command's result, or the sandbox.
    #[arg(long)]
    pub(crate) json: bool,
    /// The command.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// How a command is run.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Give it this program's standard input.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal, as large as this one.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) tty: bool,
    /// How long it may take: 500ms, 10s, 2m, 1h.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Where it starts.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// Give it a variable of yours that the container does not hold: its name, or how names begin
    /// with a `*`, of which keys of providers are held back. From here, or else the agent's .env.
    #[arg(long, value_name = "NAME")]
    pub(crate) forward: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    Argv,
    Body,
}

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

/// Run a command in a sandbox that is there.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox exec build -- make test
  talaria sandbox exec build --shell 'cd src && ls *.rs | wc -l'
  talaria sandbox exec -it build -- python3
  talaria sandbox exec --detach build -- ./server
  talaria sandbox exec --session 1 build --shell 'cd /workspace; export A=1'
  talaria sandbox exec --timeout 30s --json build -- ./slow
  tar c . | talaria sandbox exec -i build -- tar x -C /workspace

{CODES}"))]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) how: How,
    /// As whom: `UID[:GID]` or a name of the image's.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A variable; with the name alone, its value is taken from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Print the result as JSON.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) json: bool,
    /// Run it as a job, and print the job's number.
    #[arg(short, long, conflicts_with_all = ["tty", "interactive", "session"])]
    pub(crate) detach: bool,
    /// Run it in a session of `talaria sandbox session open`.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["tty", "user"])]
    pub(crate) session: Option<u32>,
    /// Let the engine run it, and not the agent in the sandbox.
    #[arg(long, conflicts_with_all = ["tty", "detach", "session", "shell"])]
    pub(crate) no_agent: bool,
    /// A script for the sandbox's shell, in place of a command.
    #[arg(long, value_name = "SCRIPT", conflicts_with = "command")]
    pub(crate) shell: Option<String>,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The command.
    #[arg(last = true, required_unless_present = "shell", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Open a shell in a sandbox.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox shell build

{CODES}"))]
pub(crate) struct Shell {
    /// Where it starts.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// As whom: `UID[:GID]` or a name of the image's.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
}

/// Open, list and close sessions: shells that keep their directory, variables, functions and
/// options from one command to the next.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox session open build
  talaria sandbox exec --session 1 build --shell 'cd /tmp; pwd'
  talaria sandbox session close build 1

{CODES}"))]
pub(crate) struct Session {
    #[command(subcommand)]
    pub(crate) command: SessionCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Open a session and print its number
    Open {
        /// As whom: `UID[:GID]` or a name of the image's
        #[arg(short, long, value_name = "USER")]
        user: Option<String>,
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
    },
    /// List the sessions of a sandbox
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
    },
    /// Close a session, and kill what runs in it
    Close {
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
        /// Its number
        #[arg(value_name = "NUMBER")]
        session: u32,
    },
}

/// List the jobs of a sandbox.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox jobs build

{CODES}"))]
pub(crate) struct Jobs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
}

/// Show what a job wrote.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox logs build 1
  talaria sandbox logs --follow build 1

{CODES}
With --follow it ends with the job, and with the job's own code."))]
pub(crate) struct Logs {
    /// Go on until the job ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Leave out what was written before now.
    #[arg(long, requires = "follow")]
    pub(crate) new: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The job's number.
    #[arg(value_name = "JOB")]
    pub(crate) job: u32,
}

/// Kill all processes of a job.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox kill build 1
  talaria sandbox kill --signal 15 build 1

{CODES}"))]
pub(crate) struct Kill {
    /// Send this signal to its process group instead, by number.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) signal: Option<u8>,
    /// Forget the job, too.
    #[arg(long, conflicts_with = "signal")]
    pub(crate) rm: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The job's number.
    #[arg(value_name = "JOB")]
    pub(crate) job: u32,
}

/// Keep connections to agents open for other commands. It starts by itself and ends when nobody
/// has needed it for ten minutes.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// How long it stays without a client.
    #[arg(
        long,
        value_name = "TIME",
        env = "TALARIA_BROKER_IDLE",
        default_value = "10m",
        hide = true
    )]
    pub(crate) idle: Span,
    #[command(subcommand)]
    pub(crate) command: Option<BrokerCommand>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum BrokerCommand {
    /// End the broker that runs
    Stop,
}

/// Copy files into a sandbox or out of it.
///
/// What comes out of a sandbox is not trusted: links and devices are left out, special bits are
/// cleared, and nothing is written outside of the destination.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox cp ./data.csv build:/workspace/
  talaria sandbox cp build:/workspace/report ./report

{CODES}"))]
pub(crate) struct Cp {
    /// The most bytes that come out.
    #[arg(long, value_name = "BYTES", default_value = "4294967296")]
    pub(crate) max_bytes: u64,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// PATH, or SANDBOX:PATH.
    pub(crate) from: String,
    /// PATH, or SANDBOX:PATH.
    pub(crate) to: String,
}

/// List sandboxes.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox ls
  talaria sandbox ls --all --json

{CODES}"))]
pub(crate) struct Ls {
    /// Everybody's, not only your own.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what a sandbox is and does.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox inspect build
  talaria sandbox inspect --json build

{CODES}"))]
pub(crate) struct Inspect {
    /// Print what the engine says, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
}

/// Compare a sandbox with what it is to be.
///
/// What the engine says of it is compared with what is asked for, field by field. Probes inside try
/// its walls: what it may do, see and reach. It ends with 1 where one does not hold. With the name
/// of a sandbox alone, the walls are those that every sandbox has.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox verify build
  talaria sandbox verify --image debian:trixie --task build
  talaria sandbox verify --json build | jq '.findings[] | select(.held != \"yes\")'

{CODES}"))]
pub(crate) struct Verify {
    /// A sandbox that is there.
    #[arg(value_name = "SANDBOX", conflicts_with_all = ["image", "spec"])]
    pub(crate) sandbox: Option<String>,
    #[command(flatten)]
    pub(crate) spec: Spec,
    /// The sandbox is to have no agent, as of `run --no-agent`.
    #[arg(long, conflicts_with = "sandbox")]
    pub(crate) no_agent: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove sandboxes. One that is not there is no error when its whole name is given.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox rm build
  talaria sandbox rm --force build web
  talaria sandbox rm --all

{CODES}"))]
pub(crate) struct Rm {
    /// Even where a command is running.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// All of your own.
    #[arg(short, long, conflicts_with = "sandboxes")]
    pub(crate) all: bool,
    /// The sandboxes.
    #[arg(value_name = "SANDBOX", required_unless_present = "all")]
    pub(crate) sandboxes: Vec<String>,
}

/// Remove the sandboxes of yours that nobody uses any more.
///
/// That is what has stopped some time ago, what was left of an interrupted creation, and what runs
/// with an agent that no longer answers; never one in use.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox reap
  talaria sandbox reap --older-than 1h --dry-run

{CODES}"))]
pub(crate) struct Reap {
    /// How long one must have been down.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) older_than: Span,
    /// How long the agent of one that runs must have kept silent; for that long it is asked.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) silent_for: Span,
    /// Only those of this profile.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Remove nothing, tell what would be.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell what this host's engine has for sandboxes, and what it lacks.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
