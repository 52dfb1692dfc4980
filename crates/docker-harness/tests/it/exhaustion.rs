//! What an agent can use up, close or freeze: the container still ends in time, with the truth, and
//! starts again.

use std::time::Duration;

use docker_harness::variant::Promise;
use docker_harness::{Failure, Lab, Level, on_base, wait_for};

use crate::common::{HOME, SOON, promised};

/// Services' and everything's grace by default, and a second more.
const BOTH_GRACES: Duration = Duration::from_secs(7);

const FULL: &str = "cat /dev/zero > /run/service/.x 2> /dev/null";

/// Freezes every process of its user, again and again.
const FREEZER: &str =
    r"setsid perl -e '$SIG{TERM}=q(IGNORE); $0=q(x); while(1){kill q(STOP), -1}' &";

#[test]
fn a_full_run_directory_hides_no_exit_code() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let spec = || lab.container().tmpfs("/run", "rw,noexec,nosuid,size=8m");
        let ended = lab
            .run(spec().shell(&format!("{FULL}; exit 3")), SOON)
            .await?;
        assert_eq!(ended.code, 3);
        let container = lab
            .start(spec().shell(&format!("{FULL}; echo full; exec sleep 1000")))
            .await?;
        container.says("full", SOON).await?;
        container.stop(Duration::from_secs(30)).await?;
        assert_eq!(container.state().await?.exit_code, 143);
        Ok(())
    });
}

#[test]
fn an_agent_that_freezes_all_it_may_cannot_hold_up_the_end() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let script = format!("{FREEZER} sleep 1; exit 4");
        let spec = ["SETUID", "SETGID", "CHOWN"]
            .into_iter()
            .fold(lab.container().cap_drop("ALL"), |spec, name| {
                spec.cap_add(name)
            });
        let ended = lab.run(spec.shell(&script), SOON).await?;
        assert_eq!(ended.code, 4);
        Ok(())
    });
}

#[test]
fn an_agent_that_uses_up_all_processes_is_stopped_within_the_graces() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let spec = lab.container().command(["sleep", "1000"]).pids_limit(60);
        let container = lab.start(spec).await?;
        let supervised = wait_for("the tree stands", SOON, async || {
            let told = container
                .exec(["test", "-p", "/run/service/.s6-svscan/control"])
                .await?;
            Ok::<_, Failure>(Level::when(told.code == 0, told))
        });
        supervised.await?;
        let script = "mkdir /run/service/x; printf '#!/bin/sh\\ntrap \"\" TERM\\nwhile :; do sleep 1000; done\\n' > /run/service/x/run; \
            chmod +x /run/service/x/run; /command/s6-svscanctl -a /run/service; \
            (while sleep 1000 & do :; done) > /dev/null 2>&1 & sleep 1";
        container.shell(script).await?;
        let start = std::time::Instant::now();
        container.stop(Duration::from_secs(30)).await?;
        assert!(start.elapsed() < BOTH_GRACES, "{:?}", start.elapsed());
        assert_eq!(container.state().await?.exit_code, 143);
        Ok(())
    });
}

#[test]
fn what_the_agent_closed_to_itself_keeps_no_container_down() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let script = "echo up; exec sleep 1000";
        let container = lab.start(lab.container().shell(script)).await?;
        container.says("up", SOON).await?;
        let close = "mkdir -p /run/service/.x/y; chmod 000 /run/service/.x; chmod 000 /run/service; chmod 500 /opt/data";
        assert_eq!(container.shell(close).await?.code, 0);
        container.restart(Duration::from_secs(10)).await?;
        let up = wait_for("the main program runs again", SOON, async || {
            let processes = container.processes().await?;
            let running = !processes.with_line("sleep 1000").is_empty();
            Ok::<_, Failure>(Level::when(running, processes.drawn()))
        });
        up.await?;
        assert_eq!(
            container
                .shell("ls -A /run/service; test -w /opt/data")
                .await?
                .code,
            0
        );
        Ok(())
    });
}

#[test]
fn what_is_mounted_in_the_home_keeps_its_owner() {
    on_base(async |lab| {
        let (home, other) = (lab.volume().await?, lab.volume().await?);
        let make = lab
            .container()
            .volume_as_it_is(&other, "/other")
            .entrypoint(["/bin/sh"])
            .command([
                "-c",
                "mkdir -m 700 /other/d; echo secret > /other/d/f; chmod 600 /other/d/f",
            ]);
        assert_eq!(lab.run(make, SOON).await?.code, 0);
        let spec = lab
            .container()
            .volume(&home, HOME)
            .volume_as_it_is(&other, "/opt/data/shared")
            .shell("mkdir healed; exec sleep 1000");
        let container = lab.start(spec).await?;
        container
            .exec_root(["/bin/sh", "-c", "mkdir /opt/data/roots"])
            .await?;
        container.restart(Duration::from_secs(10)).await?;
        let swept = wait_for("the sweep has passed", SOON, async || {
            let told = container
                .exec(["stat", "-c", "%u", "/opt/data/roots"])
                .await?;
            Ok::<_, Failure>(Level::when(told.stdout == "10000\n", told))
        });
        swept.await?;
        let look = [
            "stat",
            "-c",
            "%u",
            "/opt/data/shared",
            "/opt/data/shared/d",
            "/opt/data/shared/d/f",
        ];
        assert_eq!(container.exec_root(look).await?.stdout, "0\n0\n0\n");
        Ok(())
    });
}

/// The home of a container in which the agent has put a program on its `PATH`.
async fn with_planted_program(lab: &Lab) -> Result<String, Failure> {
    let volume = lab.volume().await?;
    let plant = "mkdir -p .local/bin; printf '#!/bin/sh\\nid -u\\n' > .local/bin/planted; chmod +x .local/bin/planted";
    assert_eq!(
        lab.run(lab.container().volume(&volume, HOME).shell(plant), SOON)
            .await?
            .code,
        0
    );
    Ok(volume)
}

#[test]
fn root_finds_no_program_of_the_agents_by_its_name() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let volume = with_planted_program(lab).await?;
        let raw = lab
            .container()
            .volume(&volume, HOME)
            .entrypoint(["/init"])
            .command(["planted"]);
        let ended = lab.run(raw, SOON).await?;
        assert_eq!((ended.code, ended.output.out()), (127, String::new()));
        let contenv = lab
            .container()
            .volume(&volume, HOME)
            .entrypoint(["/init"])
            .command(["/command/with-contenv", "planted"]);
        let ended = lab.run(contenv, SOON).await?;
        assert_eq!((ended.code, ended.output.out()), (127, String::new()));
        let own = lab
            .run(
                lab.container().volume(&volume, HOME).command(["planted"]),
                SOON,
            )
            .await?;
        assert_eq!((own.code, own.output.out()), (0, "10000\n".to_owned()));
        Ok(())
    });
}
