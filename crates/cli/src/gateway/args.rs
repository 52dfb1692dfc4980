//! `talaria gateway` on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};
use profile_boot::profile::ProfileName;
use s6_svc::Deadline;

use crate::cli::CODES;
use crate::place::Place;

/// Start, stop and watch the gateways of profiles.
///
/// A gateway that was started comes back with the container, until it is stopped.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria gateway start -p coder --wait
  talaria gateway list
  talaria gateway logs -p coder -f

{CODES}"))]
pub(crate) struct Gateway {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    pub(super) command: GatewayCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum GatewayCommand {
    /// Start a gateway; a parked one is tried again.
    #[command(after_help = "\
Examples:
  talaria gateway start
  talaria gateway start -p coder --wait
  talaria gateway start --all --wait=60")]
    Start(Change),
    /// Stop a gateway, and have it stay stopped when the container starts again.
    #[command(after_help = "\
Examples:
  talaria gateway stop -p coder
  talaria gateway stop --all --wait")]
    Stop(Change),
    /// End a gateway's process and start it again.
    #[command(after_help = "\
Examples:
  talaria gateway restart -p coder --wait")]
    Restart(Change),
    /// Tell what a gateway does.
    #[command(after_help = "\
Examples:
  talaria gateway status -p coder
  talaria gateway status --all --json")]
    Status(Look),
    /// List the gateways of all profiles.
    #[command(after_help = "\
Examples:
  talaria gateway list
  talaria gateway list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print what a gateway said.
    #[command(after_help = "\
Examples:
  talaria gateway logs -p coder
  talaria gateway logs -p coder -n 100 -f")]
    Logs(Logs),
    /// Start a gateway and wait for as long as it runs.
    ///
    /// It runs under supervision, and goes on when this program is interrupted. Where it fails for
    /// good, this ends with its exit code; where it is stopped, with 0.
    #[command(after_help = "\
Examples:
  talaria gateway run -p coder
  talaria gateway run -p coder --no-supervise")]
    Run(Run),
    /// Tell what to use instead: there is no service to install in a container.
    #[command(after_help = "\
Instead:
  talaria gateway start -p coder")]
    Install {
        #[command(flatten)]
        profile: Named,
    },
    /// Tell what to use instead: there is no service to uninstall in a container.
    #[command(after_help = "\
Instead:
  talaria gateway stop -p coder
  talaria profile delete coder")]
    Uninstall {
        #[command(flatten)]
        profile: Named,
    },
}

/// One profile.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// Whose gateway.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(super) profile: ProfileName,
}

/// One profile or all of them.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Whose gateway; without it, the default profile's.
    #[arg(short, long, value_name = "NAME")]
    pub(super) profile: Option<ProfileName>,
    /// The gateways of all profiles.
    #[arg(long, conflicts_with = "profile")]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    #[command(flatten)]
    pub(super) which: Which,
    /// Wait until it is so, for so many seconds at most.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30"
    )]
    wait: Option<u32>,
    /// Print JSON: the gateways as they are afterwards.
    #[arg(long)]
    pub(super) json: bool,
}

impl Change {
    /// Until when to wait, where that was asked for.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let seconds = u64::from(self.wait?);
        Some(Deadline::after(Duration::from_secs(seconds)))
    }
}

#[derive(Debug, Args)]
pub(super) struct Look {
    #[command(flatten)]
    pub(super) which: Which,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    #[command(flatten)]
    pub(super) of: Named,
    /// Go on printing what it says.
    #[arg(short, long)]
    pub(super) follow: bool,
    /// How many lines to print of what it said before.
    #[arg(short = 'n', long, value_name = "LINES", default_value = "50")]
    pub(super) lines: usize,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) of: Named,
    /// Run it in the foreground, without supervision.
    #[arg(long)]
    pub(super) no_supervise: bool,
}
