//! A light agent for the image without one, and the questions that many tests ask.

use std::time::Duration;

use docker_harness::engine::skip;
use docker_harness::variant::Promise;
use docker_harness::{
    Container, Executed, Failure, Identity, Lab, Level, Process, Processes, Tree, wait_for,
};

/// Longer than any wait that is not about time.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Where the agent lives.
pub(crate) const HOME: &str = "/opt/data";
/// The light agent's own description.
pub(crate) const AGENT_TOML: &str = r#"
name = "light"
program = "/opt/light/agent"
subcommands = ["chat", "gateway"]

[gateway]
default = ["/opt/light/gateway", "default"]
profile = ["/opt/light/gateway", "{profile}"]
"#;

/// Says who it is and what it was given.
pub(crate) const AGENT: &str = r#"#!/bin/sh
echo "agent"
for word; do echo "[$word]"; done
"#;

/// A gateway: notes in its home what happens to it, answers USR1, ends on TERM.
pub(crate) const GATEWAY: &str = r#"#!/bin/sh
note() { echo "$1" >> "$HERMES_HOME/notes-$profile"; }
profile=$1
sleep 1000000 &
child=$!
trap 'note answered' USR1
trap 'note stopped; echo "gateway $profile" >> "$HERMES_HOME/order"; kill $child; exit 0' TERM
note "started $(id -u)"
while kill -0 $child; do wait $child; done
"#;

/// The light agent as files for a container.
pub(crate) fn light() -> Tree {
    Tree::new()
        .file("/etc/talaria/agent.toml", 0o644, AGENT_TOML)
        .directory("/opt/light", 0o755)
        .file("/opt/light/agent", 0o755, AGENT)
        .file("/opt/light/gateway", 0o755, GATEWAY)
}

/// A profile in `home` whose gateway was `desired` to be `running` or `stopped`.
pub(crate) fn profile(home: &str, uid: u64, name: &str, desired: &str) -> Tree {
    let at = format!("{home}/profiles/{name}");
    let state = format!("{{\"desired_state\": \"{desired}\"}}\n");
    Tree::new()
        .directory(&format!("{home}/profiles"), 0o755)
        .owned_by(uid, uid)
        .directory(&at, 0o755)
        .owned_by(uid, uid)
        .file(&format!("{at}/SOUL.md"), 0o644, "# Soul\n")
        .owned_by(uid, uid)
        .file(&format!("{at}/gateway_state.json"), 0o644, state)
        .owned_by(uid, uid)
}

/// The light agent with one profile that is to run, `coder`, and one that is not, `idle`.
pub(crate) fn light_with_profiles() -> Tree {
    light()
        .and(profile(HOME, 10_000, "coder", "running"))
        .and(profile(HOME, 10_000, "idle", "stopped"))
}

/// What `s6-svstat` says of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) up: bool,
    pub(crate) wanted_up: bool,
    /// 0 when it is down.
    pub(crate) pid: u32,
}

/// Asks `s6-svstat` about `/run/service/NAME`; nothing where nobody supervises it.
pub(crate) async fn slot(
    container: &Container,
    who: Identity,
    name: &str,
) -> Result<Option<Slot>, Failure> {
    let directory = format!("/run/service/{name}");
    let command = ["/command/s6-svstat", "-o", "up,wantedup,pid", &directory];
    let told = container.exec_as(who, command, None).await?;
    if told.code != 0 {
        return Ok(None);
    }
    let words: Vec<&str> = told.stdout.split_whitespace().collect();
    let [up, wanted_up, pid] = words[..] else {
        return Err(told.stdout.into());
    };
    Ok(Some(Slot {
        up: up == "true",
        wanted_up: wanted_up == "true",
        pid: pid.parse().unwrap_or(0),
    }))
}

/// Runs `talaria WORDS…` as hermes.
pub(crate) async fn talaria(container: &Container, words: &[&str]) -> Result<Executed, Failure> {
    let command = ["talaria"].iter().chain(words).copied();
    Ok(container.exec(command).await?)
}

/// Waits until the main program runs where that is `sleep 1000`: the boot is over.
pub(crate) async fn wait_main(container: &Container) -> Result<(), Failure> {
    let main = wait_for("the main program runs", SOON, async || {
        let processes = container.processes().await?;
        let running = !processes.with_line("sleep 1000").is_empty();
        Ok::<_, Failure>(Level::when(running, processes.drawn()))
    });
    Ok(main.await?)
}

/// Waits until somebody listens on a TCP port of the container, on whatever address.
pub(crate) async fn wait_listening(container: &Container, port: u16) -> Result<(), Failure> {
    let shown = format!(":{port:04X} ");
    let listening = wait_for("it listens", SOON, async || {
        let table = container.shell("cat /proc/net/tcp").await?;
        Ok::<_, Failure>(Level::when(table.stdout.contains(&shown), table))
    });
    listening.await.map(drop)?;
    Ok(())
}

/// A gateway that does nothing but live: for many of them, and where its notes would be in the way.
pub(crate) fn quiet() -> Tree {
    light().file(
        "/opt/light/gateway",
        0o755,
        "#!/bin/sh\nexec sleep 1000000\n",
    )
}

/// A profile with a state file of this text.
pub(crate) fn profile_with_state(home: &str, name: &str, state: &str) -> Tree {
    let path = format!("{home}/profiles/{name}/gateway_state.json");
    profile(home, 10_000, name, "stopped")
        .file(&path, 0o644, state)
        .owned_by(10_000, 10_000)
}

/// Ends a container as a crash of the machine would, and starts it again.
pub(crate) async fn kill_and_start(container: &Container) -> Result<(), Failure> {
    container.kill("SIGKILL").await?;
    assert_eq!(137, container.wait(SOON).await?);
    Ok(container.start().await?)
}

/// Whether the long form of a test was asked for: `TALARIA_SOAK=1`. Otherwise a tenth of it.
pub(crate) fn rounds(whole: usize) -> usize {
    let soak = std::env::var("TALARIA_SOAK").is_ok_and(|value| value == "1");
    if soak { whole } else { whole.div_ceil(10) }
}

/// Waits until a slot is up, and gives the pid of what it runs.
pub(crate) async fn wait_up(
    container: &Container,
    who: Identity,
    name: &str,
) -> Result<u32, Failure> {
    let pid = wait_for(format!("{name} is up"), SOON, async || {
        let slot = slot(container, who, name).await?;
        Ok::<_, Failure>(match slot {
            Some(Slot { up: true, pid, .. }) => Level::Holds(pid),
            other => Level::Not(format!(
                "{other:?}\n{}",
                container.processes().await?.drawn()
            )),
        })
    });
    Ok(pid.await?)
}

/// Waits until a slot is supervised and down.
pub(crate) async fn wait_down(container: &Container, name: &str) -> Result<(), Failure> {
    let down = wait_for(format!("{name} is down"), SOON, async || {
        let slot = slot(container, Identity::Hermes, name).await?;
        Ok::<_, Failure>(Level::when(
            slot.is_some_and(|slot| !slot.up && !slot.wanted_up),
            slot,
        ))
    });
    Ok(down.await?)
}

/// The lines of a file, none where there is no file; read as `who`.
pub(crate) async fn lines(
    container: &Container,
    who: Identity,
    path: &str,
) -> Result<Vec<String>, Failure> {
    let read = container.exec_as(who, ["cat", path], None).await?;
    Ok(read.stdout.lines().map(str::to_owned).collect())
}

/// Waits until a file's lines are these.
pub(crate) async fn wait_lines(
    container: &Container,
    who: Identity,
    path: &str,
    expected: &[&str],
) -> Result<(), Failure> {
    let same = wait_for(format!("{path} holds {expected:?}"), SOON, async || {
        let lines = lines(container, who, path).await?;
        Ok::<_, Failure>(Level::when(lines == expected, lines))
    });
    Ok(same.await?)
}

/// The processes that run a light gateway for `profile`.
pub(crate) fn gateways<'a>(processes: &'a Processes, profile: &str) -> Vec<&'a Process> {
    processes.with_line(&format!("/bin/sh /opt/light/gateway {profile}"))
}

/// The tree under PID 1: uid and name of each process, and what s6's programs work on; siblings
/// in the order of their lines.
pub(crate) fn sketch(processes: &Processes) -> String {
    fn line(process: &Process) -> String {
        let subject = process
            .args
            .last()
            .filter(|_| process.comm.starts_with("s6-sv") || process.comm == "s6-supervise");
        let state = if process.state == 'Z' { " zombie" } else { "" };
        let subject = subject.map_or_else(String::new, |subject| format!(" {subject}"));
        format!("{} {}{subject}{state}", process.uid(), process.comm)
    }
    fn draw(processes: &Processes, process: &Process, depth: usize) -> String {
        let mut below: Vec<String> = processes
            .children(process.pid)
            .into_iter()
            .map(|child| draw(processes, child, depth + 1))
            .collect();
        below.sort();
        format!(
            "{}{}\n{}",
            "  ".repeat(depth),
            line(process),
            below.concat()
        )
    }
    processes
        .get(1)
        .map_or_else(String::new, |first| draw(processes, first, 0))
}

/// Waits until the tree has this sketch.
pub(crate) async fn wait_sketch(container: &Container, expected: &str) -> Result<(), Failure> {
    let same = wait_for("the tree is as drawn", SOON, async || {
        let seen = sketch(&container.processes().await?);
        Ok::<_, Failure>(if seen == expected {
            Level::Holds(())
        } else {
            Level::Not(format!("\n{seen}instead of\n{expected}"))
        })
    });
    Ok(same.await?)
}

/// Our own messages and hints among the lines of a container's stderr.
pub(crate) fn messages(stderr: &str) -> Vec<&str> {
    let ours = |line: &&str| line.starts_with("talaria: ") || line.starts_with("hint: ");
    let lines = stderr.lines().filter(ours);
    lines
        .map(|line| line.strip_prefix("talaria: ").unwrap_or(line))
        .collect()
}

/// Whether the image's init promises that; where it does not, the test is skipped, loudly.
pub(crate) fn promised(lab: &Lab, promise: Promise) -> bool {
    let promised = lab.expected().promises(promise);
    if !promised {
        skip(
            lab.test(),
            &format!("{promise:?} is not promised by this image's init"),
        );
    }
    promised
}
