//! The agent's backend and an MCP client at once, for long: nothing piles up.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use docker_harness::labels::Run;
use docker_harness::{Failure, TestResult};

use super::{agent, link};
use crate::fast::{DEBIAN, Desk, at_desk, inspect, pass, program, text};
use crate::mcp::sdk;

/// Ten minutes where `TALARIA_SOAK=1`.
fn duration() -> Duration {
    let soak = std::env::var_os("TALARIA_SOAK").is_some_and(|value| value == "1");
    Duration::from_secs(if soak { 600 } else { 12 })
}

/// How long the clients may take to begin.
const BEGUN: Duration = Duration::from_mins(1);

/// What there is at a moment.
#[derive(Debug, Clone, Default)]
struct Figures {
    containers: usize,
    /// Exec sessions of all containers, as the engine counts them.
    execs: usize,
    /// Descriptors and memory (KiB) of the broker and of the MCP server.
    descriptors: [usize; 2],
    memory: [u64; 2],
    /// The most memory (KiB) of one of the agents inside.
    agent: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            containers,
            execs,
            descriptors: [broker, server],
            memory: [brokers, servers],
            agent,
        } = self;
        write!(
            f,
            "{containers} containers, {execs} exec sessions, broker {broker} descriptors {brokers} KiB, \
             MCP server {server} descriptors {servers} KiB, agent {agent} KiB"
        )
    }
}

impl Figures {
    fn now(desk: &Desk) -> Result<Self, Failure> {
        let mut now = Self::default();
        let listed: serde_json::Value = serde_json::from_str(&desk.says(&["ls", "--json"])?)?;
        let ids = listed.as_array().into_iter().flatten();
        for id in ids.filter_map(|one| one.get("id")?.as_str()) {
            // It may be gone by now.
            let told = inspect(id, "{{.State.Pid}} {{len .ExecIDs}}")?.unwrap_or_default();
            let Some((pid, execs)) = told.split_once(' ') else {
                continue;
            };
            now.containers += 1;
            now.execs += execs.parse::<usize>().unwrap_or(0);
            now.agent = now.agent.max(memory(pid));
        }
        let brokers = desk.brokers()?;
        let servers = desk.processes(|words| words.contains("\0mcp\0"))?;
        for (place, pid) in [brokers, servers].iter().map(|all| all.first()).enumerate() {
            let pid = pid.map_or_else(String::new, u32::to_string);
            let open = Path::new("/proc").join(&pid).join("fd");
            now.descriptors[place] = open.read_dir().map_or(0, Iterator::count);
            now.memory[place] = memory(&pid);
        }
        Ok(now)
    }

    /// The most of each.
    fn or_more(self, other: &Self) -> Self {
        let most = |place: usize| {
            (
                self.descriptors[place].max(other.descriptors[place]),
                self.memory[place].max(other.memory[place]),
            )
        };
        let (broker, server) = (most(0), most(1));
        Self {
            containers: self.containers.max(other.containers),
            execs: self.execs.max(other.execs),
            descriptors: [broker.0, server.0],
            memory: [broker.1, server.1],
            agent: self.agent.max(other.agent),
        }
    }
}

/// The memory that a process has now, in KiB.
fn memory(pid: &str) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn nothing_piles_up_while_both_kinds_of_clients_work() {
    let (Some(hermes), Some(mcp)) = (agent("load"), sdk("load")) else {
        return;
    };
    at_desk(|desk| {
        let client = |python: &Path, script: &str| -> Result<_, Failure> {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
            let mut command = Command::new(python);
            desk.dress(command.arg(script).arg("load"));
            let labels: Vec<_> = Run::this().labels("load").into_iter().collect();
            let labels: Vec<_> = labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Ok(command
                .env("HERMES_DOCKER_BINARY", link(desk)?)
                .env("IMAGE", DEBIAN)
                .env("LABELS", serde_json::to_string(&labels)?)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("SECONDS", duration().as_secs().to_string())
                .env("TALARIA", program())
                .env("TASK", "load")
                .stdin(Stdio::null())
                .spawn()?)
        };
        let clients = [
            client(&hermes, "tests/it/shim/scenarios.py")?,
            client(&mcp, "tests/it/mcp/scenarios.py")?,
        ];
        // What is measured before all of them work is no measure for later.
        let called = Instant::now();
        while Figures::now(desk)?.memory.contains(&0) && called.elapsed() < BEGUN {
            pass(Duration::from_millis(200));
        }
        let begun = Instant::now();
        // What the first third needs is what the whole may need.
        let (mut first, mut last) = (Figures::default(), Figures::default());
        while begun.elapsed() < duration() {
            let now = Figures::now(desk)?;
            if begun.elapsed() < duration() / 3 {
                first = first.or_more(&now);
            } else {
                last = last.or_more(&now);
            }
            pass(duration() / 60);
        }
        let outputs: Vec<_> = clients.into_iter().map(Child::wait_with_output).collect();
        let mut calls = Vec::new();
        for output in outputs {
            calls.push(ended(&output?)?);
        }
        let told = format!(
            "{} calls; at most {first}; later {last}",
            calls.join(" and ")
        );
        println!("{told}");
        let within = |most: usize, now: usize, more: usize| now <= most + more;
        let grown = |place: usize| last.memory[place].saturating_sub(first.memory[place]);
        let holds = [
            ("containers", within(3, last.containers, 1)),
            // One for each connection to an agent, and one that is just being closed.
            ("exec sessions", within(3, last.execs, 2)),
            (
                "the broker's descriptors",
                within(first.descriptors[0], last.descriptors[0], 8),
            ),
            (
                "the server's descriptors",
                within(first.descriptors[1], last.descriptors[1], 8),
            ),
            ("the broker's memory", grown(0) < 16 << 10),
            ("the server's memory", grown(1) < 16 << 10),
            (
                "an agent's memory",
                last.agent.saturating_sub(first.agent) < 16 << 10,
            ),
        ];
        let wrong: HashSet<_> = holds
            .iter()
            .filter(|(_, so)| !so)
            .map(|(what, _)| *what)
            .collect();
        if !wrong.is_empty() {
            return Err(format!("grown: {wrong:?}: {told}").into());
        }
        // The MCP client's is left to its lease.
        let left = Figures::now(desk)?;
        println!("left: {left}");
        expect_left(&left)
    });
}

fn expect_left(left: &Figures) -> TestResult {
    if left.containers <= 1 && left.descriptors[1] == 0 {
        return Ok(());
    }
    Err(format!("left: {left}").into())
}

fn ended(output: &Output) -> Result<String, Failure> {
    if output.status.success() {
        return Ok(text(&output.stdout).trim().to_owned());
    }
    Err(format!("{}: {}", output.status, text(&output.stderr)).into())
}
