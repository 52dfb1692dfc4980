//! The real agent, by its own unmodified command line.

use std::time::Duration;

use docker_harness::{Container, Failure, Identity, Lab, Level, Size, on_hermes, wait_for};

use crate::common::{slot, talaria, wait_down};

/// An interpreter with a hundred imports takes its time on two busy cores.
pub(crate) const PATIENT: Duration = Duration::from_mins(2);

/// The agent's command line, as a person uses it: `docker exec -u hermes CONTAINER hermes …`.
pub(crate) async fn hermes(container: &Container, words: &[&str]) -> Result<String, Failure> {
    let command = ["hermes"].iter().chain(words).copied();
    let done = container.exec(command).await?;
    assert_eq!(
        0, done.code,
        "hermes {words:?}: {}{}",
        done.stdout, done.stderr
    );
    Ok(done.stdout)
}

async fn running(lab: &Lab) -> Result<Container, Failure> {
    let container = lab
        .start(lab.container().command(["sleep", "infinity"]))
        .await?;
    let ready = wait_for("the scandir is scanned", PATIENT, async || {
        let scanned = container
            .exec(["/command/s6-svscanctl", "-a", "/run/service"])
            .await?;
        Ok::<_, Failure>(Level::when(scanned.code == 0, scanned.stderr))
    });
    ready.await?;
    Ok(container)
}

/// Waits until the gateway says in its state file that it runs, under another pid than `not`.
pub(crate) async fn wait_running(container: &Container, not: u32) -> Result<u32, Failure> {
    let running = wait_for("the gateway runs and says so", PATIENT, async || {
        let slot = slot(container, Identity::Hermes, "gateway-coder").await?;
        let path = "/opt/data/profiles/coder/gateway_state.json";
        let state = container
            .exec([
                "grep",
                "-oE",
                "\"gateway_state\": *\"[a-z_]+\"|\"pid\": *[0-9]+",
                path,
            ])
            .await?;
        let running = state.stdout.contains("\"running\"");
        let pid = slot
            .filter(|slot| slot.up && slot.pid != not)
            .map(|slot| slot.pid);
        let own = pid.filter(|pid| {
            state.stdout.contains(&format!("\"pid\": {pid}\n"))
                || state.stdout.contains(&format!("\"pid\":{pid}\n"))
        });
        Ok::<_, Failure>(match own {
            Some(pid) if running => Level::Holds(pid),
            _ => Level::Not(format!("{slot:?} {state:?}")),
        })
    });
    Ok(running.await?)
}

#[test]
fn its_own_command_line_creates_a_profile_and_controls_its_gateway() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        hermes(&container, &["profile", "create", "coder"]).await?;
        hermes(&container, &["-p", "coder", "gateway", "start"]).await?;
        let pid = wait_running(&container, 0).await?;

        let told = container
            .exec(["/command/s6-svstat", "/run/service/gateway-coder"])
            .await?;
        assert!(
            told.stdout.starts_with(&format!("up (pid {pid}")),
            "{}",
            told.stdout
        );
        let processes = container.processes().await?;
        let gateway = processes.get(pid).ok_or("the gateway is gone")?;
        assert_eq!(
            ([10_000; 4], [10_000; 4], 0),
            (gateway.uids, gateway.gids, gateway.capabilities)
        );
        let line = gateway.line();
        assert!(
            line.ends_with("/opt/hermes/.venv/bin/hermes -p coder gateway run --replace"),
            "{line}"
        );

        container.shell(&format!("kill -9 {pid}")).await?;
        let next = wait_running(&container, pid).await?;
        assert_ne!(pid, next);

        hermes(&container, &["-p", "coder", "gateway", "stop"]).await?;
        wait_down(&container, "gateway-coder").await?;
        assert!(container.processes().await?.get(next).is_none());
        // It stays down when the whole container comes back.
        container.restart(Duration::from_secs(20)).await?;
        wait_down(&container, "gateway-coder").await?;
        Ok(())
    });
}

#[test]
fn a_gateway_that_ran_runs_again_after_a_restart() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        hermes(&container, &["profile", "create", "coder"]).await?;
        hermes(&container, &["-p", "coder", "gateway", "start"]).await?;
        wait_running(&container, 0).await?;
        container.restart(Duration::from_secs(20)).await?;
        let pid = wait_running(&container, 0).await?;
        assert_eq!(
            Some(10_000),
            container
                .processes()
                .await?
                .get(pid)
                .map(docker_harness::Process::uid)
        );
        Ok(())
    });
}

#[test]
fn a_profile_of_its_own_is_controlled_by_ours() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        hermes(&container, &["profile", "create", "coder"]).await?;
        let started = talaria(&container, &["gateway", "start", "-p", "coder", "--wait"]).await?;
        assert_eq!(0, started.code, "{}", started.stderr);
        wait_running(&container, 0).await?;
        let told = hermes(&container, &["-p", "coder", "gateway", "status"]).await?;
        assert!(told.contains("Gateway is running"), "{told}");
        hermes(&container, &["-p", "coder", "gateway", "stop"]).await?;
        wait_down(&container, "gateway-coder").await?;
        let row = talaria(&container, &["gateway", "status", "-p", "coder"]).await?;
        assert!(
            row.stdout.contains("\nDesired:   stopped\n"),
            "{}",
            row.stdout
        );
        Ok(())
    });
}

#[test]
fn a_profile_of_ours_is_controlled_by_its_own_command_line() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        let created = talaria(&container, &["profile", "create", "coder"]).await?;
        assert_eq!(0, created.code, "{}", created.stderr);
        let shown = hermes(&container, &["profile", "list"]).await?;
        assert!(shown.contains("coder"), "{shown}");
        hermes(&container, &["-p", "coder", "gateway", "start"]).await?;
        let pid = wait_running(&container, 0).await?;
        let row = talaria(&container, &["gateway", "status", "-p", "coder"]).await?;
        let state = format!("\nState:     up (pid {pid})");
        assert!(row.stdout.contains(&state), "{}", row.stdout);

        // A stop that was announced ends it as if it had worked, and it says that it is stopped.
        let stopped = talaria(&container, &["gateway", "stop", "-p", "coder", "--wait=60"]).await?;
        assert_eq!(0, stopped.code, "{}", stopped.stderr);
        let rows = talaria(&container, &["gateway", "list"]).await?.stdout;
        let row = rows.lines().find(|row| row.starts_with("coder\t"));
        let row: Vec<_> = row.ok_or("no row")?.split('\t').collect();
        assert_eq!(("down", "0"), (row[1], row[6]), "{rows}");
        container.restart(Duration::from_secs(20)).await?;
        wait_down(&container, "gateway-coder").await?;

        hermes(&container, &["profile", "delete", "coder", "--yes"]).await?;
        let left = container
            .shell("ls -d /run/service/gateway-coder /opt/data/profiles/coder 2> /dev/null")
            .await?;
        assert_eq!("", left.stdout);
        Ok(())
    });
}

#[test]
fn root_who_types_hermes_is_hermes() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        let created = container
            .exec_root(["hermes", "profile", "create", "writer"])
            .await?;
        assert_eq!(0, created.code, "{}{}", created.stdout, created.stderr);
        let others = container
            .exec(["find", "/opt/data", "!", "-user", "hermes"])
            .await?;
        assert_eq!("", others.stdout);
        Ok(())
    });
}

#[test]
fn version_is_the_agents() {
    on_hermes(async |lab| {
        let ended = lab
            .run(lab.container().command(["--version"]), PATIENT)
            .await?;
        let first = ended
            .output
            .out()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert_eq!(0, ended.code, "{}", ended.output.err());
        assert!(first.starts_with("Hermes Agent v0.19.0"), "{first}");
        Ok(())
    });
}

#[test]
fn the_terminal_interface_draws_its_first_screen() {
    on_hermes(async |lab| {
        let spec = lab.container().command(["--tui"]).terminal(Size {
            rows: 40,
            columns: 120,
        });
        // Without a provider it asks for one in plain lines instead; this one is never called.
        let spec = spec
            .env("TERM", "xterm-256color")
            .env("OPENROUTER_API_KEY", "none");
        let mut terminal = lab.terminal(spec).await?;
        // A full-screen program asks for the alternate screen, then draws.
        terminal.read_until("\x1b[?1049h", PATIENT).await?;
        terminal.read_until("╭", PATIENT).await?;
        terminal.read_until("Available Tools", PATIENT).await?;
        terminal.read_until("/help", PATIENT).await?;
        assert!(terminal.container().state().await?.running);
        Ok(())
    });
}
