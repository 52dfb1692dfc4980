//! Restarts and kills of the whole container: the same each time, nothing stale.

use std::time::Duration;

use docker_harness::{Container, Failure, Identity, Level, on_base, wait_for};

use crate::common::{SOON, gateways, light_with_profiles, lines, sketch, wait_lines, wait_up};

/// What must be the same in every life: the tree, and what lies in `/run`.
#[derive(Debug, PartialEq, Eq)]
struct Life {
    tree: String,
    run: String,
}

async fn life(container: &Container, earlier: usize) -> Result<Life, Failure> {
    wait_up(container, Identity::Hermes, "gateway-coder").await?;
    wait_lines(
        container,
        Identity::Hermes,
        "/opt/data/lives",
        &vec!["main"; earlier + 1],
    )
    .await?;
    let gateway_lives = wait_for("the gateway has started once more", SOON, async || {
        let notes = lines(container, Identity::Hermes, "/opt/data/notes-coder").await?;
        let starts = notes.iter().filter(|note| *note == "started 10000").count();
        Ok::<_, Failure>(Level::when(starts == earlier + 1, notes))
    });
    gateway_lives.await?;
    // Loggers start in their own time.
    let tree = wait_for("the tree stands", SOON, async || {
        let processes = container.processes().await?;
        let seen = sketch(&processes);
        let whole = seen.matches("s6-log").count() == 3 && gateways(&processes, "coder").len() == 1;
        Ok::<_, Failure>(if whole {
            Level::Holds(seen)
        } else {
            Level::Not(seen)
        })
    });
    let tree = tree.await?;
    let find = [
        "find",
        "/run",
        "!",
        "-name",
        "ftrig1:*",
        "!",
        "-name",
        "death_tally",
        "-printf",
        "%p %y %U:%G %m %l\n",
    ];
    let found = container.exec_root(find).await?;
    let mut run: Vec<&str> = found.stdout.lines().collect();
    run.sort_unstable();
    Ok(Life {
        tree,
        run: run.join("\n"),
    })
}

/// The main program, which notes its lives.
const MAIN: &str = "echo main >> /opt/data/lives; exec sleep 1000";

#[test]
fn ten_restarts_in_a_row_come_up_the_same() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().files(light_with_profiles()).shell(MAIN))
            .await?;
        let first = life(&container, 0).await?;
        for restart in 1..=10 {
            container.restart(Duration::from_secs(10)).await?;
            assert_eq!(
                first,
                life(&container, restart).await?,
                "after restart {restart}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_killed_container_starts_the_same() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().files(light_with_profiles()).shell(MAIN))
            .await?;
        let first = life(&container, 0).await?;
        for kill in 1..=3 {
            container.kill("SIGKILL").await?;
            assert_eq!(137, container.wait(SOON).await?);
            container.start().await?;
            assert_eq!(first, life(&container, kill).await?, "after kill {kill}");
        }
        Ok(())
    });
}

#[test]
fn what_an_agent_left_in_run_is_gone_after_a_restart() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().files(light_with_profiles()).shell(MAIN))
            .await?;
        let first = life(&container, 0).await?;
        let script = "mkdir -p /run/service/stale /run/service/.gateway-stale.tmp /run/service/gateway-gone
            printf '#!/bin/sh\\nexec sleep 1000\\n' > /run/service/stale/run; chmod +x /run/service/stale/run
            touch /run/service/gateway-coder/down; rm -rf /run/service/gateway-idle; true";
        assert_eq!(0, container.shell(script).await?.code);
        container.restart(Duration::from_secs(10)).await?;
        assert_eq!(first, life(&container, 1).await?);
        Ok(())
    });
}

#[test]
fn stale_files_of_a_gateway_are_removed_before_it_starts() {
    on_base(async |lab| {
        let container = lab
            .start(lab.container().files(light_with_profiles()).shell(MAIN))
            .await?;
        life(&container, 0).await?;
        let script = "cd /opt/data && for home in . profiles/coder profiles/idle; do echo 1 > $home/gateway.pid; echo '[]' > $home/processes.json; done";
        assert_eq!(0, container.shell(script).await?.code);
        container.kill("SIGKILL").await?;
        container.start().await?;
        life(&container, 1).await?;
        let left = container.shell("cd /opt/data && ls gateway.pid processes.json profiles/*/gateway.pid profiles/*/processes.json 2> /dev/null").await?;
        assert_eq!("", left.stdout);
        Ok(())
    });
}

#[test]
fn a_restart_policy_starts_it_again_with_the_truth() {
    on_base(async |lab| {
        let script = "echo life >> /opt/data/lives; exit 3";
        let container = lab
            .start(lab.container().shell(script).restart_on_failure(2))
            .await?;
        let ended = wait_for("the engine gives up", SOON, async || {
            let state = container.state().await?;
            Ok::<_, Failure>(if !state.running && state.restarts == 2 {
                Level::Holds(state)
            } else {
                Level::Not(format!("{state:?}"))
            })
        });
        assert_eq!(3, ended.await?.exit_code);
        Ok(())
    });
}
