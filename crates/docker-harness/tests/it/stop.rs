//! `docker stop`: the services' own time and little more, and a bound for the stubborn.

use std::time::{Duration, Instant};

use docker_harness::{Container, Failure, Identity, Lab, Level, Spec, Tree, on_base, wait_for};

use crate::common::{HOME, SOON, light, lines, profile, wait_up};

/// How long a stop takes.
async fn time_of_stop(container: &Container) -> Result<Duration, Failure> {
    let began = Instant::now();
    container.stop(Duration::from_mins(1)).await?;
    Ok(began.elapsed())
}

/// How long the engine itself takes to stop a program that ends at once: the best of three.
async fn engines_own_time(lab: &Lab) -> Result<Duration, Failure> {
    let script = "trap 'exit 0' TERM; echo ready; while :; do read line < /pipe; done";
    let pipe = Tree::new().fifo("/pipe", 0o666);
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let spec = lab
            .container()
            .files(pipe.clone())
            .entrypoint(["sh", "-c", script]);
        let container = lab.start(spec).await?;
        container.says("ready", SOON).await?;
        best = best.min(time_of_stop(&container).await?);
    }
    Ok(best)
}

/// What stopping `spec` takes beyond the engine's own time: the best of three.
async fn overhead(
    lab: &Lab,
    spec: Spec,
    ready: impl AsyncFn(&Container) -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let own = engines_own_time(lab).await?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let container = lab.start(spec.clone()).await?;
        ready(&container).await?;
        let took = time_of_stop(&container).await?;
        assert_eq!(143, container.state().await?.exit_code);
        best = best.min(took.saturating_sub(own));
    }
    Ok(best)
}

/// Ten services that end at once on SIGTERM.
fn idle_services() -> Tree {
    let mut files = Tree::new();
    for number in 0..10 {
        let at = format!("/etc/services.d/idle-{number}");
        files = files.directory(&at, 0o755).script(
            &format!("{at}/run"),
            &format!("touch /up-{number}; exec sleep 1000000"),
        );
    }
    files
}

#[test]
fn ten_idle_services_stop_in_their_own_time() {
    on_base(async |lab| {
        let script = "while ! test -e /up-9 || test $(ls -d /up-* | wc -l) != 10; do sleep 0.01; done; echo ready; exec sleep 1000000";
        let spec = lab.container().files(idle_services()).shell(script);
        let overhead = overhead(lab, spec, async |container| {
            Ok(container.says("ready", SOON).await?)
        })
        .await?;
        let bound = lab.expected().stop_overhead;
        assert!(
            overhead <= bound,
            "{overhead:?} beyond the engine's own time, not {bound:?}"
        );
        Ok(())
    });
}

#[test]
fn ten_gateways_stop_in_their_own_time() {
    on_base(async |lab| {
        let mut files = light();
        for number in 0..10 {
            files = files.and(profile(HOME, 10_000, &format!("p{number}"), "running"));
        }
        let spec = lab.container().files(files).command(["sleep", "infinity"]);
        let overhead = overhead(lab, spec, async |container| {
            for number in 0..10 {
                wait_up(container, Identity::Hermes, &format!("gateway-p{number}")).await?;
                let notes = format!("/opt/data/notes-p{number}");
                crate::common::wait_lines(container, Identity::Hermes, &notes, &["started 10000"])
                    .await?;
            }
            Ok(())
        });
        let overhead = overhead.await?;
        let bound = lab.expected().stop_overhead;
        assert!(
            overhead <= bound,
            "{overhead:?} beyond the engine's own time, not {bound:?}"
        );
        Ok(())
    });
}

/// A service that ignores SIGTERM.
fn stubborn() -> Tree {
    Tree::new()
        .directory("/etc/services.d/stubborn", 0o755)
        .script(
            "/etc/services.d/stubborn/run",
            "trap '' TERM; touch /up; while :; do sleep 1000000; done",
        )
}

#[test]
fn a_service_that_ignores_sigterm_is_killed_after_the_grace_and_not_sooner() {
    on_base(async |lab| {
        let services_grace = Duration::from_millis(300);
        let kill_grace = Duration::from_millis(1500);
        let script = "while ! test -e /up; do sleep 0.01; done; echo ready; exec sleep 1000000";
        let spec = lab
            .container()
            .files(stubborn())
            .env(
                "S6_SERVICES_GRACETIME",
                &services_grace.as_millis().to_string(),
            )
            .env("S6_KILL_GRACETIME", &kill_grace.as_millis().to_string())
            .shell(script);
        let container = lab.start(spec).await?;
        container.says("ready", SOON).await?;
        let took = time_of_stop(&container).await?;
        assert!(took >= kill_grace, "killed after {took:?}");
        let bound = services_grace + kill_grace + Duration::from_secs(1);
        assert!(took <= bound, "killed after {took:?}, not {bound:?}");
        assert_eq!(143, container.state().await?.exit_code);
        Ok(())
    });
}

#[test]
fn a_gateway_that_takes_its_time_is_given_it() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let slow = "trap 'sleep 1; echo done > /opt/data/done; exit 0' TERM; echo up > /opt/data/up; while :; do sleep 0.05; done";
        let files = light()
            .and(profile(HOME, 10_000, "coder", "running"))
            .script("/opt/light/gateway", slow);
        let spec = lab
            .container()
            .files(files)
            .volume(&volume, HOME)
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        crate::common::wait_lines(&container, Identity::Hermes, "/opt/data/up", &["up"]).await?;
        let took = time_of_stop(&container).await?;
        assert!(
            took >= Duration::from_secs(1) && took < Duration::from_secs(3),
            "{took:?}"
        );
        let look = lab
            .container()
            .entrypoint(["sleep"])
            .command(["1000"])
            .volume(&volume, HOME);
        let look = lab.start(look).await?;
        assert_eq!(
            ["done"],
            *lines(&look, Identity::Hermes, "/opt/data/done").await?
        );
        Ok(())
    });
}

#[test]
fn a_stubborn_main_program_is_killed_after_the_grace() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .env("S6_SERVICES_GRACETIME", "300")
            .env("S6_KILL_GRACETIME", "1000")
            .shell("trap '' TERM; echo ready; while :; do sleep 1000000; done");
        let container = lab.start(spec).await?;
        container.says("ready", SOON).await?;
        let took = time_of_stop(&container).await?;
        assert!(
            took >= Duration::from_secs(1) && took <= Duration::from_millis(2_300),
            "{took:?}"
        );
        assert_eq!(137, container.state().await?.exit_code);
        Ok(())
    });
}

#[test]
fn what_hermes_has_frozen_is_stopped_within_the_grace() {
    on_base(async |lab| {
        let files = light().and(profile(HOME, 10_000, "coder", "running"));
        let spec = lab
            .container()
            .files(files)
            .env("S6_SERVICES_GRACETIME", "500")
            .env("S6_KILL_GRACETIME", "1000")
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        // It freezes its own shell too, which nobody waits for; the init wakes its main program.
        container
            .shell("setsid sh -c 'kill -STOP -1' > /dev/null 2>&1 &")
            .await?;
        let frozen = wait_for("all of it is frozen", SOON, async || {
            let processes = container.processes().await?;
            let running = processes.iter().filter(|it| {
                it.uid() == 10_000
                    && it.state != 'T'
                    && it.comm != "sh"
                    && it.line() != "sleep infinity"
            });
            let running: Vec<_> = running.collect();
            Ok::<_, Failure>(Level::when(running.is_empty(), &running))
        });
        frozen.await?;
        let took = time_of_stop(&container).await?;
        assert!(took <= Duration::from_secs(3), "{took:?}");
        Ok(())
    });
}

#[test]
fn a_tree_that_hermes_made_deaf_is_stopped_within_the_grace() {
    on_base(async |lab| {
        let files = light().and(profile(HOME, 10_000, "coder", "running"));
        let spec = lab
            .container()
            .files(files)
            .env("S6_SERVICES_GRACETIME", "500")
            .env("S6_KILL_GRACETIME", "1000")
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let script = "cd /run/service && rm .s6-svscan/control gateway-*/supervise/control && mkfifo .s6-svscan/control && touch gateway-coder/supervise/control";
        assert_eq!(0, container.shell(script).await?.code);
        let took = time_of_stop(&container).await?;
        assert!(took <= Duration::from_secs(3), "{took:?}");
        assert_eq!(143, container.state().await?.exit_code);
        Ok(())
    });
}

/// From the first hook on: the kernel itself drops what comes before PID 1's program runs.
#[test]
fn a_stop_while_it_boots_is_not_lost() {
    on_base(async |lab| {
        for round in 0..10 {
            // With and without something left to do when the signal comes.
            let hook = if round % 2 == 0 {
                "echo booting"
            } else {
                "echo booting; exec sleep 0.2"
            };
            let files = Tree::new().script("/etc/cont-init.d/00-tell", hook);
            let spec = lab.container().files(files).command(["sleep", "infinity"]);
            let container = lab.start(spec).await?;
            container.says("booting", SOON).await?;
            let took = time_of_stop(&container).await?;
            assert!(took < Duration::from_secs(5), "{took:?}");
            assert_eq!(143, container.state().await?.exit_code);
        }
        Ok(())
    });
}
