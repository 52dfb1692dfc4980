//! Gateways by `talaria gateway`: they come and go as the operator meant, across restarts.

use std::time::{Duration, Instant};

use docker_harness::{Container, Failure, Identity, Level, Tree, on_base, wait_for};

use crate::common::{SOON, gateways, lines, slot, talaria, wait_down, wait_up};
use crate::profile::running;

/// Within which a gateway is up that was told to start.
const STARTED: Duration = Duration::from_secs(2);

/// An agent that withholds tokens, and whose gateway for `bad` says that it is badly configured.
fn picky() -> Tree {
    let toml = crate::common::AGENT_TOML
        .replace("[gateway]", "credentials = [\"*_BOT_TOKEN\"]\n[gateway]");
    let gateway = crate::common::GATEWAY.replace(
        "profile=$1\n",
        "profile=$1\ntest $profile = bad && exit 78\n",
    );
    Tree::new()
        .file("/etc/talaria/agent.toml", 0o644, toml)
        .file("/opt/light/gateway", 0o755, gateway)
}

async fn must(container: &Container, words: &[&str]) -> Result<String, Failure> {
    let done = talaria(container, words).await?;
    assert_eq!(0, done.code, "{words:?}: {}{}", done.stdout, done.stderr);
    Ok(done.stdout)
}

#[test]
fn a_started_gateway_runs_as_hermes_with_its_own_port_and_without_anothers_token() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .files(crate::common::light().and(picky()))
            .env("TELEGRAM_BOT_TOKEN", "canary")
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_down(&container, "gateway-default").await?;
        must(&container, &["profile", "create", "coder"]).await?;
        let begun = Instant::now();
        must(&container, &["gateway", "start", "-p", "coder", "--wait"]).await?;
        let pid = wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        assert!(begun.elapsed() < STARTED, "{:?}", begun.elapsed());

        let whole = wait_for("the gateway has become itself", SOON, async || {
            let processes = container.processes().await?;
            let seen = gateways(&processes, "coder").len();
            Ok::<_, Failure>(Level::when(seen == 1, processes.drawn()))
        });
        whole.await?;
        let processes = container.processes().await?;
        let gateway = processes.get(pid).ok_or("the gateway is gone")?;
        assert_eq!(
            ([10_000; 4], [10_000; 4], 0),
            (gateway.uids, gateway.gids, gateway.capabilities)
        );
        let environ = format!("tr '\\0' '\\n' < /proc/{pid}/environ");
        let environ = container.shell(&environ).await?.stdout;
        let port: Vec<_> = environ
            .lines()
            .filter(|line| line.starts_with("API_SERVER_PORT="))
            .collect();
        assert_eq!(["API_SERVER_PORT=9653"], *port);
        assert!(environ.lines().any(|line| line == "HERMES_HOME=/opt/data"));
        assert!(!environ.contains("BOT_TOKEN") && !environ.contains("canary"));

        // The default profile's own is its own.
        must(&container, &["gateway", "start", "--wait"]).await?;
        let pid = wait_up(&container, Identity::Hermes, "gateway-default").await?;
        let canary = format!("grep -cz '^TELEGRAM_BOT_TOKEN=canary$' /proc/{pid}/environ");
        assert_eq!("1\n", container.shell(&canary).await?.stdout);
        Ok(())
    });
}

#[test]
fn a_killed_gateway_is_back() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        must(&container, &["profile", "create", "coder"]).await?;
        must(&container, &["gateway", "start", "-p", "coder", "--wait"]).await?;
        let before = wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        container.shell(&format!("kill -9 {before}")).await?;
        let killed = Instant::now();
        let back = wait_for("it is back", SOON, async || {
            let slot = slot(&container, Identity::Hermes, "gateway-coder").await?;
            let other = slot.filter(|slot| slot.up && slot.pid != before);
            Ok::<_, Failure>(Level::when(other.is_some(), slot))
        });
        back.await?;
        assert!(killed.elapsed() < STARTED, "{:?}", killed.elapsed());
        let rows = must(&container, &["gateway", "list"]).await?;
        let row = rows
            .lines()
            .find(|row| row.starts_with("coder\t"))
            .ok_or("no row")?;
        let cells: Vec<_> = row.split('\t').collect();
        assert_eq!(
            ("up", "1", "9653", "SIGKILL"),
            (cells[1], cells[4], cells[5], cells[6])
        );
        Ok(())
    });
}

#[test]
fn what_was_stopped_stays_stopped_and_what_was_started_comes_back() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        for profile in ["coder", "writer"] {
            must(&container, &["profile", "create", profile]).await?;
            must(&container, &["gateway", "start", "-p", profile, "--wait"]).await?;
        }
        must(&container, &["gateway", "stop", "-p", "writer", "--wait"]).await?;
        for life in ["restart", "kill"] {
            if life == "restart" {
                container.restart(Duration::from_secs(20)).await?;
            } else {
                container.kill("SIGKILL").await?;
                container.wait(SOON).await?;
                container.start().await?;
            }
            wait_up(&container, Identity::Hermes, "gateway-coder").await?;
            wait_down(&container, "gateway-writer").await?;
        }
        let notes = lines(&container, Identity::Hermes, "/opt/data/notes-writer").await?;
        assert_eq!(["started 10000", "stopped"], *notes);
        // And the other way round.
        must(&container, &["gateway", "stop", "--all", "--wait"]).await?;
        must(&container, &["gateway", "start", "-p", "writer"]).await?;
        container.kill("SIGKILL").await?;
        container.wait(SOON).await?;
        container.start().await?;
        wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        wait_down(&container, "gateway-coder").await?;
        Ok(())
    });
}

#[test]
fn a_slot_that_is_lost_is_made_again_by_a_start() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        must(&container, &["profile", "create", "coder"]).await?;
        must(&container, &["svc", "unregister", "gateway-coder"]).await?;
        must(&container, &["gateway", "start", "-p", "coder", "--wait"]).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        Ok(())
    });
}

#[test]
fn a_badly_configured_gateway_is_parked_and_health_names_it() {
    on_base(async |lab| {
        let container = running(lab, picky()).await?;
        assert_eq!(
            "healthy: 0 of 1 gateways up\n",
            must(&container, &["health"]).await?
        );
        for profile in ["bad", "good"] {
            must(&container, &["profile", "create", profile]).await?;
            must(&container, &["gateway", "start", "-p", profile]).await?;
        }
        let parked = wait_for("health names the parked gateway", SOON, async || {
            let said = talaria(&container, &["health"]).await?;
            Ok::<_, Failure>(if said.code == 1 && said.stderr.contains("parked") {
                Level::Holds(said.stderr)
            } else {
                Level::Not(format!("{said:?}"))
            })
        });
        assert_eq!(
            "talaria: gateway of profile bad: parked, its last exit: 78\n\
             hint: talaria gateway logs -p bad; then talaria gateway start -p bad\n",
            parked.await?
        );
        // Whoever waits for it is told as well.
        let run = talaria(&container, &["gateway", "run", "-p", "bad"]).await?;
        assert_eq!(78, run.code, "{}", run.stderr);
        // What is stopped need not run.
        must(&container, &["gateway", "stop", "-p", "bad"]).await?;
        assert_eq!(
            "healthy: 1 of 3 gateways up\n",
            must(&container, &["health"]).await?
        );
        Ok(())
    });
}

#[test]
fn a_log_is_read_and_followed() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        must(&container, &["profile", "create", "coder"]).await?;
        let log = "/opt/data/logs/gateways/coder";
        // Its logger is there before it, and rotates what it is given.
        let made = wait_for("the logger runs", SOON, async || {
            let said = talaria(&container, &["gateway", "logs", "-p", "coder"]).await?;
            Ok::<_, Failure>(Level::when(said.code == 0, said))
        });
        made.await?;
        let script = format!(
            "set -e; cd {log}; echo one > current; echo two >> current
             talaria gateway logs -p coder -n 1 -f > /tmp/followed & pid=$!
             until grep -q two /tmp/followed; do sleep 0.01; done
             echo three >> current
             mv current @40000000000000000000.s; echo four > current
             until grep -q four /tmp/followed; do sleep 0.01; done
             kill $pid; cat /tmp/followed; talaria gateway logs -p coder -n 3"
        );
        let done = container.shell(&script).await?;
        assert_eq!(
            "two\nthree\nfour\ntwo\nthree\nfour\n", done.stdout,
            "{}",
            done.stderr
        );
        Ok(())
    });
}

#[test]
fn without_supervision_the_gateway_runs_in_the_foreground() {
    on_base(async |lab| {
        let container = running(lab, picky()).await?;
        must(&container, &["profile", "create", "bad"]).await?;
        let run = ["gateway", "run", "--no-supervise", "-p", "bad"];
        assert_eq!(78, talaria(&container, &run).await?.code);
        must(&container, &["gateway", "start", "--wait"]).await?;
        let second = talaria(&container, &["gateway", "run", "--no-supervise"]).await?;
        assert_eq!(1, second.code, "{}", second.stderr);
        Ok(())
    });
}
