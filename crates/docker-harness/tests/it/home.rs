//! The agent's home: filled on a first boot, left alone afterwards, and the agent's own throughout.

use docker_harness::{Container, Failure, Identity, Lab, Level, on_base, on_hermes, wait_for};
use rstest::rstest;

use crate::common::{HOME, SOON, kill_and_start, profile, quiet, wait_main};

/// Name, mode and owner of everything in the home, with the times at which it changed.
const LIST: &str = "find /opt/data -printf '%P %m %U:%G %T@ %C@\\n' | sort";

async fn booted(lab: &Lab, spec: docker_harness::Spec) -> Result<Container, Failure> {
    let container = lab.start(spec).await?;
    wait_main(&container).await?;
    Ok(container)
}

#[test]
fn a_first_boot_fills_the_home_and_keeps_secrets_to_itself() {
    on_hermes(async |lab| {
        let spec = lab
            .container()
            .env("HERMES_AUTH_JSON_BOOTSTRAP", "{\"token\":\"canary\"}")
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .command(["sleep", "1000"]);
        let container = booted(lab, spec).await?;
        let script = "cd /opt/data; stat -c '%n %a %U:%G' .env auth.json backups config.yaml cron gateway_state.json home hooks \
            lazy-packages logs logs/gateways memories pairing plans profiles sessions skills skins workspace";
        let listed = container.shell(script).await?.stdout;
        let expected = "\
            .env 600 hermes:hermes\nauth.json 600 hermes:hermes\nbackups 755 hermes:hermes\nconfig.yaml 640 hermes:hermes\n\
            cron 755 hermes:hermes\ngateway_state.json 600 hermes:hermes\nhome 755 hermes:hermes\nhooks 755 hermes:hermes\n\
            lazy-packages 755 hermes:hermes\nlogs 755 hermes:hermes\nlogs/gateways 755 hermes:hermes\n\
            memories 755 hermes:hermes\npairing 755 hermes:hermes\nplans 755 hermes:hermes\nprofiles 755 hermes:hermes\n\
            sessions 755 hermes:hermes\nskills 755 hermes:hermes\nskins 755 hermes:hermes\nworkspace 755 hermes:hermes\n";
        // The agent itself tightens some of these once its gateway runs, which this test does not wait for.
        let modes = |text: &str| {
            let tightened = |line: &str| line.replace(" 700 ", " 755 ");
            text.lines().map(tightened).collect::<Vec<_>>()
        };
        assert_eq!(modes(&listed), modes(expected));
        let soul = container.shell("test -s /opt/data/SOUL.md").await?;
        assert_eq!(soul.code, 0);
        let auth = container.exec(["cat", "/opt/data/auth.json"]).await?;
        assert_eq!(auth.stdout, "{\"token\":\"canary\"}");
        Ok(())
    });
}

#[test]
fn a_second_boot_writes_nothing_but_its_logs() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let files = quiet()
            .and(profile(HOME, 10_000, "coder", "running"))
            .and(profile(HOME, 10_000, "idle", "stopped"));
        let spec = lab
            .container()
            .files(files)
            .volume(&volume, HOME)
            .env("HERMES_AUTH_JSON_BOOTSTRAP", "canary")
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .command(["sleep", "1000"]);
        let container = booted(lab, spec).await?;
        // Both gateways have what they make for themselves: a port, and its lock.
        let settled = async || {
            let gateways = wait_for("both gateways run", SOON, async || {
                let processes = container.processes().await?;
                let running = processes.with_line("sleep 1000000").len();
                Ok::<_, Failure>(Level::when(running == 2, processes.drawn()))
            });
            gateways.await
        };
        settled().await?;
        // The boot's own log; and what s6-log does to its lock and log, and to the directory they are in.
        let quiet = |text: &str| {
            let noisy = |line: &&str| {
                let name = line.split(' ').next().unwrap_or_default();
                name == "logs/container-boot.log" || name.starts_with("logs/gateways/")
            };
            let kept = text.lines().filter(|line| !noisy(line));
            kept.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = container.shell(LIST).await?.stdout;
        for boot in ["restart", "kill"] {
            if boot == "kill" {
                kill_and_start(&container).await?;
            } else {
                container.restart(SOON).await?;
            }
            wait_main(&container).await?;
            settled().await?;
            let after = container.shell(LIST).await?.stdout;
            assert_eq!(quiet(&before), quiet(&after), "{boot}");
        }
        assert!(quiet(&before).len() > 25, "{before}");
        Ok(())
    });
}

#[test]
fn what_is_in_the_home_already_is_not_replaced() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let first = lab
            .container()
            .volume(&volume, HOME)
            .shell("echo mine > .env; echo mine > auth.json; chmod 644 .env");
        assert_eq!(lab.run(first, SOON).await?.code, 0);
        let second = lab
            .container()
            .volume(&volume, HOME)
            .env("HERMES_AUTH_JSON_BOOTSTRAP", "theirs")
            .shell("cat .env auth.json; stat -c %a .env");
        let ended = lab.run(second, SOON).await?;
        assert_eq!(
            (ended.code, ended.output.out()),
            (0, "mine\nmine\n644\n".to_owned())
        );
        Ok(())
    });
}

#[rstest]
#[case::own(&[("HERMES_UID", "99"), ("HERMES_GID", "100")], "99:100\n99:100\n")]
#[case::alias(&[("PUID", "1000"), ("PGID", "1000")], "1000:1000\n1000:1000\n")]
#[case::own_wins(&[("HERMES_UID", "99"), ("PUID", "1000"), ("HERMES_GID", "100"), ("PGID", "1000")], "99:100\n99:100\n")]
#[case::a_group_that_is_there(&[("HERMES_GID", "20")], "10000:20\n10000:20\n")]
fn the_agents_user_has_the_ids_that_were_asked_for(
    #[case] variables: &[(&str, &str)],
    #[case] expected: &str,
) {
    on_base(async |lab| {
        let spec = lab
            .container()
            .shell("echo $(id -u):$(id -g); touch new; stat -c %u:%g new");
        let spec = variables
            .iter()
            .fold(spec, |spec, (name, value)| spec.env(name, value));
        let ended = lab.run(spec, SOON).await?;
        assert_eq!((ended.code, ended.output.out()), (0, expected.to_owned()));
        Ok(())
    });
}

#[test]
fn other_ids_under_a_read_only_root_stop_the_boot() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .read_only()
            .tmpfs("/run", "rw,noexec,nosuid,size=64m")
            .env("PUID", "1000")
            .shell("echo ran");
        let ended = lab.run(spec, SOON).await?;
        assert_eq!((ended.code, ended.output.out()), (78, String::new()));
        Ok(())
    });
}

#[test]
fn what_the_agent_owned_follows_it_and_nothing_else_does() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let make = "mkdir -p a/b; echo x > a/b/f; ln -s /etc/passwd a/link; echo y > a/one; ln a/one a/two";
        assert_eq!(
            lab.run(lab.container().volume(&volume, HOME).shell(make), SOON)
                .await?
                .code,
            0
        );
        let foreign = lab
            .container()
            .volume(&volume, HOME)
            .entrypoint(["/bin/sh"])
            .command([
                "-c",
                "echo z > /opt/data/a/theirs; chown 1234:1234 /opt/data/a/theirs",
            ]);
        assert_eq!(lab.run(foreign, SOON).await?.code, 0);
        let look = "stat -c '%n %u:%g' . a a/b a/b/f a/link a/one a/two a/theirs; stat -c %u:%g /etc/passwd";
        let spec = lab
            .container()
            .volume(&volume, HOME)
            .env("PUID", "99")
            .env("PGID", "100")
            .shell(look);
        let ended = lab.run(spec, SOON).await?;
        let expected = ". 99:100\na 99:100\na/b 99:100\na/b/f 99:100\na/link 10000:10000\na/one 10000:10000\n\
            a/two 10000:10000\na/theirs 1234:1234\n0:0\n";
        assert_eq!(ended.output.out(), expected);
        let said = ended.output.err();
        let expected = "talaria: /opt/data: 3 links and special files keep their owner, uid 10000, the first of them a/";
        assert!(
            said.starts_with(expected) && said.lines().count() == 1,
            "{said}"
        );
        Ok(())
    });
}

#[test]
fn what_root_left_deep_in_the_home_is_the_agents_soon() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let spec = lab
            .container()
            .volume(&volume, HOME)
            .command(["sleep", "1000"]);
        let container = booted(lab, spec).await?;
        let make = "mkdir -p /opt/data/deep/er; echo x > /opt/data/deep/er/f; ln -s /etc/passwd /opt/data/deep/link";
        container.exec_root(["/bin/sh", "-c", make]).await?;
        container
            .restart(std::time::Duration::from_secs(10))
            .await?;
        let healed = wait_for("the sweep has passed", SOON, async || {
            let look = "stat -c %u:%g /opt/data/deep /opt/data/deep/er /opt/data/deep/er/f";
            let told = container.shell(look).await?.stdout;
            Ok::<_, Failure>(Level::when(
                told == "10000:10000\n10000:10000\n10000:10000\n",
                told,
            ))
        });
        healed.await?;
        let target = container
            .exec(["stat", "-c", "%u:%g", "/etc/passwd"])
            .await?;
        assert_eq!(target.stdout, "0:0\n");
        Ok(())
    });
}

#[test]
fn a_named_profiles_gateway_has_its_own_port_and_no_token_of_the_default_profile() {
    on_hermes(async |lab| {
        let files = crate::common::profile(HOME, 10_000, "coder", "running");
        let spec = lab
            .container()
            .files(files)
            .env("TELEGRAM_BOT_TOKEN", "canary")
            .env("LANG", "C.UTF-8")
            .command(["sleep", "1000"]);
        let container = booted(lab, spec).await?;
        let pid = crate::common::wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let environment = wait_for("the gateway has its environment", SOON, async || {
            let path = format!("/proc/{pid}/environ");
            let read = container
                .shell(&format!("tr '\\0' '\\n' < {path}"))
                .await?
                .stdout;
            let exec = read.contains("HERMES_S6_SUPERVISED_CHILD=1");
            Ok::<_, Failure>(if exec {
                Level::Holds(read)
            } else {
                Level::Not(read)
            })
        });
        let environment = environment.await?;
        let value = |name: &str| {
            let prefix = format!("{name}=");
            environment
                .lines()
                .find_map(|line| line.strip_prefix(&prefix))
                .map(str::to_owned)
        };
        assert_eq!(value("API_SERVER_PORT").as_deref(), Some("9653"));
        assert_eq!(value("TELEGRAM_BOT_TOKEN"), None);
        assert_eq!(value("LANG").as_deref(), Some("C.UTF-8"));
        assert_eq!(value("HOME").as_deref(), Some(HOME));
        assert_eq!(value("HERMES_HOME").as_deref(), Some(HOME));
        Ok(())
    });
}
