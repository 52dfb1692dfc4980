//! `talaria status`.

use clap::Args;
use s6_svc::Tai64n;
use serde::Serialize;

use crate::cli::CODES;
use crate::failure::{self, Result};
use crate::place::{self, Place};
use crate::view;

/// Tell what supervises this container, and what its gateways do.
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
    home: std::borrow::Cow<'a, str>,
    gateways: Vec<view::Json<'a>>,
}

pub(crate) fn run(overview: &Overview) -> Result {
    let one = |failure| vec![failure];
    let site = overview.place.enter().map_err(one)?;
    let supervised = place::is_supervised(&site).map_err(one)?;
    let (found, mut failures) = view::looked(&site)?;
    let printed = if overview.json {
        let now = Tai64n::now();
        view::json(&Json {
            manager: supervised.then_some("s6"),
            home: site.home().to_string_lossy(),
            gateways: found.iter().map(|one| view::Json::new(one, now)).collect(),
        })
    } else {
        let manager = if supervised {
            "s6 (container supervisor)"
        } else {
            "none: PID 1 is not s6-svscan"
        };
        anstream::println!("Manager: {manager}");
        anstream::println!("Home:    {}", site.home().display());
        anstream::println!();
        view::table(found.iter())
    };
    failures.extend(printed.err());
    failure::all(failures)
}
