//! `talaria profile`.

use clap::{Args, Subcommand};
use profile_boot::lifecycle::{self, Deleted, LifecycleError};
use profile_boot::profile::ProfileName;
use s6_svc::Tai64n;

use crate::cli::CODES;
use crate::failure::{Failure, Result};
use crate::place::{self, Place, SEEDS};
use crate::{output, view};

/// Create, delete and look at profiles.
///
/// Each profile has a home of its own in the agent's, and a gateway, which `talaria gateway`
/// controls. The profile `default` is the agent's home itself.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria profile create coder
  talaria profile list
  talaria profile delete coder

{CODES}"))]
pub(crate) struct Profile {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
enum ProfileCommand {
    /// Make a profile, with a port, and a gateway that is down.
    #[command(after_help = "\
Examples:
  talaria profile create coder
  talaria profile create coder && talaria gateway start -p coder --wait")]
    Create {
        /// Lower-case letters, digits, - and _.
        name: ProfileName,
    },
    /// Stop a profile's gateway, and remove all that the profile holds.
    #[command(after_help = "\
Examples:
  talaria profile delete coder")]
    Delete {
        /// The profile.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<ProfileName>,
    },
    /// List the profiles.
    #[command(after_help = "\
Examples:
  talaria profile list
  talaria profile list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell all that is known of one profile and its gateway.
    #[command(after_help = "\
Examples:
  talaria profile show coder
  talaria profile show coder --json")]
    Show {
        /// The profile.
        #[arg(default_value = "default")]
        name: ProfileName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(profile: Profile) -> Result {
    let one = |failure| vec![failure];
    let site = profile.place.enter().map_err(one)?;
    match profile.command {
        ProfileCommand::Create { name } => {
            let created = lifecycle::create(&site, &name, SEEDS.as_ref())
                .map_err(|error| one(error.into()))?;
            let port = created.port.port;
            if created.registered {
                anstream::println!("profile {name}: created, its gateway is down, port {port}");
            } else {
                anstream::println!("profile {name}: created, port {port}");
            }
            Ok(())
        }
        ProfileCommand::Delete { names } => {
            let mut failures = Vec::new();
            for name in names {
                match lifecycle::delete(&site, &name) {
                    Ok(Deleted::Removed) => anstream::println!("profile {name}: deleted"),
                    Ok(Deleted::Absent) => {
                        failures.push(LifecycleError::NoSuchProfile { profile: name }.into());
                    }
                    Err(error) => failures.push(error.into()),
                }
            }
            crate::failure::all(failures)
        }
        ProfileCommand::List { json } => list(&site, json),
        ProfileCommand::Show { name, json } => {
            let status = lifecycle::status(&site, &name).map_err(|error| one(error.into()))?;
            if json {
                view::json(&view::Json::new(&status, Tai64n::now())).map_err(one)
            } else {
                view::detail(&status);
                Ok(())
            }
        }
    }
}

fn list(site: &lifecycle::Site, json: bool) -> Result {
    let one = |failure: Failure| vec![failure];
    let profiles = place::profiles(site).map_err(one)?;
    if json {
        let (found, failures) = view::looked(site)?;
        let now = Tai64n::now();
        let values: Vec<_> = found.iter().map(|one| view::Json::new(one, now)).collect();
        view::json(&values).map_err(one)?;
        return crate::failure::all(failures);
    }
    let row = |name: ProfileName| {
        let port = profile_boot::port::lookup(site.home(), &name);
        vec![
            name.to_string(),
            port.map_or_else(|| "-".to_owned(), |assigned| assigned.port.to_string()),
            site.directory(&name).display().to_string(),
        ]
    };
    let rows: Vec<_> = profiles.into_iter().map(row).collect();
    output::rows(&["PROFILE", "PORT", "DIRECTORY"], &rows).map_err(|error| one(error.into()))
}
