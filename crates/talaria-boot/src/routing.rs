//! What the user's words after the image name mean.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use profile_boot::agent::Agent;
use profile_boot::profile::ProfileName;

use crate::{dashboard, paths};

/// What the container is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The agent, with these arguments.
    Agent(Vec<OsString>),
    /// A program, as it is.
    Program(Vec<OsString>),
}

/// Decides what `args` mean: nothing is the agent; a first word that the agent
/// has a subcommand for is the agent's, even where a program has that name;
/// another first word that names a program is that program; all else is the
/// agent's.
pub(crate) fn route(
    args: &[OsString],
    agent: &Agent,
    is_program: impl FnOnce(&OsStr) -> bool,
) -> Route {
    let args = strip_prefixes(args);
    let Some((first, rest)) = args.split_first() else {
        return Route::Agent(Vec::new());
    };
    if Some(first.as_os_str()) == agent.program.file_name() || first == agent.program.as_os_str() {
        return Route::Agent(rest.to_vec());
    }
    let word = first.to_string_lossy();
    if !agent.has_subcommand(&word) && !word.starts_with('-') && is_program(first) {
        return Route::Program(args.to_vec());
    }
    Route::Agent(args.to_vec())
}

/// The profile whose gateway the agent is asked to run in the foreground, which
/// its slot does instead.
pub(crate) fn supervised_gateway(route: &Route, agent: &Agent) -> Option<ProfileName> {
    agent.gateway.as_ref()?;
    let Route::Agent(args) = route else {
        return None;
    };
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    let mut words = words.iter().map(AsRef::as_ref).peekable();
    let profile = match *words.peek()? {
        "-p" | "--profile" => words.nth(1)?.parse().ok()?,
        word => match word.strip_prefix("--profile=") {
            Some(name) => {
                words.next();
                name.parse().ok()?
            }
            None => ProfileName::default_profile(),
        },
    };
    let gateway_run = words.next() == Some("gateway") && words.next() == Some("run");
    (gateway_run && !words.any(|word| word == "--no-supervise")).then_some(profile)
}

/// Whether the container is there for the dashboard alone.
pub(crate) fn is_dashboard(route: &Route) -> bool {
    matches!(route, Route::Agent(args) if args.first().is_some_and(|word| word == "dashboard"))
}

/// Where a container's dashboard listens: what its arguments say, or the agent's own default.
pub(crate) fn dashboard_address(route: &Route) -> String {
    let (Route::Agent(words) | Route::Program(words)) = route;
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let said = |option: &str| {
        let apart = words.iter().skip_while(|word| *word != option).nth(1);
        let joined = words
            .iter()
            .find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
        joined.or(apart.map(AsRef::as_ref))
    };
    let host = said("--host").unwrap_or(dashboard::LOOPBACK);
    let port = said("--port").unwrap_or(dashboard::PORT);
    format!("{host} {port}")
}

/// Drops what images before this one had in front of the arguments.
fn strip_prefixes(args: &[OsString]) -> &[OsString] {
    match args.split_first() {
        Some((first, rest)) if first == paths::TINI => strip_prefixes(strip_tini_options(rest)),
        Some((first, rest))
            if [paths::ENTRYPOINT, paths::MAIN_WRAPPER]
                .map(OsStr::new)
                .contains(&first.as_os_str()) =>
        {
            strip_prefixes(rest)
        }
        _ => args,
    }
}

/// Drops tini's own options, up to and with `--`.
pub(crate) fn strip_tini_options(args: &[OsString]) -> &[OsString] {
    let Some((first, rest)) = args.split_first() else {
        return args;
    };
    match first.to_string_lossy().as_ref() {
        "--" => rest,
        "-e" | "-p" => strip_tini_options(rest.get(1..).unwrap_or_default()),
        option if option.starts_with('-') => strip_tini_options(rest),
        _ => args,
    }
}

/// The arguments of a whole `/init` command line that this image's wrapper
/// would route; `None` where it is to run something else.
pub(crate) fn wrapped(args: &[OsString]) -> Option<&[OsString]> {
    let (first, rest) = args.split_first()?;
    (Path::new(first) == Path::new(paths::MAIN_WRAPPER)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const AGENT: &str = r#"
        name = "hermes"
        program = "/opt/hermes/.venv/bin/hermes"
        subcommands = ["chat", "gateway", "sleep-agent"]
        [gateway]
        default = ["/bin/true"]
        profile = ["/bin/true", "{profile}"]
    "#;

    fn words(line: &str) -> Vec<OsString> {
        line.split_ascii_whitespace().map(OsString::from).collect()
    }

    fn route_of(line: &str) -> Route {
        let programs = ["sleep", "bash", "chat", "/bin/ls", "-x"];
        let agent = Agent::parse(AGENT).unwrap();
        route(&words(line), &agent, |word| {
            programs.contains(&word.to_string_lossy().as_ref())
        })
    }

    #[rstest]
    #[case::nothing("", "")]
    #[case::subcommand("chat -q hi", "chat -q hi")]
    #[case::option("--version", "--version")]
    #[case::option_that_is_a_program("-x", "-x")]
    #[case::prompt("what is this", "what is this")]
    #[case::its_own_name("hermes chat", "chat")]
    #[case::its_own_path("/opt/hermes/.venv/bin/hermes --tui", "--tui")]
    #[case::old_entrypoint("/opt/hermes/docker/entrypoint.sh chat", "chat")]
    #[case::tini("/usr/bin/tini -g -- /opt/hermes/docker/entrypoint.sh chat", "chat")]
    #[case::tini_with_values("/usr/bin/tini -e 143 -p SIGKILL chat", "chat")]
    fn this_is_the_agent(#[case] line: &str, #[case] args: &str) {
        assert_eq!(route_of(line), Route::Agent(words(args)));
    }

    #[rstest]
    #[case("sleep infinity", "sleep infinity")]
    #[case("bash", "bash")]
    #[case("/bin/ls -l", "/bin/ls -l")]
    #[case("/usr/bin/tini -- sleep 1", "sleep 1")]
    fn this_is_a_program(#[case] line: &str, #[case] args: &str) {
        assert_eq!(route_of(line), Route::Program(words(args)));
    }

    #[rstest]
    #[case("dashboard", "127.0.0.1 9119")]
    #[case("dashboard --host 0.0.0.0 --no-open", "0.0.0.0 9119")]
    #[case("hermes dashboard --port=80 --host=::", ":: 80")]
    fn a_dashboard_listens_where_it_is_told_to(#[case] line: &str, #[case] address: &str) {
        assert_eq!(dashboard_address(&route_of(line)), address);
    }

    #[rstest]
    #[case("gateway run", Some("default"))]
    #[case("gateway run --replace", Some("default"))]
    #[case("hermes gateway run", Some("default"))]
    #[case("-p coder gateway run", Some("coder"))]
    #[case("--profile coder gateway run", Some("coder"))]
    #[case("--profile=coder gateway run -v", Some("coder"))]
    #[case("gateway run --no-supervise", None)]
    #[case("gateway status", None)]
    #[case("chat gateway run", None)]
    #[case("-p No/Name gateway run", None)]
    #[case("bash gateway run", None)]
    #[case("", None)]
    fn a_gateway_in_the_foreground_is_supervised(
        #[case] line: &str,
        #[case] profile: Option<&str>,
    ) {
        let agent = Agent::parse(AGENT).unwrap();
        let found = supervised_gateway(&route_of(line), &agent);
        assert_eq!(found.as_ref().map(ProfileName::as_str), profile);
    }
}
