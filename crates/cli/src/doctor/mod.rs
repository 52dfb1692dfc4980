//! `talaria doctor`: what is wrong here, and what to do about it. It changes nothing.
//!
//! Each half gives its findings: [`container`] for the inside of an agent container, and
//! `sandbox::doctor` for the engine of a host. Where both apply, both look.

mod container;
pub(crate) mod finding;

use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::cli::CODES;
use crate::failure::{Failure, Result};
use crate::place::Place;
use crate::view;
use finding::{Finding, State};

/// Look for what goes wrong, and say what to do about it: in an agent container, and on a host with
/// a container engine for sandboxes.
///
/// Nothing is changed. What is not good comes with a hint. It ends with 0 where nothing is bad, and
/// with 1 otherwise; in a pipe a line is: state, name, detail, hint, with tabs between them.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria doctor
  docker exec agent talaria doctor
  talaria doctor --json | jq '.findings[] | select(.state != \"good\")'

{CODES}"))]
pub(crate) struct Doctor {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    /// Whether nothing is bad.
    good: bool,
    findings: &'a [Finding],
}

pub(crate) fn run(doctor: &Doctor) -> Result {
    let one = |failure| vec![failure];
    let findings = findings(&doctor.place);
    let bad = findings
        .iter()
        .filter(|one| one.state == State::Bad)
        .count();
    if doctor.json {
        let json = Json {
            good: bad == 0,
            findings: &findings,
        };
        view::json(&json).map_err(one)?;
    } else {
        print(&findings).map_err(|error| one(error.into()))?;
    }
    if bad == 0 {
        Ok(())
    } else {
        Err(vec![Failure::Diagnosed { bad }])
    }
}

pub(crate) fn print(findings: &[Finding]) -> io::Result<()> {
    if io::stdout().is_terminal() {
        let mut out = anstream::stdout().lock();
        return out.write_all(drawn(findings).as_bytes());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for one in findings {
        let hint = one.hint.as_deref().unwrap_or_default();
        let (state, detail) = (one.state.as_str(), &one.detail);
        writeln!(
            out,
            "{state}\t{}\t{}\t{}",
            one.name,
            plain(detail),
            plain(hint)
        )?;
    }
    out.flush()
}

/// An engine's words can hold what a sandbox wrote, or break lines.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// For people: a line a finding, its hint below it.
fn drawn(findings: &[Finding]) -> String {
    let width = |one: &Finding| one.name.chars().count();
    let width = findings.iter().map(width).max().unwrap_or(0);
    let line = |one: &Finding| {
        let (style, state) = (style(one.state), one.state.as_str());
        let pad = width - one.name.chars().count();
        let hint = one.hint.as_ref();
        let hint = hint.map(|hint| format!("{:width$}        hint: {}\n", "", plain(hint)));
        format!(
            "{style}{state:<4}{style:#}  {}{:pad$}  {}\n{}",
            one.name,
            "",
            plain(&one.detail),
            hint.unwrap_or_default()
        )
    };
    findings.iter().map(line).collect()
}

/// Those of the halves that apply here.
fn findings(place: &Place) -> Vec<Finding> {
    let inside = container::applies(place);
    #[cfg(feature = "sandbox")]
    let host = crate::sandbox::doctor::findings_here(inside);
    #[cfg(not(feature = "sandbox"))]
    let host = Vec::new();
    if inside || host.is_empty() {
        let mut found = container::findings(place);
        found.extend(host);
        return found;
    }
    host
}

fn style(state: State) -> Style {
    match state {
        State::Good => AnsiColor::Green.on_default(),
        State::Note => AnsiColor::Yellow.on_default(),
        State::Bad => AnsiColor::Red.on_default().bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_below_its_finding() {
        let findings = [
            Finding::good("home", "/opt/data"),
            Finding::bad("supervisor", "none", "start it with /init"),
        ];
        let text = anstream::adapter::strip_str(&drawn(&findings)).to_string();
        assert_eq!(
            text,
            "good  home        /opt/data\nbad   supervisor  none\n                  hint: start it with /init\n"
        );
    }
}
