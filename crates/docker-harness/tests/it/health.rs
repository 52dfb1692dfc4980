//! Health, as probes see it: which containers are well, and which gateways keep failing.

use std::time::Duration;

use docker_harness::{Container, Failure, Identity, Level, Tree, on_base, on_hermes, wait_for};

use crate::common::{AGENT_TOML, GATEWAY, SOON, light, lines, talaria, wait_down, wait_up};
use crate::dashboard::light_with_dashboard;
use crate::profile::running;

/// A gateway whose profile says how it ends: `bad` says that it is badly configured, `crash`
/// crashes at once, `done` ends by itself with 0 when it is told to.
fn moody() -> Tree {
    let start = "profile=$1\necho run >> \"$HERMES_HOME/runs-$profile\"\n\
                 case $profile in bad) echo 'no token'; exit 78;; crash) exit 1;; esac\n";
    Tree::new().file(
        "/opt/light/gateway",
        0o755,
        GATEWAY.replace("profile=$1\n", start),
    )
}

async fn start(container: &Container, profile: &str) -> Result<(), Failure> {
    for words in [
        ["profile", "create", profile].as_slice(),
        &["gateway", "start", "-p", profile],
    ] {
        let done = talaria(container, words).await?;
        assert_eq!(0, done.code, "{}", done.stderr);
    }
    Ok(())
}

async fn wait_health(container: &Container, expected: &str) -> Result<(), Failure> {
    let same = wait_for(format!("the engine says {expected}"), SOON, async || {
        let health = container.state().await?.health;
        Ok::<_, Failure>(Level::when(health.as_deref() == Some(expected), health))
    });
    Ok(same.await?)
}

#[test]
fn a_gateway_that_crashes_at_once_backs_off_and_is_told() {
    on_base(async |lab| {
        let container = running(lab, moody()).await?;
        start(&container, "crash").await?;
        let told = wait_for("status says that it backs off", SOON, async || {
            let said = talaria(&container, &["gateway", "list"]).await?;
            Ok::<_, Failure>(Level::when(
                said.stdout.contains("crash\tbacking-off\t"),
                said,
            ))
        });
        told.await?;
        container
            .says("talaria: it keeps crashing: trying again in 4 s", SOON)
            .await?;
        // Ten starts would take a second each without it; with it the tenth is minutes away.
        let runs = lines(&container, Identity::Hermes, "/opt/data/runs-crash").await?;
        assert!((4..10).contains(&runs.len()), "{runs:?}");
        let health = talaria(&container, &["health"]).await?;
        assert_eq!(
            (
                1,
                "talaria: gateway of profile crash: keeps failing, its last exit: 1\n\
                 hint: talaria gateway logs -p crash; then talaria gateway start -p crash\n"
            ),
            (health.code, &*health.stderr)
        );
        let doctor = talaria(&container, &["doctor"]).await?;
        let bad = "bad\tgateways\tprofile crash: keeps failing, its last exit: 1\t\
                   /opt/data/logs/gateways/crash/current says why";
        assert!(
            doctor.code == 1 && doctor.stdout.contains(bad),
            "{}",
            doctor.stdout
        );
        Ok(())
    });
}

#[test]
fn a_badly_configured_gateway_is_parked_with_one_line_and_a_stopped_one_stays_down() {
    on_base(async |lab| {
        let container = running(lab, moody()).await?;
        start(&container, "bad").await?;
        let line = "talaria: gateway of profile bad: parked, it exited with 78 (bad configuration); \
                    mend it, then start it again";
        container.says(line, SOON).await?;
        wait_down(&container, "gateway-bad").await?;
        start(&container, "good").await?;
        wait_up(&container, Identity::Hermes, "gateway-good").await?;
        // Its handler answers before it is asked to end.
        let note = "until grep -q started notes-good; do sleep 0.01; done";
        container.shell(note).await?;
        let stop = ["gateway", "stop", "-p", "good", "--wait"];
        assert_eq!(0, talaria(&container, &stop).await?.code);
        wait_down(&container, "gateway-good").await?;
        let json = talaria(&container, &["gateway", "status", "-p", "good", "--json"]).await?;
        assert!(
            json.stdout.contains("\"state\": \"down\""),
            "{}",
            json.stdout
        );
        // Neither has been started a second time, and the one line was said once.
        let output = container.output().await?;
        let all = output.out() + &output.err();
        assert_eq!(1, all.matches(line).count(), "{all}");
        for profile in ["bad", "good"] {
            let runs = lines(
                &container,
                Identity::Hermes,
                &format!("/opt/data/runs-{profile}"),
            )
            .await?;
            assert_eq!(["run"], *runs, "{profile}");
        }
        Ok(())
    });
}

#[test]
fn the_engine_tells_a_container_from_one_whose_gateway_is_parked() {
    on_hermes(async |lab| {
        let spec = lab
            .container()
            .files(
                light()
                    .and(moody())
                    .file("/etc/talaria/agent.toml", 0o644, AGENT_TOML),
            )
            .command(["sleep", "infinity"])
            .probed_every(Duration::from_millis(300));
        let container = lab.start(spec).await?;
        wait_down(&container, "gateway-default").await?;
        wait_health(&container, "healthy").await?;
        start(&container, "bad").await?;
        wait_health(&container, "unhealthy").await?;
        talaria(&container, &["gateway", "stop", "-p", "bad"]).await?;
        wait_health(&container, "healthy").await?;
        Ok(())
    });
}

#[test]
fn a_container_whose_command_is_the_dashboard_is_well_while_that_answers() {
    on_hermes(async |lab| {
        let home = lab.volume().await?;
        let spec = lab
            .container()
            .files(light_with_dashboard())
            .volume(&home, "/opt/data")
            .command(["dashboard", "--host", "0.0.0.0", "--port", "9300"])
            .probed_every(Duration::from_millis(300));
        let container = lab.start(spec).await?;
        wait_health(&container, "healthy").await?;
        let said = talaria(&container, &["health"]).await?;
        assert_eq!("healthy: the dashboard answers on port 9300\n", said.stdout);
        // It has no slots: gateways of that home are another container's.
        assert_eq!("", container.shell("ls /run/service").await?.stdout);
        let status = talaria(&container, &["status"]).await?;
        assert!(
            status
                .stdout
                .ends_with("\n\n[dashboard]\tup\t-\t-\t-\t9300\t-\n"),
            "{}",
            status.stdout
        );
        let doctor = talaria(&container, &["doctor"]).await?;
        assert_eq!(0, doctor.code, "{}", doctor.stdout);
        // A dashboard that hangs does not end its container.
        container
            .shell("pkill -STOP -f /opt/light/[d]ashboard")
            .await?;
        container
            .shell("pkill -9 -f /opt/light/[d]ashboard")
            .await?;
        assert_eq!(137, container.wait(SOON).await?);
        Ok(())
    });
}
