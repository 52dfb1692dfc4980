//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use s6_svc::{Field, Goal};

use crate::boot::Boot;
use crate::doctor::Doctor;
use crate::gateway::args::Gateway;
use crate::health::Health;
use crate::profile::Profile;
use crate::shell::{Completions, Man};
use crate::status::Overview;
use crate::svc::args::{Owner, Span, Target, Variable};

/// The command line of Talaria, the container stack for AI agents.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = format!("\
Examples:
  talaria status
  talaria gateway start -p coder --wait
  talaria doctor

{ALL_CODES}"))]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(Overview),
    Gateway(Gateway),
    Profile(Profile),
    Health(Health),
    #[cfg(feature = "sandbox")]
    Sandbox(Box<crate::sandbox::args::Sandbox>),
    #[cfg(feature = "mcp")]
    Mcp(Box<crate::sandbox::mcp::Mcp>),
    #[cfg(feature = "docker-shim")]
    DockerShim(crate::sandbox::docker_shim::DockerShim),
    Doctor(Doctor),
    Boot(Boot),
    Svc(Svc),
    Completions(Completions),
    Man(Man),
}

/// The exit codes of all commands together, but for `svc`, which has s6's own.
const ALL_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    there is no such profile, sandbox or file
  4    not permitted
  5    no container engine answers
  124  timed out";

/// The exit codes of the commands for an agent container.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage
  3    there is no such profile, or no log of it
  4    not permitted
  124  timed out";

const EXIT_CODES: &str = "\
Examples:
  talaria svc list
  talaria svc stat gateway-coder

Exit codes:
  0    done
  1    not in the state that was asked about or waited for, and will not be
  99   timed out
  100  wrong usage, or something else stands where it should be
  102  nobody supervises the service, or scans the scandir
  111  the system did not allow it";

/// Register, control and watch services that s6 supervises.
///
/// A SERVICE is a name in the scandir (`web`, and `web/log` for its logger), or a path that begins
/// with a slash or a dot.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Svc {
    /// Where the services are.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/run/service"
    )]
    pub(crate) scandir: PathBuf,
    #[command(subcommand)]
    pub(crate) command: SvcCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SvcCommand {
    Stat(Stat),
    Control(Control),
    Wait(Wait),
    List(List),
    Register(Box<Register>),
    Unregister(Unregister),
}

/// Tell the state of services.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria svc stat gateway-coder
  talaria svc stat -o up,pid,exitcode gateway-coder
  talaria svc stat --json gateway-coder gateway-coder/log")]
pub(crate) struct Stat {
    /// The services.
    #[arg(required = true, value_name = "SERVICE")]
    pub(crate) services: Vec<Target>,
    /// Print these fields of s6-svstat's, with spaces between them.
    #[arg(short, long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "json",
        value_parser = |name: &str| name.parse::<Field>())]
    pub(crate) output: Vec<Field>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Send commands to the supervisor of services, and wait for their effect if asked to.
#[derive(Debug, Args)]
#[command(after_help = "\
Commands, with s6-svc's letters, which do as well:
  up (u), down (d), once (o), restart (r), up-for-good (U), down-for-good (D), exit (x),
  once-at-most (O), once-at-most-for-good (Q), pause (p), continue (c), kill (k), term (t),
  hup (h), int (i), quit (q), alarm (a), abort (b), usr1 (1), usr2 (2), winch (y),
  pause-group (P), continue-group (C), kill-group (K)

Examples:
  talaria svc control gateway-coder up
  talaria svc control gateway-coder restart --wait restarted --timeout 10s
  talaria svc control gateway-coder down --wait finished")]
pub(crate) struct Control {
    /// The service.
    pub(crate) service: Target,
    /// What to tell its supervisor, in this order.
    #[arg(required = true, value_name = "COMMAND",
        value_parser = crate::svc::args::parse_command)]
    pub(crate) commands: Vec<s6_svc::Command>,
    /// Wait until the service is in this state.
    #[arg(short, long, value_name = "STATE")]
    pub(crate) wait: Option<State>,
    /// How long to wait at most: 500ms, 10s, 2m, 1h. For ever by default.
    #[arg(short, long, value_name = "TIME", requires = "wait")]
    pub(crate) timeout: Option<Span>,
}

/// What can be waited for; the letters of s6-svwait do as well.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    #[value(alias = "u")]
    Up,
    #[value(alias = "U")]
    Ready,
    #[value(alias = "d")]
    Down,
    #[value(alias = "D")]
    Finished,
    #[value(alias = "r")]
    Restarted,
    #[value(alias = "R")]
    RestartedReady,
}

impl From<State> for Goal {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Ready => Self::Ready,
            State::Down => Self::Down,
            State::Finished => Self::Finished,
            State::Restarted => Self::Restarted,
            State::RestartedReady => Self::RestartedAndReady,
        }
    }
}

/// Wait until services are in a state.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria svc wait ready gateway-coder gateway-writer --timeout 30s
  talaria svc wait finished gateway-coder")]
pub(crate) struct Wait {
    /// The state.
    pub(crate) state: State,
    /// The services.
    #[arg(required = true, value_name = "SERVICE")]
    pub(crate) services: Vec<Target>,
    /// Wait for one of them, not for all.
    #[arg(long)]
    pub(crate) any: bool,
    /// How long to wait at most: 500ms, 10s, 2m, 1h. For ever by default.
    #[arg(short, long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
}

/// List the services of the scandir.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria svc list
  talaria svc --scandir /run/s6/services list --json")]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Bring a new service under supervision, and wait until it is supervised.
///
/// The same service registered again counts as registered.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria svc register ticker --run /usr/local/bin/ticker
  talaria svc register web --run /opt/web/run --log /opt/web/log --notification-fd 3 --env PORT=9200")]
pub(crate) struct Register {
    /// The name of the service.
    #[arg(value_parser = |name: &str| s6_svc::ServiceName::new(name))]
    pub(crate) name: s6_svc::ServiceName,
    /// The program that is the service; it is linked to.
    #[arg(long, value_name = "PROGRAM", value_parser = crate::svc::args::parse_path)]
    pub(crate) run: s6_svc::AbsPath,
    /// The program that runs whenever the service has ended.
    #[arg(long, value_name = "PROGRAM", value_parser = crate::svc::args::parse_path)]
    pub(crate) finish: Option<s6_svc::AbsPath>,
    /// The program that reads the service's standard output.
    #[arg(long, value_name = "PROGRAM", value_parser = crate::svc::args::parse_path)]
    pub(crate) log: Option<s6_svc::AbsPath>,
    /// Do not start it.
    #[arg(long)]
    pub(crate) down: bool,
    /// The descriptor on which it tells that it is ready.
    #[arg(long, value_name = "FD")]
    pub(crate) notification_fd: Option<u32>,
    /// How long it may take to stop before it is killed.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout_kill: Option<Span>,
    /// How long the finish program may take before it is killed.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout_finish: Option<Span>,
    /// The number of the signal that stops it.
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) down_signal: Option<u8>,
    /// How many deaths are remembered.
    #[arg(long, value_name = "DEATHS")]
    pub(crate) max_death_tally: Option<u16>,
    /// A variable for its `env` directory.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<Variable>,
    /// Who shall own and control it, by number; only root can give it to somebody else.
    #[arg(long, value_name = "UID:GID")]
    pub(crate) owner: Option<Owner>,
    /// How long it may take.
    #[arg(short, long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Span,
}

/// Take services out of supervision, and wait until nothing of them is left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria svc unregister ticker
  talaria svc unregister web --grace 2s --timeout 10s")]
pub(crate) struct Unregister {
    /// The names of the services.
    #[arg(required = true, value_name = "NAME",
        value_parser = |name: &str| s6_svc::ServiceName::new(name))]
    pub(crate) names: Vec<s6_svc::ServiceName>,
    /// How long each may take to stop before it is killed.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) grace: Span,
    /// How long each may take in all.
    #[arg(short, long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Span,
}
