//! A real gateway's whole life, by either command line: its own, `hermes`, and ours, `talaria`.

use std::time::{Duration, Instant};

use docker_harness::{Container, Failure, Identity, Lab, Level, Spec, on_hermes, wait_for};
use rstest::rstest;

use crate::common::{slot, talaria, wait_down};

/// An interpreter with a hundred imports takes its time on two busy cores.
const PATIENT: Duration = Duration::from_mins(2);

/// Within which a gateway that was killed has a process again.
const BACK: Duration = Duration::from_secs(2);

/// Who does something to a profile or its gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Ours,
    Theirs,
}

impl By {
    /// Runs a command that has to work.
    async fn must(self, container: &Container, words: &[&str]) -> Result<String, Failure> {
        let program = match self {
            Self::Ours => "talaria",
            Self::Theirs => "hermes",
        };
        let done = container
            .exec([program].iter().chain(words).copied())
            .await?;
        assert_eq!(
            0, done.code,
            "{program} {words:?}: {}{}",
            done.stdout, done.stderr
        );
        Ok(done.stdout)
    }

    async fn create(self, container: &Container, profile: &str) -> Result<String, Failure> {
        self.must(container, &["profile", "create", profile]).await
    }

    async fn gateway(
        self,
        container: &Container,
        act: &str,
        profile: &str,
    ) -> Result<String, Failure> {
        match self {
            Self::Ours => self.must(container, &["gateway", act, "-p", profile]).await,
            Self::Theirs => self.must(container, &["-p", profile, "gateway", act]).await,
        }
    }

    async fn delete(self, container: &Container, profile: &str) -> Result<String, Failure> {
        match self {
            Self::Ours => self.must(container, &["profile", "delete", profile]).await,
            Self::Theirs => {
                self.must(container, &["profile", "delete", profile, "--yes"])
                    .await
            }
        }
    }
}

/// A container whose tree can be spoken to.
async fn running(lab: &Lab, spec: Spec) -> Result<Container, Failure> {
    let container = lab.start(spec.command(["sleep", "infinity"])).await?;
    wait_down(&container, "gateway-default").await?;
    Ok(container)
}

/// Waits until a profile's gateway says of itself that it runs, as another process than `not`.
async fn wait_serving(container: &Container, profile: &str, not: u32) -> Result<u32, Failure> {
    let home = match profile {
        "default" => "/opt/data".to_owned(),
        name => format!("/opt/data/profiles/{name}"),
    };
    let serving = wait_for(
        format!("the gateway of {profile} serves"),
        PATIENT,
        async || {
            let slot = slot(container, Identity::Hermes, &format!("gateway-{profile}")).await?;
            let path = format!("{home}/gateway_state.json");
            let state = container.exec(["cat", &path]).await?.stdout;
            let pid = slot
                .filter(|slot| slot.up && slot.pid != not)
                .map(|slot| slot.pid)
                .filter(|pid| state.contains(&format!("\"pid\":{pid},")));
            let serves = state.contains("\"gateway_state\":\"running\"");
            Ok::<_, Failure>(match pid {
                Some(pid) if serves => Level::Holds(pid),
                _ => Level::Not(format!("{slot:?} {state}")),
            })
        },
    );
    Ok(serving.await?)
}

/// The environment of a process, as `NAME=value` lines.
async fn environ(container: &Container, pid: u32) -> Result<Vec<String>, Failure> {
    let script = format!("tr '\\0' '\\n' < /proc/{pid}/environ");
    let read = container.shell(&script).await?;
    Ok(read.stdout.lines().map(str::to_owned).collect())
}

/// The values of a variable; more than one would be nobody's to choose from.
fn values<'a>(environ: &'a [String], name: &str) -> Vec<&'a str> {
    let named = environ.iter().filter_map(|line| line.split_once('='));
    named
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value)
        .collect()
}

/// Whether somebody listens on this port of the container's.
async fn listens(container: &Container, port: u16) -> Result<bool, Failure> {
    let table = container.exec(["cat", "/proc/net/tcp"]).await?.stdout;
    let place = format!(":{port:04X} 00000000:0000 0A ");
    Ok(table.lines().any(|line| line.contains(&place)))
}

/// Has a profile's gateway serve its API, on a port of its own where one is given.
async fn serve_api(container: &Container, profile: &str, port: Option<u16>) -> Result<(), Failure> {
    let port = port.map_or_else(String::new, |port| format!("API_SERVER_PORT={port}\\n"));
    let script = format!(
        "umask 077; printf 'API_SERVER_ENABLED=true\\nAPI_SERVER_KEY=0123456789abcdef0123456789abcdef\\n{port}' > /opt/data/profiles/{profile}/.env"
    );
    assert_eq!(0, container.shell(&script).await?.code);
    Ok(())
}

#[test]
fn a_real_gateway_is_made_started_killed_stopped_and_deleted() {
    on_hermes(async |lab| {
        let spec = lab.container().env("TELEGRAM_BOT_TOKEN", "canary");
        let container = running(lab, spec).await?;
        let before = "cd / && find opt/data run -name '*coder*' -o -name '*writer*'";
        assert_eq!("", container.shell(before).await?.stdout);
        let profiles = [("coder", None, 9653), ("writer", Some(9777), 9777)];
        for (profile, own, _) in profiles {
            By::Ours.create(&container, profile).await?;
            wait_down(&container, &format!("gateway-{profile}")).await?;
            serve_api(&container, profile, own).await?;
            By::Ours.gateway(&container, "start", profile).await?;
        }
        let mut pids = Vec::new();
        for (profile, _, port) in profiles {
            let pid = wait_serving(&container, profile, 0).await?;
            let environ = environ(&container, pid).await?;
            for (name, value) in [
                ("HERMES_HOME", "/opt/data"),
                ("HOME", "/opt/data"),
                ("HERMES_S6_SUPERVISED_CHILD", "1"),
                ("API_SERVER_PORT", &port.to_string()),
            ] {
                assert_eq!([value], *values(&environ, name), "{profile}: {name}");
            }
            assert!(
                !environ.iter().any(|line| line.contains("canary")),
                "{environ:?}"
            );
            let processes = container.processes().await?;
            let gateway = processes.get(pid).ok_or("the gateway is gone")?;
            assert_eq!(
                ([10_000; 4], [10_000; 4], 0),
                (gateway.uids, gateway.gids, gateway.capabilities)
            );
            let serves = wait_for(format!("{port} is served"), PATIENT, async || {
                let so = listens(&container, port).await?;
                Ok::<_, Failure>(Level::when(so, container.output().await?.out()))
            });
            serves.await?;
            let log = format!("/opt/data/logs/gateways/{profile}/current");
            let kept = container.exec(["cat", &log]).await?.stdout;
            assert!(kept.contains("Hermes Gateway Starting"), "{kept}");
            pids.push(pid);
        }
        // The main program has the token, so it could have been handed on.
        let main = "tr '\\0' '\\n' < /proc/$(pgrep -x sleep | head -n 1)/environ | grep -c canary";
        assert_eq!("1\n", container.shell(main).await?.stdout);
        let said = container.output().await?.out();
        assert_eq!(2, said.matches("Hermes Gateway Starting").count(), "{said}");

        // Killed, and back.
        container.shell(&format!("kill -9 {}", pids[0])).await?;
        let killed = Instant::now();
        let back = wait_for("there is another process", PATIENT, async || {
            let slot = slot(&container, Identity::Hermes, "gateway-coder").await?;
            let other = slot.filter(|slot| slot.up && slot.pid != pids[0]);
            Ok::<_, Failure>(Level::when(other.is_some(), slot))
        });
        back.await?;
        let took = killed.elapsed();
        println!("a killed gateway was back after {took:?}");
        assert!(took < BACK, "{took:?}");
        wait_serving(&container, "coder", pids[0]).await?;

        // Stopped, and stays so.
        By::Ours.gateway(&container, "stop", "coder").await?;
        wait_down(&container, "gateway-coder").await?;
        container.restart(PATIENT).await?;
        wait_serving(&container, "writer", 0).await?;
        wait_down(&container, "gateway-coder").await?;

        // Deleted, one at work and one at rest, and nothing is left.
        for (profile, _, port) in profiles {
            By::Ours.delete(&container, profile).await?;
            let processes = container.processes().await?;
            let left = processes.iter().filter(|it| it.line().contains(profile));
            assert_eq!(0, left.count(), "{}", processes.drawn());
            assert!(!listens(&container, port).await?, "{port}");
        }
        assert_eq!("", container.shell(before).await?.stdout);
        Ok(())
    });
}

/// What either makes is whole for the other, which does all that can be done to it.
#[rstest]
#[case::theirs_is_ours(By::Theirs, By::Ours)]
#[case::ours_is_theirs(By::Ours, By::Theirs)]
fn a_profile_of_eithers_is_the_others_to_work_with(#[case] one: By, #[case] other: By) {
    on_hermes(async |lab| {
        let container = running(lab, lab.container()).await?;
        one.create(&container, "coder").await?;
        wait_down(&container, "gateway-coder").await?;
        for by in [one, other] {
            let listed = by.must(&container, &["profile", "list"]).await?;
            assert!(listed.contains("coder"), "{by:?}: {listed}");
        }
        // Start by one, look and restart by the other, and stop by the first; then the other way.
        let mut last = 0;
        for (first, second) in [(one, other), (other, one)] {
            first.gateway(&container, "start", "coder").await?;
            let pid = wait_serving(&container, "coder", last).await?;
            let (ours, theirs) = (
                By::Ours.gateway(&container, "status", "coder").await?,
                By::Theirs.gateway(&container, "status", "coder").await?,
            );
            assert!(
                ours.contains(&format!("\nState:     up (pid {pid})")),
                "{ours}"
            );
            assert!(theirs.contains("Gateway is running"), "{theirs}");
            second.gateway(&container, "restart", "coder").await?;
            let next = wait_serving(&container, "coder", pid).await?;
            first.gateway(&container, "stop", "coder").await?;
            wait_down(&container, "gateway-coder").await?;
            assert!(container.processes().await?.get(next).is_none());
            last = next;
        }
        // Whoever started it last, it comes back; and the port is the one that its name gives.
        other.gateway(&container, "start", "coder").await?;
        wait_serving(&container, "coder", last).await?;
        container.restart(PATIENT).await?;
        let pid = wait_serving(&container, "coder", 0).await?;
        let environ = environ(&container, pid).await?;
        assert_eq!(["9653"], *values(&environ, "API_SERVER_PORT"));
        assert_eq!(["/opt/data"], *values(&environ, "HERMES_HOME"));

        // Deleted while it runs, by whoever did not make it; and it can be made again.
        other.delete(&container, "coder").await?;
        let left = "ls -d /run/service/*coder* /run/service/.*coder* /opt/data/profiles/coder 2> /dev/null; true";
        assert_eq!("", container.shell(left).await?.stdout);
        assert!(container.processes().await?.get(pid).is_none());
        other.create(&container, "coder").await?;
        one.gateway(&container, "start", "coder").await?;
        wait_serving(&container, "coder", pid).await?;
        one.delete(&container, "coder").await?;
        assert_eq!("", container.shell(left).await?.stdout);
        Ok(())
    });
}

#[test]
fn a_container_for_the_real_gateway_comes_back_with_it_and_obeys_both() {
    on_hermes(async |lab| {
        let container = lab
            .start(lab.container().command(["gateway", "run"]))
            .await?;
        let first = wait_serving(&container, "default", 0).await?;
        container.restart(PATIENT).await?;
        let second = wait_for("it has started once more", PATIENT, async || {
            let log = container
                .exec([
                    "grep",
                    "-c",
                    "action=started",
                    "/opt/data/logs/container-boot.log",
                ])
                .await?;
            Ok::<_, Failure>(Level::when(log.stdout == "2\n", log))
        });
        second.await?;
        let pid = wait_serving(&container, "default", 0).await?;
        println!("the gateway was {first}, and is {pid} in the next life");
        // `gateway run` in a container that has it already leads to the one that is there.
        let stopped = container.exec(["hermes", "gateway", "stop"]).await?;
        assert_eq!(0, stopped.code, "{}{}", stopped.stdout, stopped.stderr);
        wait_down(&container, "gateway-default").await?;
        assert!(
            container.state().await?.running,
            "an operator's stop is no failure"
        );
        container.restart(PATIENT).await?;
        wait_down(&container, "gateway-default").await?;
        let started = talaria(&container, &["gateway", "start", "--wait=60"]).await?;
        assert_eq!(0, started.code, "{}", started.stderr);
        wait_serving(&container, "default", 0).await?;
        Ok(())
    });
}
