//! `kill -9 -1` as hermes takes its supervisors too: the tree comes back.

use std::time::{Duration, Instant};

use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, Identity, Lab, Level, on_base, wait_for};

use crate::common::{
    SOON, gateways, light_with_profiles, lines, promised, sketch, slot, wait_lines, wait_sketch,
    wait_up,
};

/// The bound within which a killed tree is back.
const HEALED: Duration = Duration::from_secs(2);

/// The tree of a container whose command is `gateway run`.
const DRAWN: &str = "\
0 s6-svscan /run/s6/services
  0 init
  0 s6-supervise agent-tree
    10000 s6-svscan /run/service
      10000 s6-supervise gateway-coder
        10000 gateway
          10000 sleep
      10000 s6-supervise gateway-coder/log
        10000 s6-log
      10000 s6-supervise gateway-default
        10000 gateway
          10000 sleep
      10000 s6-supervise gateway-default/log
        10000 s6-log
      10000 s6-supervise gateway-idle
      10000 s6-supervise gateway-idle/log
        10000 s6-log
";

/// A container whose command is `gateway run`, so that no main program is hermes's to kill.
async fn gateway_container(lab: &Lab) -> Result<Container, Failure> {
    let spec = lab
        .container()
        .files(light_with_profiles())
        .command(["gateway", "run"]);
    let container = lab.start(spec).await?;
    wait_sketch(&container, DRAWN).await?;
    wait_lines(
        &container,
        Identity::Hermes,
        "/opt/data/notes-coder",
        &["started 10000"],
    )
    .await?;
    wait_lines(
        &container,
        Identity::Hermes,
        "/opt/data/notes-default",
        &["started 10000"],
    )
    .await?;
    Ok(container)
}

#[test]
fn after_kill_all_what_ran_runs_once_and_what_was_down_is_down() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        let before = gateways(&container.processes().await?, "coder")[0].pid;
        let killed = Instant::now();
        container.shell("kill -9 -1").await?;
        let healed = wait_for("the tree is back", HEALED, async || {
            let processes = container.processes().await?;
            let seen = sketch(&processes);
            let other = gateways(&processes, "coder")
                .iter()
                .all(|gateway| gateway.pid != before);
            Ok::<_, Failure>(Level::when(seen == DRAWN && other, format!("\n{seen}")))
        });
        healed.await?;
        assert!(killed.elapsed() < HEALED, "{:?}", killed.elapsed());

        for profile in ["coder", "default"] {
            let notes = lines(
                &container,
                Identity::Hermes,
                &format!("/opt/data/notes-{profile}"),
            )
            .await?;
            assert_eq!(["started 10000"; 2], *notes, "{profile}");
        }
        let idle = slot(&container, Identity::Hermes, "gateway-idle")
            .await?
            .ok_or("not supervised")?;
        assert!(!idle.up && !idle.wanted_up);
        assert!(
            lines(&container, Identity::Hermes, "/opt/data/notes-idle")
                .await?
                .is_empty()
        );
        Ok(())
    });
}

#[test]
fn it_heals_again_and_again() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        for round in 1..=5 {
            container.shell("kill -9 -1").await?;
            let expected = vec!["started 10000"; round + 1];
            wait_lines(
                &container,
                Identity::Hermes,
                "/opt/data/notes-coder",
                &expected,
            )
            .await?;
            wait_sketch(&container, DRAWN).await?;
        }
        Ok(())
    });
}

/// Kills one process of the agent's and waits for the tree as drawn.
async fn kill_one(container: &Container, comm: &str, last: &str) -> Result<(), Failure> {
    let processes = container.processes().await?;
    let victim = processes.iter().find(|it| {
        it.uid() == 10_000 && it.comm == comm && it.args.last().is_some_and(|arg| arg == last)
    });
    let victim = victim.ok_or_else(|| format!("no {comm} {last}"))?.pid;
    container.shell(&format!("kill -9 {victim}")).await?;
    let healed = wait_for(
        format!("the tree is back without {victim}"),
        SOON,
        async || {
            let processes = container.processes().await?;
            let seen = sketch(&processes);
            // The light gateway's own child, which nobody ended, is an orphan now.
            let tree: String = seen
                .split_inclusive('\n')
                .filter(|it| *it != "  10000 sleep\n")
                .collect();
            Ok::<_, Failure>(Level::when(
                tree == DRAWN && processes.get(victim).is_none(),
                format!("\n{seen}"),
            ))
        },
    );
    healed.await?;
    Ok(())
}

#[test]
fn a_lost_supervisor_never_leaves_two_gateways() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        kill_one(&container, "s6-supervise", "gateway-coder").await?;
        let notes = lines(&container, Identity::Hermes, "/opt/data/notes-coder").await?;
        assert_eq!(["started 10000"; 2], *notes);
        Ok(())
    });
}

#[test]
fn a_lost_svscan_comes_back_with_its_services() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        kill_one(&container, "s6-svscan", "/run/service").await?;
        assert_eq!(1, gateways(&container.processes().await?, "coder").len());
        Ok(())
    });
}

#[test]
fn a_killed_gateway_comes_back() {
    on_base(async |lab| {
        let container = gateway_container(lab).await?;
        let before = wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        container.shell(&format!("kill -9 {before}")).await?;
        wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-coder",
            &["started 10000"; 2],
        )
        .await?;
        assert_ne!(
            before,
            wait_up(&container, Identity::Hermes, "gateway-coder").await?
        );
        Ok(())
    });
}

#[test]
fn what_an_operator_stopped_stays_down_after_kill_all() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        let script =
            "echo '{\"desired_state\": \"stopped\"}' > /opt/data/profiles/coder/gateway_state.json
            /command/s6-svc -wD -T 10000 -d /run/service/gateway-coder; kill -9 -1";
        container.shell(script).await?;
        wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-default",
            &["started 10000"; 2],
        )
        .await?;
        crate::common::wait_down(&container, "gateway-coder").await?;
        let notes = lines(&container, Identity::Hermes, "/opt/data/notes-coder").await?;
        assert_eq!(["started 10000", "stopped"], *notes);
        Ok(())
    });
}

#[test]
fn a_service_that_was_told_down_stays_down_after_kill_all() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        let script = "cd /run/service && mkdir own && printf '#!/bin/sh\necho up >> /opt/data/own\nexec sleep 54321\n' > own/run &&
            chmod +x own/run && exec /command/s6-svscanctl -a /run/service";
        assert_eq!(0, container.shell(script).await?.code);
        wait_lines(&container, Identity::Hermes, "/opt/data/own", &["up"]).await?;
        let down = [
            "/command/s6-svc",
            "-wD",
            "-T",
            "10000",
            "-d",
            "/run/service/own",
        ];
        assert_eq!(0, container.exec(down).await?.code);
        container.shell("kill -9 -1").await?;
        wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-coder",
            &["started 10000"; 2],
        )
        .await?;
        crate::common::wait_down(&container, "own").await?;
        assert_eq!(
            ["up"],
            *lines(&container, Identity::Hermes, "/opt/data/own").await?
        );
        Ok(())
    });
}

#[test]
fn it_heals_where_everything_is_hermes_to_kill() {
    on_base(async |lab| {
        if !promised(lab, Promise::AnyUser) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(light_with_profiles())
            .user("10000:10000");
        let container = lab.start(spec.command(["gateway", "run"])).await?;
        let drawn = DRAWN
            .replace("  0 ", "  10000 ")
            .replacen("0 s6", "10000 s6", 1);
        wait_sketch(&container, &drawn).await?;
        wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-coder",
            &["started 10000"],
        )
        .await?;
        let before = gateways(&container.processes().await?, "coder")[0].pid;
        container.shell("kill -9 -1").await?;
        // The init was killed too: a child of the agent's tree has taken on its waiting.
        let agent_tree = "    10000 s6-svscan /run/service\n";
        let drawn = drawn
            .replace("  10000 init\n", "")
            .replace(agent_tree, &format!("{agent_tree}      10000 run\n"));
        let healed = wait_for("the tree is back", HEALED, async || {
            let processes = container.processes().await?;
            let seen = sketch(&processes);
            Ok::<_, Failure>(Level::when(
                seen == drawn && processes.get(before).is_none(),
                format!("\n{seen}"),
            ))
        });
        healed.await?;
        let notes = lines(&container, Identity::Hermes, "/opt/data/notes-coder").await?;
        assert_eq!(["started 10000"; 2], *notes);
        container.stop(SOON).await?;
        assert_ne!(137, container.state().await?.exit_code);
        Ok(())
    });
}

#[test]
fn kill_all_where_everything_is_hermes_ends_with_the_main_program() {
    on_base(async |lab| {
        if !promised(lab, Promise::AnyUser) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(light_with_profiles())
            .user("10000:10000");
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        container.shell("kill -9 -1").await?;
        assert_eq!(137, container.wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn a_service_that_hermes_dropped_comes_back_once() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        let script = "mkdir /run/service/own && printf '#!/bin/sh\\necho up >> /opt/data/own\\nexec sleep 54321\\n' > /run/service/own/run &&
            chmod +x /run/service/own/run && exec /command/s6-svscanctl -a /run/service";
        assert_eq!(0, container.shell(script).await?.code);
        wait_lines(&container, Identity::Hermes, "/opt/data/own", &["up"]).await?;
        container.shell("kill -9 -1").await?;
        wait_lines(&container, Identity::Hermes, "/opt/data/own", &["up", "up"]).await?;
        wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-coder",
            &["started 10000"; 2],
        )
        .await?;
        assert_eq!(
            1,
            container.processes().await?.with_line("sleep 54321").len()
        );
        Ok(())
    });
}

#[test]
fn kill_all_ends_a_main_program_and_the_container_says_so() {
    on_base(async |lab| {
        let container = lab
            .start(
                lab.container()
                    .files(light_with_profiles())
                    .command(["sleep", "infinity"]),
            )
            .await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        container.shell("kill -9 -1").await?;
        assert_eq!(137, container.wait(SOON).await?);
        Ok(())
    });
}

#[test]
fn supervisors_that_svscan_has_forgotten_all_come_back_with_one_start() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let container = gateway_container(lab).await?;
        // The second time they are younger than a second, and of different ages.
        let script = "for round in 1 2 3 4; do
            for it in /proc/[0-9]*; do
              if [ \"$(cat \"$it/comm\" 2>/dev/null)\" = s6-supervise ]; then kill -9 \"${it#/proc/}\" 2>/dev/null; fi
            done
            sleep 0.1
          done";
        container.shell(script).await?;
        // Whichever of them are gone: to start a gateway that has lost its supervisor wakes all.
        for profile in ["coder", "default", "idle"] {
            let words = ["gateway", "start", "-p", profile];
            let started = crate::common::talaria(&container, &words).await?;
            assert_eq!(0, started.code, "{}", started.stderr);
            wait_up(&container, Identity::Hermes, &format!("gateway-{profile}")).await?;
        }
        let left = container
            .shell("ls /run/service | grep -c wake; exit 0")
            .await?;
        assert_eq!("0\n", left.stdout);
        Ok(())
    });
}
