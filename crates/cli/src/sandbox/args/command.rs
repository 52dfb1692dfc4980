//! What can be said to what runs commands.

use clap::{Args, Subcommand, ValueEnum};

use super::{CODES, Spec};
use crate::svc::args::Span;

/// Get a sandbox, the one that is there for the task or a new one, and run a command in it.
///
/// Without a command the sandbox is left running, and its name is printed.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox run --image debian:trixie -- uname -a
  talaria sandbox run --image python:3.13 --task build -v ./src:/workspace -- python3 -m pytest
  echo 'print(6 * 7)' | talaria sandbox run --image python:3.13 -i -- python3 -
  talaria sandbox run --image debian:trixie --task web
  talaria sandbox run --image debian:trixie --memory 512m --network none --print argv

{CODES}"))]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) spec: Spec,
    #[command(flatten)]
    pub(crate) how: How,
    /// Remove the sandbox when the command has ended.
    #[arg(long, requires = "command")]
    pub(crate) rm: bool,
    /// Leave the agent out: commands are run by the engine, slower, and what they leave behind is
    /// not accounted for.
    #[arg(long, conflicts_with = "tty")]
    pub(crate) no_agent: bool,
    /// Print what would be created, and create nothing: docker commands, or the API's body.
    #[arg(long, value_name = "FORM", conflicts_with = "command")]
    pub(crate) print: Option<Form>,
    /// Print JSON: the command's result, or the sandbox.
    #[arg(long)]
    pub(crate) json: bool,
    /// The command.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// How a command is run.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Give it this program's standard input.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal, as large as this one.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) tty: bool,
    /// How long it may take: 500ms, 10s, 2m, 1h.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Where it starts.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// Give it a variable of yours that the container does not hold: its name, or how names begin
    /// with a `*`, of which keys of providers are held back. From here, or else the agent's .env.
    #[arg(long, value_name = "NAME")]
    pub(crate) forward: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    Argv,
    Body,
}

/// Run a command in a sandbox that is there.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox exec build -- make test
  talaria sandbox exec build --shell 'cd src && ls *.rs | wc -l'
  talaria sandbox exec -it build -- python3
  talaria sandbox exec --detach build -- ./server
  talaria sandbox exec --session 1 build --shell 'cd /workspace; export A=1'
  talaria sandbox exec --timeout 30s --json build -- ./slow
  tar c . | talaria sandbox exec -i build -- tar x -C /workspace

{CODES}"))]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) how: How,
    /// As whom: `UID[:GID]` or a name of the image's.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A variable; with the name alone, its value is taken from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Print the result as JSON.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) json: bool,
    /// Run it as a job, and print the job's number.
    #[arg(short, long, conflicts_with_all = ["tty", "interactive", "session"])]
    pub(crate) detach: bool,
    /// Run it in a session of `talaria sandbox session open`.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["tty", "user"])]
    pub(crate) session: Option<u32>,
    /// Let the engine run it, and not the agent in the sandbox.
    #[arg(long, conflicts_with_all = ["tty", "detach", "session", "shell"])]
    pub(crate) no_agent: bool,
    /// A script for the sandbox's shell, in place of a command.
    #[arg(long, value_name = "SCRIPT", conflicts_with = "command")]
    pub(crate) shell: Option<String>,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The command.
    #[arg(last = true, required_unless_present = "shell", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Open a shell in a sandbox.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox shell build

{CODES}"))]
pub(crate) struct Shell {
    /// Where it starts.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// As whom: `UID[:GID]` or a name of the image's.
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
}

/// Open, list and close sessions: shells that keep their directory, variables, functions and
/// options from one command to the next.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox session open build
  talaria sandbox exec --session 1 build --shell 'cd /tmp; pwd'
  talaria sandbox session close build 1

{CODES}"))]
pub(crate) struct Session {
    #[command(subcommand)]
    pub(crate) command: SessionCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Open a session and print its number
    Open {
        /// Where it starts
        #[arg(short, long, value_name = "DIR")]
        workdir: Option<String>,
        /// As whom: `UID[:GID]` or a name of the image's
        #[arg(short, long, value_name = "USER")]
        user: Option<String>,
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
    },
    /// List the sessions of a sandbox
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
    },
    /// Close a session, and kill what runs in it
    Close {
        /// The sandbox
        #[arg(value_name = "SANDBOX")]
        sandbox: String,
        /// Its number
        #[arg(value_name = "NUMBER")]
        session: u32,
    },
}

/// List the jobs of a sandbox.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox jobs build

{CODES}"))]
pub(crate) struct Jobs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
}

/// Show what a job wrote.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox logs build 1
  talaria sandbox logs --follow build 1

{CODES}
With --follow it ends with the job, and with the job's own code."))]
pub(crate) struct Logs {
    /// Go on until the job ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Leave out what was written before now.
    #[arg(long, requires = "follow")]
    pub(crate) new: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The job's number.
    #[arg(value_name = "JOB")]
    pub(crate) job: u32,
}

/// Kill all processes of a job.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  talaria sandbox kill build 1
  talaria sandbox kill --signal 15 build 1

{CODES}"))]
pub(crate) struct Kill {
    /// Send this signal to its process group instead, by number.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) signal: Option<u8>,
    /// Forget the job, too.
    #[arg(long, conflicts_with = "signal")]
    pub(crate) rm: bool,
    /// The sandbox.
    #[arg(value_name = "SANDBOX")]
    pub(crate) sandbox: String,
    /// The job's number.
    #[arg(value_name = "JOB")]
    pub(crate) job: u32,
}
