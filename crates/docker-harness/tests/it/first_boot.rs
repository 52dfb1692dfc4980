//! A first boot, on every kind of volume; and that its secrets are nobody else's at any moment.

use std::os::unix::fs::{PermissionsExt as _, chown};

use bollard::query_parameters::InspectContainerOptions;
use docker_harness::{Container, Failure, Lab, Spec, on_base, on_hermes};
use rstest::rstest;

use crate::common::{HOME, SOON, light, messages, profile, wait_main, wait_up};

/// Stands for a secret, and is nowhere else.
const CANARY: &str = "canary-5f0c1e7a";

/// What the home is on.
#[derive(Debug, Clone, Copy)]
enum Volume {
    /// Nothing but the container's own layer and the image's anonymous volume.
    Anonymous,
    /// A named volume, which the engine fills from the image.
    Named,
    /// A named volume that stays root's and empty.
    Bare,
    /// A directory of this machine that belongs to somebody else.
    Bind(u32),
}

impl Volume {
    async fn mount(self, lab: &Lab, spec: Spec, at: &str) -> Result<Spec, Failure> {
        Ok(match self {
            Self::Anonymous => spec,
            Self::Named => spec.volume(&lab.volume().await?, at),
            Self::Bare => spec.volume_as_it_is(&lab.volume().await?, at),
            Self::Bind(uid) => spec.bind_writable(&foreign(lab, uid)?, at),
        })
    }
}

/// An empty directory of this machine that belongs to `uid`.
fn foreign(lab: &Lab, uid: u32) -> Result<std::path::PathBuf, Failure> {
    let path = lab.scratch().join("foreign");
    std::fs::set_permissions(lab.scratch(), std::fs::Permissions::from_mode(0o755))?;
    std::fs::create_dir(&path)?;
    chown(&path, Some(uid), Some(uid))?;
    Ok(path)
}

/// Everything in a home that a first boot makes: kind, mode, owner.
const FIRST: &str = "\
. d 755 10000:10000
./.env f 600 10000:10000
./SOUL.md f 644 10000:10000
./auth.json f 600 10000:10000
./backups d 755 10000:10000
./config.yaml f 640 10000:10000
./cron d 755 10000:10000
./gateway_state.json f 600 10000:10000
./home d 755 10000:10000
./hooks d 755 10000:10000
./lazy-packages d 755 10000:10000
./logs d 755 10000:10000
./logs/container-boot.log f 644 10000:10000
./logs/gateways d 755 10000:10000
./memories d 755 10000:10000
./pairing d 755 10000:10000
./plans d 755 10000:10000
./profiles d 755 10000:10000
./sessions d 755 10000:10000
./skills d 755 10000:10000
./skins d 755 10000:10000
./workspace d 755 10000:10000
";

#[rstest]
#[case::nothing(Volume::Anonymous, HOME)]
#[case::a_named_volume(Volume::Named, HOME)]
#[case::a_bare_volume(Volume::Bare, HOME)]
#[case::a_bind_mount_of_roots(Volume::Bind(0), HOME)]
#[case::a_bind_mount_of_anothers(Volume::Bind(1234), HOME)]
#[case::a_bare_volume_elsewhere(Volume::Bare, "/srv/agent")]
#[case::no_directory_at_all(Volume::Anonymous, "/srv/new/agent")]
fn a_first_boot_makes_the_whole_home(#[case] volume: Volume, #[case] home: &str) {
    on_base(async |lab| {
        let files = light().directory("/etc/talaria/seed", 0o755).file(
            "/etc/talaria/seed/SOUL.md",
            0o644,
            "kind\n",
        );
        let spec = lab
            .container()
            .files(files)
            .env("HERMES_HOME", home)
            .env("HERMES_AUTH_JSON_BOOTSTRAP", CANARY)
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .command(["sleep", "1000"]);
        let container = lab.start(volume.mount(lab, spec, home).await?).await?;
        wait_main(&container).await?;
        // The gateway's own notes, and its logger's files, are not the boot's.
        let find = format!(
            "cd {home} && find . ! -name notes-default ! -path './logs/gateways/*' ! -name .gateway-ports.lock -printf '%p %y %m %U:%G\\n' | LC_ALL=C sort"
        );
        assert_eq!(FIRST, container.shell(&find).await?.stdout);
        let read = container
            .shell(&format!("cd {home}; cat SOUL.md auth.json"))
            .await?;
        assert_eq!(format!("kind\n{CANARY}"), read.stdout);
        wait_up(
            &container,
            docker_harness::Identity::Hermes,
            "gateway-default",
        )
        .await?;
        Ok(())
    });
}

/// Lets every call that changes a mode succeed, and do nothing.
const NO_CHMOD: &str = r#"seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
    "names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0
}]}"#;

/// A file that is narrowed once it is there has been anybody's before. So nothing can be narrowed
/// here, nothing is masked away, and what the modes are is what the files were made with.
#[test]
fn a_secret_file_is_its_owners_alone_from_the_moment_it_is_made() {
    on_base(async |lab| {
        let unmasked = "umask 0; touch /made; chmod 600 /made; exec /init \"$@\"";
        let spec = lab
            .container()
            .files(light().and(profile(HOME, 10_000, "coder", "running")))
            .security_opt(NO_CHMOD)
            .env("HERMES_AUTH_JSON_BOOTSTRAP", CANARY)
            .env("HERMES_GATEWAY_BOOTSTRAP_STATE", "running")
            .entrypoint(["sh", "-c", unmasked, "sh"])
            .command(["sleep", "1000"]);
        let container = lab.start(spec).await?;
        wait_main(&container).await?;
        // What is written again, and what the agent's user writes by our own command line.
        for words in ["gateway stop -p default", "profile create made"] {
            let done = container
                .shell(&format!("umask 0; exec talaria {words}"))
                .await?;
            assert_eq!(0, done.code, "{words}: {}", done.stderr);
        }
        let modes = "cd /opt/data && stat -c '%a %s %n' /made .env auth.json gateway_state.json profiles/*/.env";
        let modes = container.exec_root(["sh", "-c", modes]).await?;
        let expected = format!(
            "666 0 /made\n600 0 .env\n600 {} auth.json\n600 28 gateway_state.json\n",
            CANARY.len()
        );
        assert_eq!(expected, modes.stdout, "{}", modes.stderr);
        Ok(())
    });
}

#[test]
fn a_volume_that_is_read_only_stops_the_boot_and_is_named() {
    on_base(async |lab| {
        let path = foreign(lab, 10_000)?;
        for home in [HOME, "/srv/agent"] {
            let spec = lab
                .container()
                .bind(&path, home)
                .env("HERMES_HOME", home)
                .shell("echo main ran");
            for spec in [spec.clone(), spec.user("10000:10000")] {
                let ended = lab.run(spec, SOON).await?;
                let err = ended.output.err();
                assert_eq!((73, ""), (ended.code, &*ended.output.out()), "{err}");
                let named = format!("{home}: read-only file system");
                assert!(messages(&err).contains(&&*named), "{err}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_bootstrap_never_replaces_what_the_agent_has_refreshed() {
    on_base(async |lab| {
        let spec = |lab: &Lab| lab.container().files(light()).command(["sleep", "1000"]);
        let container = lab
            .start(spec(lab).env("HERMES_AUTH_JSON_BOOTSTRAP", CANARY))
            .await?;
        wait_main(&container).await?;
        for refreshed in ["refreshed", ""] {
            let write = format!("printf '%s' '{refreshed}' > /opt/data/auth.json");
            assert_eq!(0, container.shell(&write).await?.code);
            container.restart(SOON).await?;
            wait_main(&container).await?;
            let read = container.exec(["cat", "/opt/data/auth.json"]).await?;
            assert_eq!(refreshed, read.stdout);
        }
        Ok(())
    });
}

/// All that anybody could read who may not read the environment or `auth.json`.
async fn public(lab: &Lab, container: &Container) -> Result<Vec<(&'static str, String)>, Failure> {
    let output = container.output().await?;
    let lines = container
        .exec_root(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"])
        .await?;
    let logs = container
        .exec_root(["sh", "-c", "find /opt/data/logs -type f -exec cat {} +"])
        .await?;
    // By somebody who is neither root nor the agent.
    let others =
        "find / -xdev -type f ! -path '/proc/*' -newer /proc/1 -exec cat {} + 2> /dev/null";
    let who = docker_harness::Identity::Ids(12_345, 12_345);
    let others = container.exec_as(who, ["sh", "-c", others], None).await?;
    let docker = lab.engine().docker();
    let history = docker.image_history(lab.image()).await?;
    let image = docker.inspect_image(lab.image()).await?;
    let inspected = docker
        .inspect_container(container.name(), None::<InspectContainerOptions>)
        .await?;
    let config = inspected.config.unwrap_or_default();
    let plan = container
        .exec(["talaria", "boot", "provision", "--dry-run", "--json"])
        .await?;
    Ok(vec![
        ("the log", output.out() + &output.err()),
        ("the command lines", lines.stdout),
        ("the logs in the home", logs.stdout),
        ("files that anybody may read", others.stdout),
        ("the image's history", format!("{history:?}")),
        ("the image", format!("{image:?}")),
        ("the container's labels", format!("{:?}", config.labels)),
        (
            "the container's words",
            format!("{:?} {:?}", config.cmd, config.entrypoint),
        ),
        ("the plan of a boot", plan.stdout + &plan.stderr),
    ])
}

#[test]
fn a_secret_is_where_it_belongs_and_nowhere_else() {
    on_hermes(async |lab| {
        // Once where it can be kept, and once where something is in its place.
        for trap in [None, Some("/opt/data/auth.json")] {
            let mut files = profile(HOME, 10_000, "coder", "running");
            if let Some(path) = trap {
                files = files.directory(path, 0o755).owned_by(10_000, 10_000);
            }
            let spec = lab
                .container()
                .files(files)
                .env(
                    "HERMES_AUTH_JSON_BOOTSTRAP",
                    &format!("{{\"token\": \"{CANARY}\"}}"),
                )
                .env("S6_VERBOSITY", "2")
                .command(["sleep", "1000"]);
            let container = lab.start(spec).await?;
            wait_main(&container).await?;
            wait_up(
                &container,
                docker_harness::Identity::Hermes,
                "gateway-coder",
            )
            .await?;
            for (place, text) in public(lab, &container).await? {
                assert!(!text.contains(CANARY), "{place}: {text}");
            }
            if trap.is_none() {
                // It did arrive.
                let kept = container.exec(["cat", "/opt/data/auth.json"]).await?;
                assert!(kept.stdout.contains(CANARY));
            }
        }
        Ok(())
    });
}
