//! Gateways for people and for programs.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use profile_boot::lifecycle::{self, GatewayStatus, Site, State};
use s6_svc::{Exit, Signal, Tai64n, Want};
use serde::Serialize;

use crate::dashboard::{Address, Dashboard};
use crate::failure::Failure;
use crate::output;

/// One gateway as JSON. What does not apply is null.
#[derive(Debug, Serialize)]
pub(crate) struct Json<'a> {
    profile: &'a str,
    state: &'static str,
    want: Option<&'static str>,
    desired: Option<&'static str>,
    pid: Option<u32>,
    /// RFC 3339.
    since: Option<String>,
    seconds: Option<u64>,
    restarts: usize,
    exit_code: Option<u8>,
    exit_signal: Option<u8>,
    port: Option<u16>,
    /// `profile` where its own `.env` names the port, else `assigned`.
    port_source: Option<&'static str>,
    directory: std::borrow::Cow<'a, str>,
}

/// The dashboard as JSON. What does not apply is null.
#[derive(Debug, Serialize)]
pub(crate) struct DashboardJson {
    state: &'static str,
    /// Whether the container's environment asks for it, or its command is the dashboard.
    wanted: bool,
    want: Option<&'static str>,
    pid: Option<u32>,
    /// RFC 3339.
    since: Option<String>,
    seconds: Option<u64>,
    restarts: usize,
    exit_code: Option<u8>,
    exit_signal: Option<u8>,
    port: Option<u16>,
}

impl DashboardJson {
    pub(crate) fn new(dashboard: &Dashboard, now: Tai64n) -> Option<Self> {
        match dashboard {
            Dashboard::None => None,
            Dashboard::Alone(address) => Some(Self {
                state: alone_state(address),
                wanted: true,
                want: None,
                pid: None,
                since: None,
                seconds: None,
                restarts: 0,
                exit_code: None,
                exit_signal: None,
                port: address.port.parse().ok(),
            }),
            Dashboard::Slot {
                status,
                wanted,
                port,
            } => {
                let (exit_code, exit_signal) = parts(status.last_exit);
                Some(Self {
                    state: status.state.as_str(),
                    wanted: *wanted,
                    want: status.want.map(word),
                    pid: status.pid,
                    since: status.since.and_then(stamp),
                    seconds: status
                        .since
                        .map(|since| now.saturating_duration_since(since).as_secs()),
                    restarts: status.restarts,
                    exit_code,
                    exit_signal,
                    port: port.parse().ok().filter(|_| *wanted),
                })
            }
        }
    }
}

/// What a dashboard does that is its container's command: it answers, or the container would end
/// before long.
fn alone_state(address: &Address) -> &'static str {
    match address.answers() {
        Ok(()) => State::Up.as_str(),
        Err(_) => State::Down.as_str(),
    }
}

fn parts(exit: Option<Exit>) -> (Option<u8>, Option<u8>) {
    match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    }
}

impl<'a> Json<'a> {
    pub(crate) fn new(gateway: &'a GatewayStatus, now: Tai64n) -> Self {
        let (exit_code, exit_signal) = parts(gateway.last_exit);
        let since = gateway.since;
        Self {
            profile: gateway.profile.as_str(),
            state: gateway.state.as_str(),
            want: gateway.want.map(word),
            desired: gateway.record.want().map(word),
            pid: gateway.pid,
            since: since.and_then(stamp),
            seconds: since.map(|since| now.saturating_duration_since(since).as_secs()),
            restarts: gateway.restarts,
            exit_code,
            exit_signal,
            port: gateway.port.map(|assigned| assigned.port.number()),
            port_source: gateway.port.map(|assigned| source(assigned.by_profile)),
            directory: gateway.directory.to_string_lossy(),
        }
    }
}

fn source(by_profile: bool) -> &'static str {
    if by_profile { "profile" } else { "assigned" }
}

fn stamp(time: Tai64n) -> Option<String> {
    let time = Timestamp::try_from(time.to_system_time()?).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn word(want: Want) -> &'static str {
    match want {
        Want::Up => "up",
        Want::Down => "down",
    }
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Looks at every gateway: those that can be looked at, and why the others cannot.
pub(crate) fn looked(site: &Site) -> Result<(Vec<GatewayStatus>, Vec<Failure>), Vec<Failure>> {
    let looks = lifecycle::all(site).map_err(|error| vec![error.into()])?;
    let (mut found, mut failures) = (Vec::with_capacity(looks.len()), Vec::new());
    for look in looks {
        match look {
            Ok(status) => found.push(status),
            Err(error) => failures.push(error.into()),
        }
    }
    Ok((found, failures))
}

/// Prints gateways as a table.
pub(crate) fn table<'a>(gateways: impl Iterator<Item = &'a GatewayStatus>) -> Result<(), Failure> {
    table_with(gateways, &Dashboard::None)
}

/// Prints gateways as a table, and the dashboard below them, in brackets: there may be a profile
/// of that name.
pub(crate) fn table_with<'a>(
    gateways: impl Iterator<Item = &'a GatewayStatus>,
    dashboard: &Dashboard,
) -> Result<(), Failure> {
    let now = Tai64n::now();
    let mut rows: Vec<_> = gateways.map(|gateway| row(gateway, now)).collect();
    rows.extend(dashboard_row(dashboard, now));
    let header = [
        "PROFILE",
        "STATE",
        "PID",
        "SINCE",
        "RESTARTS",
        "PORT",
        "LAST EXIT",
    ];
    Ok(output::styled_rows(&header, &rows, style)?)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn dashboard_row(dashboard: &Dashboard, now: Tai64n) -> Option<Vec<String>> {
    let name = "[dashboard]".to_owned();
    match dashboard {
        Dashboard::None => None,
        Dashboard::Alone(address) => {
            let none = || "-".to_owned();
            let state = alone_state(address).to_owned();
            let port = address.port.clone();
            Some(vec![name, state, none(), none(), none(), port, none()])
        }
        Dashboard::Slot {
            status,
            wanted,
            port,
        } => Some(vec![
            name,
            status.state.to_string(),
            or_dash(status.pid.map(|pid| pid.to_string())),
            or_dash(
                status
                    .since
                    .map(|since| age(now.saturating_duration_since(since).as_secs())),
            ),
            status.restarts.to_string(),
            or_dash(wanted.then(|| port.clone())),
            or_dash(status.last_exit.map(ending)),
        ]),
    }
}

fn row(gateway: &GatewayStatus, now: Tai64n) -> Vec<String> {
    let since = gateway.since;
    vec![
        gateway.profile.to_string(),
        gateway.state.to_string(),
        or_dash(gateway.pid.map(|pid| pid.to_string())),
        or_dash(since.map(|since| age(now.saturating_duration_since(since).as_secs()))),
        gateway.restarts.to_string(),
        or_dash(gateway.port.map(|assigned| assigned.port.to_string())),
        or_dash(gateway.last_exit.map(ending)),
    ]
}

/// How a process ended, in a word: `78`, `SIGKILL`.
pub(crate) fn ending(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => code.to_string(),
        Exit::Signal(signal) => Signal(signal).to_string(),
    }
}

/// A length of time in its greatest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Prints all that is known of one gateway.
pub(crate) fn detail(gateway: &GatewayStatus) {
    let now = Tai64n::now();
    let since = gateway.since.map_or_else(String::new, |since| {
        let ago = age(now.saturating_duration_since(since).as_secs());
        format!(" for {ago}")
    });
    let pid = gateway
        .pid
        .map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let style = style(gateway.state.as_str());
    let line = |name: &str, text: String| anstream::println!("{name:<10} {text}");
    line("Profile:", gateway.profile.to_string());
    line(
        "State:",
        format!("{style}{}{style:#}{pid}{since}", gateway.state),
    );
    let wanted = gateway
        .record
        .want()
        .map_or("nothing yet", |want| match want {
            Want::Up => "running",
            Want::Down => "stopped",
        });
    line("Desired:", wanted.to_owned());
    line("Restarts:", gateway.restarts.to_string());
    let ending = gateway.last_exit.map_or_else(|| "-".to_owned(), ending);
    line("Last exit:", ending);
    let port = gateway.port.map_or_else(
        || "assigned when it first starts".to_owned(),
        |assigned| {
            let source = if assigned.by_profile {
                " (the profile's own .env)"
            } else {
                ""
            };
            format!("{}{source}", assigned.port)
        },
    );
    line("Port:", port);
    line("Directory:", gateway.directory.display().to_string());
}

/// The colour of a state; other cells have none.
fn style(cell: &str) -> Style {
    let is = |state: State| cell == state.as_str();
    let colour = if is(State::Up) {
        AnsiColor::Green
    } else if is(State::Parked) || is(State::BackingOff) {
        AnsiColor::Red
    } else if is(State::Restarting) || is(State::Stopping) || is(State::Unsupervised) {
        AnsiColor::Yellow
    } else {
        return Style::new();
    };
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::age;

    #[rstest]
    #[case(0, "0s")]
    #[case(59, "59s")]
    #[case(60, "1m")]
    #[case(7199, "1h")]
    #[case(172_800, "2d")]
    fn an_age_is_told_in_its_greatest_unit(#[case] seconds: u64, #[case] text: &str) {
        assert_eq!(age(seconds), text);
    }
}
