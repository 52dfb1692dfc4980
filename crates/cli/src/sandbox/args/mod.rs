//! What can be said to `talaria sandbox`.

mod command;
mod spec;

use clap::{Args, Subcommand};

use crate::svc::args::Span;

pub(crate) use command::{Exec, Form, How, Jobs, Kill, Logs, Run, Session, SessionCommand, Shell};
pub(crate) use spec::{PullArg, Spec};

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
