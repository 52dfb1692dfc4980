//! Where root scans `/run/service`, as s6-overlay has it: `hermes` controls what is its own there,
//! and s6's own services stay root's.
//!
//! The arrangement is made of Debian's s6 alone: root's s6-svscan is PID 1 on a new `/run/service`,
//! services stand there with the `supervise/` that root made, some of them by links as s6-rc's do,
//! and the hooks run with the environment of `/run/s6/container_environment`.

use std::time::Duration;

use docker_harness::{
    Container, Executed, Failure, Identity, Lab, Level, Tree, on_base, on_hermes, wait_for,
};
use rstest::rstest;

use crate::agent::{PATIENT, hermes, wait_running};
use crate::common::{
    SOON, gateways, light_with_profiles, lines, slot, talaria, wait_down, wait_up,
};

/// Longer than a gateway takes that has to be started by a busy machine.
const GRACE: Duration = Duration::from_secs(20);

const INIT: &str = r#"
set -eu
umask 022
rm -rf /run/s6 /run/service /run/s6-rc /run/booted
chmod 0755 /run
mkdir -m 0755 /run/s6 /run/service /run/s6/basedir
mkdir -m 0700 /run/s6/container_environment
env | while IFS= read -r variable; do
    printf %s "${variable#*=}" > "/run/s6/container_environment/${variable%%=*}"
done
service() {
    mkdir -p "$1"
    printf '#!/bin/sh\nexec sleep %s\n' "$2" > "$1/run"
    chmod 0755 "$1/run"
}
# s6-rc's services are links to what it keeps elsewhere.
for name in s6rc-oneshot-runner s6rc-fdholder main-hermes; do
    service "/run/s6-rc/servicedirs/$name" 1000001
    ln -s "/run/s6-rc/servicedirs/$name" "/run/service/$name"
done
service /run/service/s6-linux-init-shutdownd 1000002
service /run/service/s6-svscan-log 1000003
service /run/service/ticker 1000004
service /run/service/ticker/log 1000005
/overlay/stage2 &
exec env -i PATH=/command:/usr/bin:/bin s6-svscan -- /run/service
"#;

const STAGE2: &str = r#"
for name in s6rc-oneshot-runner s6rc-fdholder main-hermes s6-linux-init-shutdownd s6-svscan-log ticker ticker/log; do
    until s6-svok "/run/service/$name"; do sleep 0.01; done
done
for hook in /etc/cont-init.d/*; do
    env -i s6-envdir -Lfn -- /run/s6/container_environment "$hook" || echo "$hook: exited with $?" >&2
done
: > /run/booted
"#;

/// Every service of s6's own.
const OWN: [&str; 4] = [
    "s6rc-oneshot-runner",
    "s6rc-fdholder",
    "s6-linux-init-shutdownd",
    "s6-svscan-log",
];

async fn booted(lab: &Lab, files: Tree) -> Result<Container, Failure> {
    let overlay = Tree::new()
        .directory("/overlay", 0o755)
        .script("/overlay/init", INIT)
        .script("/overlay/stage2", STAGE2);
    let spec = lab.container().entrypoint(["/overlay/init"]);
    let container = lab.start(spec.files(files.and(overlay))).await?;
    wait_booted(&container).await?;
    Ok(container)
}

async fn wait_booted(container: &Container) -> Result<(), Failure> {
    let booted = wait_for("the hooks have run", PATIENT, async || {
        let seen = container.exec(["test", "-e", "/run/booted"]).await?;
        Ok::<_, Failure>(Level::when(seen.code == 0, container.story().await))
    });
    booted.await?;
    let said = container.output().await?.err();
    assert!(!said.contains("exited with"), "{said}");
    Ok(())
}

fn done(what: &str, executed: &Executed) {
    let (out, err) = (&executed.stdout, &executed.stderr);
    assert_eq!(0, executed.code, "{what}: {out}{err}");
}

async fn must(container: &Container, words: &[&str]) -> Result<String, Failure> {
    let executed = talaria(container, words).await?;
    done(&words.join(" "), &executed);
    Ok(executed.stdout)
}

/// What root keeps for itself, as root sees it.
async fn own_services(container: &Container) -> Result<String, Failure> {
    let mut told = String::new();
    for name in OWN {
        let at = format!("/run/service/{name}");
        let places = ["", "/event", "/supervise", "/supervise/control"];
        let places: Vec<String> = places.iter().map(|it| format!("{at}{it}")).collect();
        let command = ["stat", "-L", "-c", "%n %U:%G %a"].map(str::to_owned);
        let stat = container
            .exec_root(command.into_iter().chain(places))
            .await?;
        done(name, &stat);
        told.push_str(&stat.stdout);
    }
    Ok(told)
}

#[test]
fn what_is_supervised_already_becomes_hermes_and_s6s_own_stays_roots() {
    on_base(async |lab| {
        let container = booted(lab, light_with_profiles()).await?;
        let look = "cd /run/service && stat -L -c '%n %U:%G %a' . .s6-svscan .s6-svscan/control .s6-svscan/lock";
        let told = container.exec_root(["sh", "-c", look]).await?.stdout;
        assert_eq!(
            ". root:hermes 1775\n.s6-svscan root:root 755\n.s6-svscan/control hermes:hermes 600\n\
             .s6-svscan/lock hermes:hermes 644\n",
            told
        );
        let made_by_root = "event hermes:hermes 3730\nsupervise hermes:hermes 755\n\
            supervise/control hermes:hermes 660\n";
        let seeded = format!("{made_by_root}supervise/event hermes:hermes 3730\n");
        for name in [
            "main-hermes",
            "ticker",
            "ticker/log",
            "gateway-coder",
            "gateway-coder/log",
            "gateway-default",
        ] {
            let look = format!(
                "cd /run/service/{name} && stat -c '%n %U:%G %a' event supervise supervise/control supervise/event"
            );
            let told = container.exec_root(["sh", "-c", &look]).await?.stdout;
            let is_seeded = name.starts_with("gateway-");
            let expected = if is_seeded { &seeded } else { made_by_root };
            assert_eq!(expected, told, "{name}");
        }

        let own = own_services(&container).await?;
        for line in own.lines() {
            assert!(line.contains(" root:root "), "{own}");
        }
        for name in OWN {
            for command in [["/command/s6-svc", "-d"], ["/command/s6-svstat", "-u"]] {
                let at = format!("/run/service/{name}");
                let tried = container.exec([command[0], command[1], &at]).await?;
                assert_eq!(111, tried.code, "{command:?} {name}: {}", tried.stdout);
            }
            let moved = format!("mv /run/service/{name} /run/service/moved");
            assert_ne!(0, container.shell(&moved).await?.code, "{name}");
        }
        for name in ["main-hermes", "ticker"] {
            let told = format!(
                "/command/s6-svc -wd -T 30000 -d /run/service/{name} && /command/s6-svc -wu -T 30000 -u /run/service/{name}"
            );
            done(name, &container.shell(&told).await?);
        }
        Ok(())
    });
}

#[test]
fn gateways_under_roots_supervisors_run_as_hermes_with_the_containers_environment() {
    on_base(async |lab| {
        let container = booted(lab, light_with_profiles()).await?;
        let pid = wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        wait_down(&container, "gateway-idle").await?;
        let whole = wait_for(
            "the gateway and its logger have become themselves",
            SOON,
            async || {
                let processes = container.processes().await?;
                let loggers = processes
                    .with_line("/command/s6-log 1 n10 s1000000 T /opt/data/logs/gateways/coder");
                let seen = (gateways(&processes, "coder").len(), loggers.len());
                Ok::<_, Failure>(Level::when(seen == (1, 1), processes.drawn()))
            },
        );
        whole.await?;
        let processes = container.processes().await?;
        let gateway = processes.get(pid).ok_or("the gateway is gone")?;
        assert_eq!(
            ([10_000; 4], [10_000; 4], 0),
            (gateway.uids, gateway.gids, gateway.capabilities)
        );
        let supervisor = processes.get(gateway.ppid).ok_or("no supervisor")?;
        assert_eq!(("s6-supervise", 0), (&*supervisor.comm, supervisor.uid()));
        let loggers =
            processes.with_line("/command/s6-log 1 n10 s1000000 T /opt/data/logs/gateways/coder");
        assert_eq!(10_000, loggers[0].uid());
        let environ = format!("tr '\\0' '\\n' < /proc/{pid}/environ");
        let environ = container.shell(&environ).await?.stdout;
        for variable in ["HERMES_HOME=/opt/data", "API_SERVER_PORT=9653"] {
            assert!(environ.lines().any(|line| line == variable), "{environ}");
        }
        let others = container
            .exec(["find", "/opt/data", "!", "-user", "hermes"])
            .await?;
        assert_eq!("", others.stdout);
        Ok(())
    });
}

#[test]
fn every_action_works_as_hermes_and_survives_a_restart() {
    on_base(async |lab| {
        let container = booted(lab, light_with_profiles()).await?;
        must(&container, &["profile", "create", "writer"]).await?;
        must(&container, &["gateway", "start", "-p", "writer", "--wait"]).await?;
        let first = wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        done("kill", &container.shell(&format!("kill -9 {first}")).await?);
        let back = wait_for("it is back", SOON, async || {
            let slot = slot(&container, Identity::Hermes, "gateway-writer").await?;
            Ok::<_, Failure>(Level::when(
                slot.is_some_and(|slot| slot.up && slot.pid != first),
                slot,
            ))
        });
        back.await?;
        let second = wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        must(
            &container,
            &["gateway", "restart", "-p", "writer", "--wait"],
        )
        .await?;
        let third = wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        assert_ne!(second, third);
        let rows = must(&container, &["gateway", "list"]).await?;
        let states: Vec<_> = rows
            .lines()
            .filter_map(|row| row.split_once('\t'))
            .map(|(name, rest)| (name, rest.split('\t').next().unwrap_or_default()))
            .collect();
        let expected = [
            ("default", "down"),
            ("coder", "up"),
            ("idle", "down"),
            ("writer", "up"),
        ];
        assert_eq!(expected, *states, "{rows}");
        let overview = must(&container, &["status"]).await?;
        let said: Vec<&str> = overview.lines().take(2).collect();
        assert_eq!(
            [
                "Manager: s6 (container supervisor)",
                "Caution: root scans /run/service: whatever the agent's user puts there runs as root"
            ],
            *said
        );
        must(&container, &["gateway", "stop", "-p", "coder", "--wait"]).await?;
        must(&container, &["health"]).await?;

        container.restart(GRACE).await?;
        wait_booted(&container).await?;
        wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        wait_down(&container, "gateway-coder").await?;
        let notes = lines(&container, Identity::Hermes, "/opt/data/notes-coder").await?;
        assert_eq!(["started 10000", "stopped"], *notes);

        must(&container, &["profile", "delete", "writer"]).await?;
        let left = container
            .shell("ls -Ad /run/service/*writer* /run/service/.*writer* /opt/data/profiles/writer 2> /dev/null")
            .await?;
        assert_eq!("", left.stdout);
        let processes = container.processes().await?;
        assert_eq!(0, gateways(&processes, "writer").len());
        Ok(())
    });
}

/// With our `s6-svscanctl`, which makes the agent's slots ours, and with s6's own, as s6-overlay
/// has it, under which they are the agent's.
#[rstest]
#[case::ours(Tree::new())]
#[case::s6s_own(Tree::new().symlink("/command/s6-svscanctl", "/usr/bin/s6-svscanctl"))]
fn the_agents_own_command_line_controls_its_gateways(#[case] files: Tree) {
    on_hermes(async |lab| {
        let container = booted(lab, files).await?;
        hermes(&container, &["profile", "create", "coder"]).await?;
        hermes(&container, &["-p", "coder", "gateway", "start"]).await?;
        let first = wait_running(&container, 0).await?;
        let gateway = container.processes().await?;
        let gateway = gateway.get(first).ok_or("the gateway is gone")?;
        assert_eq!(([10_000; 4], 0), (gateway.uids, gateway.capabilities));
        done("kill", &container.shell(&format!("kill -9 {first}")).await?);
        let second = wait_running(&container, first).await?;
        let told = hermes(&container, &["-p", "coder", "gateway", "status"]).await?;
        assert!(told.contains("Gateway is running"), "{told}");
        hermes(&container, &["-p", "coder", "gateway", "restart"]).await?;
        let third = wait_running(&container, second).await?;

        container.restart(GRACE).await?;
        wait_booted(&container).await?;
        wait_running(&container, 0).await?;
        hermes(&container, &["-p", "coder", "gateway", "stop"]).await?;
        wait_down(&container, "gateway-coder").await?;
        assert_ne!(second, third);

        hermes(&container, &["profile", "delete", "coder", "--yes"]).await?;
        let left = container
            .shell("ls -d /run/service/gateway-coder /opt/data/profiles/coder 2> /dev/null")
            .await?;
        assert_eq!("", left.stdout);
        Ok(())
    });
}
