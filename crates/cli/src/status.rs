//! `talaria status`.

use clap::Args;
use profile_boot::supervisors::Supervisors;
use s6_svc::Tai64n;
use serde::Serialize;

use crate::cli::CODES;
use crate::dashboard::Dashboard;
use crate::failure::{self, Result};
use crate::place::{self, Place};
use crate::view;

/// Tell what supervises this container, and what its gateways and its dashboard do.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria status
  talaria status --json

{CODES}"))]
pub(crate) struct Overview {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    manager: Option<&'static str>,
    /// Whether root scans the directory of services: then the agent's user is as
    /// good as root.
    root_scans: bool,
    home: std::borrow::Cow<'a, str>,
    gateways: Vec<view::Json<'a>>,
    dashboard: Option<view::DashboardJson>,
}

pub(crate) fn run(overview: &Overview) -> Result {
    let one = |failure| vec![failure];
    let site = overview.place.enter().map_err(one)?;
    let supervised = place::is_supervised(&site).map_err(one)?;
    let root_scans = Supervisors::of(site.scandir()) == Supervisors::Roots;
    let (dashboard, unseen) = match Dashboard::look(&site) {
        Ok(dashboard) => (dashboard, None),
        Err(failure) => (Dashboard::None, Some(failure)),
    };
    let (found, mut failures) = match dashboard {
        // Gateways of this home are another container's, and nothing here knows what they do.
        Dashboard::Alone(_) => (Vec::new(), Vec::new()),
        _ => view::looked(&site)?,
    };
    failures.extend(unseen);
    let printed = if overview.json {
        let now = Tai64n::now();
        view::json(&Json {
            manager: supervised.then_some("s6"),
            root_scans,
            home: site.home().to_string_lossy(),
            gateways: found.iter().map(|one| view::Json::new(one, now)).collect(),
            dashboard: view::DashboardJson::new(&dashboard, now),
        })
    } else {
        let manager = if supervised {
            "s6 (container supervisor)"
        } else {
            "none: PID 1 is not s6-svscan"
        };
        anstream::println!("Manager: {manager}");
        if root_scans {
            anstream::println!(
                "Caution: root scans {}: whatever the agent's user puts there runs as root",
                site.scandir().path().display()
            );
        }
        anstream::println!("Home:    {}", site.home().display());
        anstream::println!();
        view::table_with(found.iter(), &dashboard)
    };
    failures.extend(printed.err());
    failure::all(failures)
}
