//! Volumes that people come with: made by the agent as root, and full.

use std::time::Duration;

use docker_harness::{Container, Failure, Identity, Level, on_base, on_hermes, wait_for};

use crate::agent::{PATIENT, hermes};
use crate::common::{HOME, SOON, talaria, wait_down, wait_up};

/// The agent's own program, which stays root where root starts it.
const AGENT: &str = "/opt/hermes/.venv/bin/hermes";

/// Runs a script as root, with the home that the agent had as root.
async fn as_root(container: &Container, script: &str) -> Result<String, Failure> {
    let script = format!("export HERMES_HOME={HOME} HOME={HOME}; cd {HOME}; {script}");
    let done = container.exec_root(["sh", "-c", &script]).await?;
    let (out, err) = (&done.stdout, &done.stderr);
    assert_eq!(0, done.code, "{script}: {out}{err}");
    Ok(done.stdout)
}

/// Waits until the agent's own record of a profile's gateway says so.
async fn wait_state(container: &Container, profile: &str, state: &str) -> Result<(), Failure> {
    let path = format!("{HOME}/profiles/{profile}/gateway_state.json");
    let wanted = format!("\"gateway_state\":\"{state}\"");
    let says = wait_for(format!("{profile} says {state}"), PATIENT, async || {
        let read = container.exec_root(["cat", &path]).await?;
        let said: String = read
            .stdout
            .chars()
            .filter(|it| !it.is_whitespace())
            .collect();
        Ok::<_, Failure>(Level::when(said.contains(&wanted), read))
    });
    Ok(says.await?)
}

#[test]
fn a_volume_that_the_agent_made_as_root_comes_up_as_it_was() {
    on_hermes(async |lab| {
        let volume = lab.volume().await?;
        let before = lab
            .container()
            .volume_as_it_is(&volume, HOME)
            .entrypoint(["/bin/sleep"])
            .command(["infinity"]);
        let before = lab.start(before).await?;
        for profile in ["up", "halted", "idle"] {
            as_root(&before, &format!("{AGENT} profile create {profile}")).await?;
        }
        as_root(&before, "umask 077; echo KEY=canary > profiles/idle/.env").await?;
        for profile in ["up", "halted"] {
            let run = format!("{AGENT} -p {profile} gateway run > /tmp/{profile} 2>&1 &");
            as_root(&before, &run).await?;
        }
        wait_state(&before, "up", "running").await?;
        wait_state(&before, "halted", "running").await?;
        as_root(&before, &format!("{AGENT} -p halted gateway stop")).await?;
        wait_state(&before, "halted", "stopped").await?;
        let owners = as_root(&before, "find . -printf '%u\\n' | sort -u").await?;
        assert_eq!("root\n", owners);
        let secrets = "find . -type f -perm 0600 ! -name '*heartbeat*' ! -name 'ticker*' -printf '%P\\n' | sort";
        let secret = as_root(&before, secrets).await?;
        assert!(
            secret.contains("profiles/idle/.env\n")
                && secret.contains("profiles/up/gateway_state.json\n"),
            "{secret}"
        );
        before.kill("SIGKILL").await?;
        before.wait(SOON).await?;

        let after = lab.container().volume(&volume, HOME);
        let after = lab.start(after.command(["sleep", "infinity"])).await?;
        let pid = wait_up(&after, Identity::Hermes, "gateway-up").await?;
        for name in ["gateway-halted", "gateway-idle", "gateway-default"] {
            wait_down(&after, name).await?;
        }
        let running = wait_for("the gateway says that it runs", PATIENT, async || {
            let path = format!("{HOME}/profiles/up/gateway_state.json");
            let read = after.exec(["cat", &path]).await?.stdout;
            Ok::<_, Failure>(Level::when(read.contains(&format!("\"pid\":{pid},")), read))
        });
        running.await?;
        let process = after.processes().await?;
        let process = process.get(pid).ok_or("the gateway is gone")?;
        assert_eq!([10_000; 4], process.uids);
        let status = talaria(&after, &["gateway", "list"]).await?;
        let up = status.stdout.lines().find(|row| row.starts_with("up\t"));
        // It came up at once, and did not have to be started twice.
        assert_eq!(
            Some("0"),
            up.and_then(|row| row.split('\t').nth(4)),
            "{status:?}"
        );
        let log = after
            .exec(["cat", "/opt/data/logs/container-boot.log"])
            .await?
            .stdout;
        for line in [
            "profile=halted prior_state=stopped action=registered",
            "profile=up prior_state=running action=started",
        ] {
            assert!(log.contains(line), "{log}");
        }
        let others = after
            .exec([
                "find", HOME, "!", "-user", "hermes", "-o", "!", "-group", "hermes",
            ])
            .await?;
        assert_eq!("", others.stdout);
        let still = format!("cd {HOME} && {secrets}");
        let still = after.shell(&still).await?.stdout;
        for path in secret.lines() {
            assert!(still.lines().any(|it| it == path), "{path}: {still}");
        }
        let told = hermes(&after, &["profile", "list"]).await?;
        assert!(told.contains("halted") && told.contains("idle"), "{told}");
        Ok(())
    });
}

#[test]
fn a_profile_that_root_made_meanwhile_starts_at_the_next_boot() {
    on_base(async |lab| {
        let spec = lab.container().files(crate::common::light());
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        wait_down(&container, "gateway-default").await?;
        let make = "umask 077; mkdir -p profiles/coder/sessions; cd profiles/coder; echo soul > SOUL.md; \
            echo '{\"desired_state\":\"running\"}' > gateway_state.json; echo KEY=canary > .env";
        as_root(&container, make).await?;
        container.restart(Duration::from_secs(20)).await?;
        // What the boot needs is healed before it goes on, so that nothing has to be tried twice.
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let log = container
            .exec(["cat", "/opt/data/logs/container-boot.log"])
            .await?
            .stdout;
        assert!(
            log.contains("profile=coder prior_state=running action=started"),
            "{log}"
        );
        let modes = "cd /opt/data/profiles/coder && stat -c '%n %U:%G %a' . .env SOUL.md gateway_state.json";
        assert_eq!(
            ". hermes:hermes 700\n.env hermes:hermes 600\nSOUL.md hermes:hermes 600\n\
             gateway_state.json hermes:hermes 600\n",
            container.shell(modes).await?.stdout
        );
        Ok(())
    });
}

#[test]
fn thousands_of_files_that_root_left_deep_are_healed_soon_and_delay_nothing() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let spec = lab.container().volume(&volume, HOME);
        let first = lab.start(spec.command(["sleep", "infinity"])).await?;
        wait_main(&first).await?;
        let make =
            "for d in $(seq 50); do mkdir -p a/b/$d; (cd a/b/$d; seq 100 | xargs touch); done";
        as_root(&first, make).await?;
        first.stop(SOON).await?;

        let spec = lab.container().volume(&volume, HOME);
        let second = lab.start(spec.command(["sleep", "infinity"])).await?;
        let healed = wait_for("the sweep has passed", SOON, async || {
            let left = second
                .shell("find /opt/data ! -user hermes | wc -l")
                .await?;
            Ok::<_, Failure>(Level::when(left.stdout == "0\n", left))
        });
        healed.await?;
        let said = second.output().await?.err();
        assert_eq!("", said);
        Ok(())
    });
}

/// Waits until the container's main program runs.
async fn wait_main(container: &Container) -> Result<(), Failure> {
    let runs = wait_for("the main program runs", SOON, async || {
        let processes = container.processes().await?;
        let main = processes.with_line("sleep infinity");
        Ok::<_, Failure>(Level::when(!main.is_empty(), processes.drawn()))
    });
    Ok(runs.await?)
}
