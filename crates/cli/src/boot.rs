//! `talaria boot`: what the next start of the container would do.

use std::path::Path;

use clap::{Args, Subcommand};
use profile_boot::gateway_state::Record;
use profile_boot::provision::{self, Wishes};
use profile_boot::reconcile::{self, Observed};
use s6_svc::Want;
use serde::Serialize;

use crate::cli::CODES;
use crate::failure::{Failure, Result};
use crate::place::{Place, SEEDS};
use crate::view;

/// Where the init says whose gateway is the container's command.
const SUPERVISED_GATEWAY: &str = "/run/s6/init/gateway";

/// Show what the boot would do now.
///
/// The boot itself carries it out, before anything else runs.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria boot provision --dry-run
  talaria boot reconcile --dry-run

{CODES}"))]
pub(crate) struct Boot {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: BootCommand,
}

#[derive(Debug, Subcommand)]
enum BootCommand {
    /// Show what is missing in the agent's home.
    #[command(after_help = "\
Examples:
  talaria boot provision --dry-run")]
    Provision(Dry),
    /// Show which slots would be made or changed.
    #[command(after_help = "\
Examples:
  talaria boot reconcile --dry-run --json")]
    Reconcile(Dry),
}

#[derive(Debug, Args)]
struct Dry {
    /// Change nothing; needed, since the boot alone changes anything.
    #[arg(long, required = true)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A step as JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
enum Json {
    MakeDirectory {
        path: String,
    },
    WriteFile {
        path: String,
        mode: String,
        bytes: usize,
    },
    RemoveStale {
        profile: String,
        file: &'static str,
    },
    Record {
        profile: String,
    },
    PublishSlot {
        profile: String,
        want: &'static str,
    },
    ChangeSlot {
        profile: String,
        want: &'static str,
    },
}

impl Json {
    fn of_provision(home: &Path, step: &provision::Step) -> Self {
        let path = home.join(step.name()).display().to_string();
        match step {
            provision::Step::Directory { .. } => Self::MakeDirectory { path },
            provision::Step::File { mode, bytes, .. } => Self::WriteFile {
                path,
                mode: format!("{mode:04o}"),
                bytes: bytes.len(),
            },
        }
    }

    fn of_reconcile(step: &reconcile::Step) -> Self {
        let word = |want: &Want| match want {
            Want::Up => "up",
            Want::Down => "down",
        };
        match step {
            reconcile::Step::RemoveStale { profile, file } => Self::RemoveStale {
                profile: profile.to_string(),
                file,
            },
            reconcile::Step::Record { profile } => Self::Record {
                profile: profile.to_string(),
            },
            reconcile::Step::Publish { profile, want } => Self::PublishSlot {
                profile: profile.to_string(),
                want: word(want),
            },
            reconcile::Step::SetWant { profile, want } => Self::ChangeSlot {
                profile: profile.to_string(),
                want: word(want),
            },
        }
    }

    /// The step in a line.
    fn line(&self) -> String {
        match self {
            Self::MakeDirectory { path } => format!("make directory {path}"),
            Self::WriteFile { path, mode, bytes } => {
                format!("write {path}, mode {mode}, {bytes} bytes")
            }
            Self::RemoveStale { profile, file } => {
                format!("profile {profile}: remove stale {file}")
            }
            Self::Record { profile } => {
                format!("profile {profile}: record that its gateway is to run")
            }
            Self::PublishSlot { profile, want } => {
                format!("profile {profile}: make its slot, {want}")
            }
            Self::ChangeSlot { profile, want } => {
                format!("profile {profile}: have its slot start {want}")
            }
        }
    }
}

pub(crate) fn run(boot: &Boot) -> Result {
    let one = |failure| vec![failure];
    let site = boot.place.enter().map_err(one)?;
    let (steps, dry): (Vec<Json>, _) = match &boot.command {
        BootCommand::Provision(dry) => {
            let wishes = Wishes {
                auth_json: std::env::var("HERMES_AUTH_JSON_BOOTSTRAP")
                    .ok()
                    .filter(|text| !text.is_empty()),
                gateway_state: std::env::var("HERMES_GATEWAY_BOOTSTRAP_STATE").ok(),
            };
            let plan = provision::plan(site.home(), Path::new(SEEDS), &wishes);
            let steps = plan.iter();
            (
                steps
                    .map(|step| Json::of_provision(site.home(), step))
                    .collect(),
                dry,
            )
        }
        BootCommand::Reconcile(dry) => {
            let seen =
                reconcile::observe(site.home(), site.scandir().path()).map_err(|source| {
                    one(Failure::File {
                        action: "list it",
                        path: site.home().join("profiles"),
                        source,
                    })
                })?;
            for (name, reason) in &seen.skipped {
                anstream::eprintln!(
                    "talaria: profiles/{}: passed over: {reason}",
                    name.escape_default()
                );
            }
            for one in &seen.profiles {
                warn_unreadable(one);
            }
            let commanded = std::fs::read_to_string(SUPERVISED_GATEWAY)
                .ok()
                .and_then(|name| name.parse().ok());
            let plan = reconcile::plan(&seen.profiles, commanded.as_ref());
            (plan.iter().map(Json::of_reconcile).collect(), dry)
        }
    };
    if dry.json {
        return view::json(&steps).map_err(one);
    }
    if steps.is_empty() {
        anstream::println!("nothing to do");
    }
    for step in &steps {
        anstream::println!("{}", step.line());
    }
    Ok(())
}

fn warn_unreadable(one: &Observed) {
    if let Record::Unreadable(reason) = &one.record {
        anstream::eprintln!(
            "talaria: profile {}: gateway_state.json: {reason}: counts as stopped",
            one.profile
        );
    }
}
