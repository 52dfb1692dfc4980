//! What is in the images, and what is not.

use docker_harness::engine::skip;
use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, Lab, on_base, on_hermes};

use crate::common::promised;

async fn running(lab: &Lab) -> Result<Container, Failure> {
    Ok(lab
        .start(lab.container().entrypoint(["sleep"]).command(["1000000"]))
        .await?)
}

fn assert_contract(lab: &Lab) {
    let facts = lab.facts();
    assert_eq!(
        ["/init", "/opt/hermes/docker/main-wrapper.sh"],
        *facts.entrypoint
    );
    assert!(facts.command.is_empty(), "{:?}", facts.command);
    assert_eq!(("", "/opt/data"), (&*facts.user, &*facts.workdir));
    assert_eq!(["/opt/data"], *facts.volumes);
    let mut env = facts.env.clone();
    env.sort();
    let expected = [
        "HERMES_HOME=/opt/data",
        "HERMES_LAZY_INSTALL_TARGET=/opt/data/lazy-packages",
        "PATH=/opt/hermes/bin:/opt/hermes/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/data/.local/bin",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
    ];
    assert_eq!(expected, *env);
    for label in [
        "org.opencontainers.image.version",
        "org.opencontainers.image.revision",
        "org.talaria.init",
    ] {
        let value = facts.labels.get(label).map_or("", String::as_str);
        assert!(
            !value.is_empty() && value != "unknown",
            "{label} is {value:?}"
        );
    }
}

#[test]
fn the_base_image_keeps_the_contract() {
    on_base(async |lab| {
        assert_contract(lab);
        Ok(())
    });
}

#[test]
fn the_agents_image_keeps_the_contract() {
    on_hermes(async |lab| {
        assert_contract(lab);
        Ok(())
    });
}

#[test]
fn the_base_image_holds_no_python_no_agent_and_no_compiler() {
    on_base(async |lab| {
        if lab.facts().has_agent() {
            skip(lab.test(), "the image under test is the agent's");
            return Ok(());
        }
        let container = running(lab).await?;
        let found = container
            .exec_root([
                "find",
                "/",
                "-xdev",
                "(",
                "-name",
                "python*",
                "-o",
                "-name",
                "site-packages",
                "-o",
                "-name",
                "*.whl",
                ")",
                "-not",
                "-path",
                "/usr/share/*",
                "-not",
                "-path",
                "/proc/*",
            ])
            .await?;
        assert_eq!("", found.stdout);
        assert_eq!(
            "",
            container
                .exec_root(["find", "/opt/hermes/.venv"])
                .await?
                .stdout
        );
        assert_no_compiler(&container).await
    });
}

async fn assert_no_compiler(container: &Container) -> Result<(), Failure> {
    let script = "export PATH=/usr/local/bin:/usr/bin:/bin; for name in cc gcc g++ c++ clang ld as make rustc cargo cc1 x86_64-linux-gnu-gcc; do command -v $name; done; ls -d /usr/lib/gcc* /usr/include/stdio.h 2> /dev/null; true";
    assert_eq!(
        "",
        container.exec_root(["/bin/sh", "-c", script]).await?.stdout
    );
    Ok(())
}

#[test]
fn the_agents_image_holds_no_compiler_and_no_cache() {
    on_hermes(async |lab| {
        let container = running(lab).await?;
        assert_no_compiler(&container).await?;
        let script = "ls /var/lib/apt/lists /root/.cache /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /tmp 2> /dev/null | grep -v ':$' | grep .; true";
        assert_eq!(
            "",
            container.exec_root(["/bin/sh", "-c", script]).await?.stdout
        );
        Ok(())
    });
}

async fn assert_hermes_cannot_write(container: &Container) -> Result<(), Failure> {
    let script = "find /opt/hermes /usr /etc /command /init -xdev ! -type l -writable 2> /dev/null; find /opt/hermes ! -user root";
    assert_eq!("", container.shell(script).await?.stdout);
    Ok(())
}

#[test]
fn hermes_can_write_neither_program_in_the_base_image() {
    on_base(async |lab| assert_hermes_cannot_write(&running(lab).await?).await);
}

#[test]
fn hermes_can_write_no_program_in_the_agents_image() {
    on_hermes(async |lab| assert_hermes_cannot_write(&running(lab).await?).await);
}

#[test]
fn the_user_is_who_the_contract_says() {
    on_base(async |lab| {
        let container = running(lab).await?;
        let entry = container.exec(["getent", "passwd", "hermes"]).await?.stdout;
        let fields: Vec<&str> = entry.trim_end().split(':').collect();
        assert_eq!(
            ("10000", "10000", "/opt/data", "/bin/bash"),
            (fields[2], fields[3], fields[5], fields[6])
        );
        assert_eq!(
            "hermes:x:10000:\n",
            container.exec(["getent", "group", "hermes"]).await?.stdout
        );
        let stat = container
            .exec([
                "stat",
                "-c",
                "%n %U:%G %a",
                "/opt/data",
                "/opt/hermes",
                "/etc/services.d",
                "/etc/cont-init.d",
                "/run",
            ])
            .await?;
        let expected = "/opt/data hermes:hermes 755\n/opt/hermes root:root 755\n/etc/services.d root:root 755\n/etc/cont-init.d root:root 755\n/run root:root 1777\n";
        assert_eq!(expected, stat.stdout);
        Ok(())
    });
}

#[test]
fn run_is_empty_in_the_image() {
    on_base(async |lab| {
        let container = running(lab).await?;
        assert_eq!(
            "",
            container
                .exec_root([
                    "find",
                    "/run",
                    "-mindepth",
                    "1",
                    "-not",
                    "-path",
                    "/run/secrets*"
                ])
                .await?
                .stdout
        );
        Ok(())
    });
}

#[test]
fn every_name_of_ours_is_a_link_to_the_one_program() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let container = running(lab).await?;
        let names = [
            "/init",
            "/command/with-contenv",
            "/command/s6-svscanctl",
            "/opt/hermes/docker/main-wrapper.sh",
            "/opt/hermes/docker/entrypoint.sh",
            "/usr/bin/tini",
            "/usr/libexec/talaria/agent-tree",
            "/usr/libexec/talaria/gateway-run",
            "/usr/libexec/talaria/gateway-finish",
            "/usr/libexec/talaria/gateway-log",
            "/usr/libexec/talaria/svscan-finish",
            "/etc/cont-init.d/01-hermes-setup",
            "/etc/cont-init.d/015-supervise-perms",
            "/etc/cont-init.d/02-reconcile-profiles",
        ];
        for name in names {
            let target = container.exec(["readlink", "-f", name]).await?;
            assert_eq!(
                "/usr/libexec/talaria/talaria-boot\n", target.stdout,
                "{name}"
            );
        }
        let stat = container
            .exec([
                "stat",
                "-c",
                "%U:%G %a",
                "/usr/libexec/talaria/talaria-boot",
            ])
            .await?;
        assert_eq!("root:root 755\n", stat.stdout);
        Ok(())
    });
}

#[test]
fn the_one_program_is_static_and_small() {
    on_base(async |lab| {
        if !promised(lab, Promise::OwnInit) {
            return Ok(());
        }
        let container = running(lab).await?;
        let size = container
            .exec(["stat", "-c", "%s", "/usr/libexec/talaria/talaria-boot"])
            .await?;
        assert!(
            size.stdout.trim().parse::<u64>()? <= 2 << 20,
            "{}",
            size.stdout
        );
        let loader = container
            .exec([
                "grep",
                "-c",
                "/ld-linux-",
                "/usr/libexec/talaria/talaria-boot",
            ])
            .await?;
        assert_eq!("0\n", loader.stdout);
        Ok(())
    });
}

#[test]
fn the_commands_of_s6_are_found_by_name() {
    on_base(async |lab| {
        let container = running(lab).await?;
        for name in [
            "s6-svc",
            "s6-svstat",
            "s6-svok",
            "s6-svwait",
            "s6-svscan",
            "s6-supervise",
            "s6-log",
            "execlineb",
        ] {
            let is = container
                .exec(["test", "-x", &format!("/command/{name}")])
                .await?;
            assert_eq!(0, is.code, "{name}");
        }
        Ok(())
    });
}

#[test]
fn no_setuid_program_is_there_but_debians_own() {
    on_base(async |lab| {
        let container = running(lab).await?;
        let found = container
            .exec_root(["find", "/", "-xdev", "-type", "f", "-perm", "/6000"])
            .await?;
        let debian = [
            "chage",
            "chfn",
            "chsh",
            "expiry",
            "gpasswd",
            "mount",
            "newgrp",
            "passwd",
            "su",
            "umount",
            "unix_chkpwd",
            "ssh-agent",
            "ssh-keysign",
        ];
        let other: Vec<&str> = found
            .stdout
            .lines()
            .filter(|path| {
                !debian
                    .iter()
                    .any(|name| path.ends_with(&format!("/{name}")))
            })
            .collect();
        assert!(other.is_empty(), "{other:?}");
        Ok(())
    });
}
