//! What a command line asks for: one of the things that the agent's backend does, in exactly its
//! words, or something that is the real program's.

use std::ffi::OsString;
use std::time::Duration;

use super::Odd;
use super::container::{self, Run};
use super::words::{Flag, Line, Order, read};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// Whether there is an engine, and which.
    Version,
    /// The engine's storage driver.
    Driver,
    /// The entrypoint of an image, as JSON.
    Entrypoint(String),
    /// To fetch an image.
    Pull(String),
    /// Which sandboxes there are.
    List(List),
    /// To make a container.
    Run(Run),
    /// Something about a container.
    Inspect(String, Fact),
    /// To start a container that is there.
    Start(String),
    /// To run a command in a container.
    Exec(Exec),
    /// To stop a container.
    Stop(String, Duration),
    /// To remove a container.
    Remove(Remove),
    /// What is left to the real program.
    Other,
}

/// A listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) filters: Vec<Filter>,
    /// Whether a state is told beside each id.
    pub(super) with_state: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// A label, and its value if that matters.
    Label(String, Option<String>),
    State(String),
}

/// What can be asked about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    FinishedAt,
    NetworkMode,
}

/// A command in a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exec {
    pub(super) container: String,
    pub(super) command: Vec<OsString>,
    /// Whether it gets this program's standard input.
    pub(super) input: bool,
    /// `NAME=VALUE`, or a name whose value is taken from here.
    pub(super) env: Vec<String>,
    pub(super) cwd: Option<String>,
    pub(super) user: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remove {
    pub(super) container: String,
    /// Even where it runs.
    pub(super) force: bool,
}

/// Subcommands that would run programs in containers which are no sandboxes.
const REFUSED: [&str; 5] = ["compose", "plugin", "service", "stack", "swarm"];
/// The same below `docker container`.
const REFUSED_OF_CONTAINER: [&str; 3] = ["create", "exec", "run"];

/// Reads what follows the program's name.
pub(super) fn parse(words: &[OsString]) -> Result<Asked, Odd> {
    let Some((first, rest)) = words.split_first() else {
        return Ok(Asked::Other);
    };
    let first = first.to_str().ok_or(Odd::NotText)?;
    match first {
        "run" => container::run(rest).map(Asked::Run),
        "exec" => exec(rest).map(Asked::Exec),
        "create" => create(rest),
        "--help" | "-h" | "--version" | "-v" => Ok(Asked::Other),
        // They could choose another engine, of which nothing is known here.
        _ if first.starts_with('-') => Err(Odd::Option(first.to_owned())),
        _ if REFUSED.contains(&first) => Err(Odd::Command(first.to_owned())),
        "container" => match rest.first().and_then(|word| word.to_str()) {
            Some(second) if REFUSED_OF_CONTAINER.contains(&second) => {
                Err(Odd::Command(format!("container {second}")))
            }
            _ => Ok(Asked::Other),
        },
        _ => Ok(harmless(first, rest).unwrap_or(Asked::Other)),
    }
}

/// What runs nothing that was not there before: where it is not in the backend's words, it is the
/// real program's.
fn harmless(first: &str, rest: &[OsString]) -> Option<Asked> {
    const FORMAT: Flag = Flag::value("format").or('f');
    let line = |known: &[Flag]| read(rest, known, Order::Any).ok();
    match first {
        "version" => rest.is_empty().then_some(Asked::Version),
        "info" => {
            let line = line(&[FORMAT])?;
            let is_driver = line.words.is_empty() && line.last("format")? == "{{.Driver}}";
            is_driver.then_some(Asked::Driver)
        }
        "image" => {
            let line = line(&[FORMAT])?;
            let is_entrypoint = line.last("format")? == "{{json .Config.Entrypoint}}";
            match &line.words[..] {
                [inspect, image] if inspect == "inspect" && is_entrypoint => {
                    Some(Asked::Entrypoint(image.to_str()?.to_owned()))
                }
                _ => None,
            }
        }
        "pull" => Some(Asked::Pull(line(&[])?.only_word()?.to_owned())),
        "ps" => {
            let line = line(&[
                Flag::switch("all").or('a'),
                Flag::value("filter").or('f'),
                Flag::value("format"),
            ])?;
            list(&line).map(Asked::List)
        }
        "inspect" => {
            let line = line(&[FORMAT])?;
            let fact = match line.last("format")? {
                "{{.State.FinishedAt}}" => Fact::FinishedAt,
                "{{.HostConfig.NetworkMode}}" => Fact::NetworkMode,
                _ => return None,
            };
            Some(Asked::Inspect(line.only_word()?.to_owned(), fact))
        }
        "start" => Some(Asked::Start(line(&[])?.only_word()?.to_owned())),
        "stop" => {
            let line = line(&[Flag::value("time").or('t')])?;
            let seconds = line.last("time").map_or(Ok(10), str::parse).ok()?;
            let grace = Duration::from_secs(seconds);
            Some(Asked::Stop(line.only_word()?.to_owned(), grace))
        }
        "rm" => {
            let line = line(&[
                Flag::switch("force").or('f'),
                Flag::switch("volumes").or('v'),
            ])?;
            Some(Asked::Remove(Remove {
                container: line.only_word()?.to_owned(),
                force: line.has("force"),
            }))
        }
        _ => None,
    }
}

/// A listing of the agent's containers, of all states.
fn list(line: &Line) -> Option<List> {
    let with_state = match line.last("format")? {
        "{{.ID}}" => false,
        "{{.ID}}\t{{.State}}" | r"{{.ID}}\t{{.State}}" => true,
        _ => return None,
    };
    let filters = line.options.iter().filter(|(name, _)| *name == "filter");
    let filters: Option<Vec<_>> = filters.map(|(_, filter)| self::filter(filter)).collect();
    let filters = filters?;
    let agents = Filter::Label(
        sandbox_core::labels::HERMES_AGENT.to_owned(),
        Some("1".to_owned()),
    );
    let is_ours = line.has("all") && line.words.is_empty() && filters.contains(&agents);
    is_ours.then_some(List {
        filters,
        with_state,
    })
}

fn filter(text: &str) -> Option<Filter> {
    match text.split_once('=')? {
        ("label", label) => Some(match label.split_once('=') {
            Some((name, value)) => Filter::Label(name.to_owned(), Some(value.to_owned())),
            None => Filter::Label(label.to_owned(), None),
        }),
        ("status", state) => Some(Filter::State(state.to_owned())),
        _ => None,
    }
}

fn exec(words: &[OsString]) -> Result<Exec, Odd> {
    let known = [
        Flag::value("env").or('e'),
        Flag::switch("interactive").or('i'),
        Flag::value("user").or('u'),
        Flag::value("workdir").or('w'),
    ];
    let line = read(words, &known, Order::OptionsFirst)?;
    let (input, cwd, user) = (
        line.has("interactive"),
        line.last("workdir").map(str::to_owned),
        line.last("user").map(str::to_owned),
    );
    let [container, command @ ..] = &line.words[..] else {
        return Err(Odd::Form("exec OPTIONS CONTAINER COMMAND"));
    };
    if command.is_empty() {
        return Err(Odd::Form("exec OPTIONS CONTAINER COMMAND"));
    }
    Ok(Exec {
        container: container.to_str().ok_or(Odd::NotText)?.to_owned(),
        command: command.to_vec(),
        input,
        cwd,
        user,
        env: line
            .options
            .into_iter()
            .filter(|(name, _)| *name == "env")
            .map(|(_, value)| value)
            .collect(),
    })
}

/// A container that is never started can be made: that tries out a limit.
fn create(words: &[OsString]) -> Result<Asked, Odd> {
    let line = read(words, &[Flag::value("storage-opt")], Order::OptionsFirst)?;
    let is_size = line
        .last("storage-opt")
        .is_some_and(|value| value.starts_with("size="));
    if is_size && line.options.len() == 1 && line.words.len() == 1 {
        return Ok(Asked::Other);
    }
    Err(Odd::Form("create --storage-opt size=SIZE IMAGE"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Words apart at blanks; `<tab>` is a tabulator.
    fn words(text: &str) -> Vec<OsString> {
        let words = text.split(' ').filter(|word| !word.is_empty());
        words
            .map(|word| word.replace("<tab>", "\t").into())
            .collect()
    }

    fn told(text: &str) -> String {
        match parse(&words(text)) {
            Ok(asked) => format!("{asked:?}"),
            Err(odd) => format!("refused: {odd}"),
        }
    }

    #[rstest]
    #[case::version("version", "Version")]
    #[case::driver("info --format {{.Driver}}", "Driver")]
    #[case::pull("pull debian:trixie", "Pull(\"debian:trixie\")")]
    #[case::start("start 0123456789ab", "Start(\"0123456789ab\")")]
    #[case::stop("stop -t 10 x", "Stop(\"x\", 10s)")]
    #[case::stop_as_usual("stop x", "Stop(\"x\", 10s)")]
    #[case::remove("rm x", "Remove(Remove { container: \"x\", force: false })")]
    #[case::remove_now("rm -f x", "Remove(Remove { container: \"x\", force: true })")]
    #[case::finished(
        "inspect --format {{.State.FinishedAt}} x",
        "Inspect(\"x\", FinishedAt)"
    )]
    #[case::network(
        "inspect --format {{.HostConfig.NetworkMode}} x",
        "Inspect(\"x\", NetworkMode)"
    )]
    #[case::listed(
        "ps -a --filter label=hermes-agent=1 --filter status=exited --format {{.ID}}",
        "List(List { filters: [Label(\"hermes-agent\", Some(\"1\")), State(\"exited\")], with_state: false })"
    )]
    #[case::with_state(
        "ps -a --filter label=hermes-agent=1 --format {{.ID}}<tab>{{.State}}",
        "List(List { filters: [Label(\"hermes-agent\", Some(\"1\"))], with_state: true })"
    )]
    #[case::exec(
        "exec -i -e A=b -w /x -u 1:2 c bash -l -c x",
        "Exec(Exec { container: \"c\", command: [\"bash\", \"-l\", \"-c\", \"x\"], input: true, \
         env: [\"A=b\"], cwd: Some(\"/x\"), user: Some(\"1:2\") })"
    )]
    fn the_backends_own_words_are_ours(#[case] said: &str, #[case] asked: &str) {
        assert_eq!(told(said), asked);
    }

    #[test]
    fn an_entrypoint_is_asked_for_in_two_words_of_go() {
        let mut said = words("image inspect debian:trixie --format");
        said.push("{{json .Config.Entrypoint}}".into());
        let asked = parse(&said).unwrap();
        assert!(matches!(asked, Asked::Entrypoint(image) if image == "debian:trixie"));
    }

    #[rstest]
    #[case("")]
    #[case("--version")]
    #[case("images")]
    #[case("logs x")]
    #[case("version --format {{.Server.Version}}")]
    #[case("info")]
    #[case("info --format {{.ServerVersion}}")]
    #[case("image inspect x")]
    #[case("image ls")]
    #[case("pull -q x")]
    #[case("ps")]
    #[case("ps -a --format {{.ID}}")]
    #[case("ps --filter label=hermes-agent=1 --format {{.ID}}")]
    #[case("ps -a --filter label=hermes-agent=1 --format {{.Names}}")]
    #[case("ps -a --filter label=hermes-agent=1 --filter name=x --format {{.ID}}")]
    #[case("inspect x")]
    #[case("inspect --format {{.State.Pid}} x")]
    #[case("start x y")]
    #[case("start -a x")]
    #[case("stop -t soon x")]
    #[case("rm -f x y")]
    #[case("container ls")]
    #[case("create --storage-opt size=1m hello-world")]
    fn what_starts_nothing_is_left_to_the_real_program(#[case] said: &str) {
        assert_eq!(told(said), "Other");
    }

    #[rstest]
    #[case("exec -it x bash", "refused: -t is not understood")]
    #[case("exec --privileged x bash", "refused: --privileged is not understood")]
    #[case("exec -d x bash", "refused: -d is not understood")]
    #[case("exec --env-file f x bash", "refused: --env-file is not understood")]
    #[case(
        "exec x",
        "refused: what is understood is: exec OPTIONS CONTAINER COMMAND"
    )]
    #[case(
        "exec",
        "refused: what is understood is: exec OPTIONS CONTAINER COMMAND"
    )]
    #[case(
        "create --storage-opt size=1m x bash",
        "refused: what is understood is: create --storage-opt size=SIZE IMAGE"
    )]
    #[case("create --privileged x", "refused: --privileged is not understood")]
    #[case(
        "compose up",
        "refused: docker compose would run programs that are in no sandbox"
    )]
    #[case(
        "container run x",
        "refused: docker container run would run programs that are in no sandbox"
    )]
    #[case("-H tcp://x:1 run y", "refused: -H is not understood")]
    #[case("--context=x ps", "refused: --context=x is not understood")]
    fn what_would_run_elsewhere_is_refused(#[case] said: &str, #[case] why: &str) {
        assert_eq!(told(said), why);
    }
}
