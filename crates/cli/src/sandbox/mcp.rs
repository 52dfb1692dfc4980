//! `talaria mcp`: a sandbox for whoever speaks the Model Context Protocol.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sandbox_core::SandboxSpec;
use sandbox_engine::find::Address;
use sandbox_engine::{Agent, AgentBinary};
use sandbox_mcp::{EngineAt, Limits, Server, Wanted, config, serve};
use tokio::signal::unix::{SignalKind, signal};

use super::args::Spec;
use super::failure::{Failure, Result};
use super::print::to_json;
use super::{caller, spec};
use crate::exit::Outcome;
use crate::svc::args::Span;

/// Serve one sandbox over standard input and output by the Model Context Protocol.
///
/// For MCP clients, which start it by themselves: --print-config prints what they are configured
/// with. The sandbox is got when the first tool needs it. Nothing that a client says goes beyond
/// what is said here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  talaria mcp --image debian:trixie --task notes --print-config
  talaria mcp --image python:3.13 --task build -v ./src:/workspace --network none
  talaria mcp --spec sandbox.toml --max-timeout 30m --max-output 65536

Exit codes:
  0    the client has gone, or asked to end
  1    failed
  2    wrong usage, or a sandbox that cannot be as asked")]
pub(crate) struct Mcp {
    /// The engine, in place of the one that is found: `unix:///run/podman/podman.sock`.
    #[arg(long, value_name = "ADDRESS", env = "TALARIA_ENGINE")]
    engine: Option<String>,
    /// How long a command may take at most: 500ms, 10s, 2m, 1h.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time)]
    max_timeout: Span,
    /// How long a background job may run at most; as long as it likes by default.
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    max_job_time: Option<Span>,
    /// How many bytes of each stream, and of a file, one result holds: 1024 to 2097152.
    #[arg(long, value_name = "BYTES", default_value_t = 32768,
        value_parser = clap::value_parser!(u32).range(1024..=2_097_152))]
    max_output: u32,
    /// Print the JSON that MCP clients are configured with to start this server, and end.
    #[arg(long)]
    print_config: bool,
    /// What the server is called in the printed configuration.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "talaria",
        requires = "print_config"
    )]
    name: String,
    #[command(flatten)]
    spec: Spec,
}

fn some_time(text: &str) -> std::result::Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if span.0.is_zero() {
        return Err("it has to be more than nothing".to_owned());
    }
    Ok(span)
}

/// Serves until the client has gone, and gives what the program ends with.
pub(crate) fn run(mcp: Mcp) -> ExitCode {
    super::run_to_end(async move {
        if mcp.print_config {
            return print(mcp);
        }
        let pull = mcp.spec.pull();
        let spec = mcp.spec.read()?;
        let forward = forwarded(&spec)?;
        let wanted = Wanted {
            engine: match mcp.engine.as_deref() {
                Some(address) => EngineAt::Address(Address::parse(address)),
                None => EngineAt::Found(caller::surroundings()),
            },
            spec,
            pull,
            agent: Agent::Volume(AgentBinary::embedded()),
            forward,
        };
        let limits = Limits {
            max_timeout: mcp.max_timeout.0,
            max_job_time: mcp.max_job_time.map(|time| time.0),
            max_output: usize::try_from(mcp.max_output).unwrap_or(Limits::MOST_OUTPUT),
        };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        serve(Server::new(wanted, limits), stop).await?;
        Ok(Outcome::Done)
    })
}

/// The variables of ours that the spec forwards to commands.
fn forwarded(spec: &SandboxSpec) -> Result<Vec<(String, String)>> {
    let names: Vec<_> = spec.forward.iter().map(ToString::to_string).collect();
    spec::variables(&names)
}

/// What else of the surroundings decides which engine and which sandbox it is. Clients start
/// servers with few variables.
const SURROUNDINGS: [&str; 8] = [
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "HERMES_DOCKER_BINARY",
    "TALARIA_OWNER",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "HOME",
];

fn print(mcp: Mcp) -> Result<Outcome> {
    // What cannot be served is not to be configured.
    mcp.spec.clone().read()?;
    let cwd = env::current_dir().map_err(|source| Failure::File {
        path: PathBuf::from("."),
        source,
    })?;
    let program = env::current_exe().map_err(|source| Failure::File {
        path: PathBuf::from("talaria"),
        source,
    })?;
    for name in mcp.spec.env.iter().filter(|one| !one.contains('=')) {
        anstream::eprintln!(
            "talaria: {name} is taken from the variables of the client: add it to \"env\" where the \
             client does not have it"
        );
    }
    let name = mcp.name.clone();
    let set = |name: &&str| {
        Some((
            (*name).to_owned(),
            env::var(name).ok().filter(|it| !it.is_empty())?,
        ))
    };
    let around: BTreeMap<_, _> = SURROUNDINGS.iter().filter_map(set).collect();
    let config = config(
        &name,
        &program.to_string_lossy(),
        &words(mcp, &cwd),
        &around,
    );
    to_json(&config)?;
    Ok(Outcome::Done)
}

/// The command line again, such that it means the same in any directory.
fn words(mcp: Mcp, cwd: &Path) -> Vec<String> {
    let mut words = vec!["mcp".to_owned()];
    let mut say = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            // One word, so that a value may begin with a dash.
            words.push(format!("{option}={value}"));
        }
    };
    let millis = |span: Span| format!("{}ms", span.0.as_millis());
    say("--engine", mcp.engine);
    say("--max-timeout", Some(millis(mcp.max_timeout)));
    say("--max-job-time", mcp.max_job_time.map(millis));
    say("--max-output", Some(mcp.max_output.to_string()));
    let spec = mcp.spec;
    let file = spec
        .spec
        .map(|path| cwd.join(path).to_string_lossy().into_owned());
    say("--spec", file);
    say("--image", spec.image);
    say(
        "--pull",
        spec.pull
            .and_then(|pull| clap::ValueEnum::to_possible_value(&pull))
            .map(|it| it.get_name().to_owned()),
    );
    for (option, value) in [
        ("--task", spec.task),
        ("--profile", spec.profile),
        ("--cwd", spec.cwd),
        ("--cpus", spec.cpus),
        ("--memory", spec.memory),
        ("--disk", spec.disk),
        ("--pids", spec.pids),
        ("--shm", spec.shm),
        ("--network", spec.network),
        ("--user", spec.user),
        ("--entrypoint", spec.entrypoint),
        ("--runtime", spec.runtime),
        ("--lease", spec.lease),
        ("--on-drift", spec.on_drift),
    ] {
        say(option, value);
    }
    for mount in &spec.mounts {
        say("--volume", Some(absolute(mount, cwd)));
    }
    if spec.mount_cwd {
        say("--volume", Some(format!("{}:/workspace", cwd.display())));
    }
    for variable in spec.env {
        say("--env", Some(variable));
    }
    for label in spec.labels {
        say("--label", Some(label));
    }
    for (option, is_set) in [
        ("--persistent-filesystem", spec.persistent_filesystem),
        ("--persist", spec.persist),
        ("--allow-unenforced", spec.allow_unenforced),
    ] {
        if is_set {
            words.push(option.to_owned());
        }
    }
    words
}

/// A mount whose source does not depend on the directory; names of volumes stay.
fn absolute(mount: &str, cwd: &Path) -> String {
    match mount.split_once(':') {
        Some((source, rest)) if source.starts_with('.') => {
            let source: PathBuf = cwd.join(source).components().collect();
            format!("{}:{rest}", source.display())
        }
        _ => mount.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        mcp: Mcp,
    }

    fn said(words: &[&str]) -> Vec<String> {
        let line = Line::parse_from(["mcp"].iter().chain(words));
        words_of(line)
    }

    fn words_of(line: Line) -> Vec<String> {
        words(line.mcp, Path::new("/here/there"))
    }

    #[test]
    fn the_printed_words_mean_the_same_anywhere() {
        let printed = said(&[
            "--spec=a/b.toml",
            "-v",
            "./src:/workspace:ro",
            "-v",
            "../up:/up",
            "-v/abs:/abs",
            "--max-timeout=2m",
            "-eTOKEN",
            "--label=a=b",
            "--lease=2h",
            "--persist",
        ]);
        let expected = [
            "mcp",
            "--max-timeout=120000ms",
            "--max-output=32768",
            "--spec=/here/there/a/b.toml",
            "--lease=2h",
            "--volume=/here/there/src:/workspace:ro",
            "--volume=/here/there/../up:/up",
            "--volume=/abs:/abs",
            "--env=TOKEN",
            "--label=a=b",
            "--persist",
        ];
        assert_eq!(printed, expected);
        // And they are what is understood.
        let again = Line::parse_from(&printed);
        assert_eq!(words_of(again), expected);
    }

    #[test]
    fn the_directory_is_named() {
        let printed = said(&["--image=x", "--mount-cwd"]);
        assert!(
            printed.contains(&"--volume=/here/there:/workspace".to_owned()),
            "{printed:?}"
        );
    }

    #[test]
    fn no_time_at_all_is_refused() {
        for option in ["--max-timeout=0s", "--max-job-time=0ms", "--max-output=7"] {
            let refused = Line::try_parse_from(["mcp", "--image=x", option]);
            assert!(refused.is_err(), "{option}");
        }
    }
}
