//! What a sandbox is like from inside.

use docker_harness::TestResult;
use sandbox_core::SpecFile;
use sandbox_engine::{ExecError, Sandbox};

use super::{Rig, says, scalar, shell, with_rig};

/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER` as bits; KILL, SETGID, SETUID beside them.
const PLAIN: u64 = 0b1011;
const ROOT: u64 = PLAIN | 0b1110_0000;

#[test]
fn privileges_are_few_for_root_a_user_and_the_host_user() {
    with_rig(async |rig| {
        for (user, uid, bounding) in [
            ("image", 0, ROOT),
            ("4321:4321", 4321, PLAIN),
            ("host", 1234, PLAIN),
        ] {
            let file = SpecFile {
                user: scalar(user),
                ..rig.file(user)
            };
            let sandbox = rig.get(file).await?;
            let status = says(&sandbox, "cat /proc/self/status").await?;
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            assert_eq!(
                u64::from_str_radix(&field("CapBnd:"), 16)?,
                bounding,
                "{user}"
            );
            assert_eq!(
                (field("NoNewPrivs:"), field("Seccomp:")),
                ("1".to_owned(), "2".to_owned())
            );
            assert_eq!(says(&sandbox, "id -u").await?, uid.to_string());
        }
        Ok(())
    });
}

async fn still_works(sandbox: &Sandbox) -> TestResult {
    assert_eq!(says(sandbox, "echo well").await?, "well");
    Ok(())
}

#[test]
fn what_uses_everything_up_harms_only_itself() {
    with_rig(async |rig| {
        let file = SpecFile {
            memory: scalar("64m"),
            pids: scalar("64"),
            ..rig.file("use")
        };
        let sandbox = rig.get(file).await?;
        // A tmpfs counts as memory: this ends with the limit, in whichever way.
        shell(
            &sandbox,
            "head -c 256m /dev/zero | tail -c 256m > /dev/null",
        )
        .await?;
        still_works(&sandbox).await?;
        for mount in ["/tmp", "/run", "/var/tmp", "/dev/shm", "/workspace"] {
            let script = format!("head -c 60000000 /dev/zero > {mount}/full; rm -f {mount}/full");
            shell(&sandbox, &script).await?;
            still_works(&sandbox).await?;
        }
        Ok(())
    });
}

#[test]
fn a_fork_bomb_ends_with_its_time_and_the_next_command_works() {
    with_rig(async |rig| {
        let file = SpecFile {
            pids: scalar("64"),
            ..rig.file("bomb")
        };
        let sandbox = rig.get(file).await?;
        let bomb = sandbox_engine::Exec::new(["bash", "-c", "f() { f | f & }; f; sleep 3"])
            .timeout(std::time::Duration::from_secs(5));
        match sandbox.exec(bomb, &mut |_, _| {}).await {
            // With no process to spare even the question whether it has ended can fail.
            Ok(_) | Err(ExecError::Refused { .. } | ExecError::NoProgram { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let works =
            docker_harness::wait_for("the next command works", crate::common::SOON, async || {
                let said = says(&sandbox, "echo well").await;
                Ok::<_, docker_harness::Failure>(match said {
                    Ok(said) if said == "well" => docker_harness::Level::Holds(()),
                    other => docker_harness::Level::Not(format!("{other:?}")),
                })
            });
        Ok(works.await?)
    });
}

#[test]
fn sandboxes_do_not_reach_each_other() {
    with_rig(async |rig| {
        let server = rig.get(rig.file("server")).await?;
        let client = rig.get(rig.file("client")).await?;
        let found = server.inspect().await?;
        let networks = found.network_settings.and_then(|network| network.networks);
        let address = networks.and_then(|mut all| all.remove(sandbox_engine::NETWORK)?.ip_address);
        let address = address
            .filter(|text| !text.is_empty())
            .ok_or("no address")?;
        // bash connects, perl listens: both are in Debian's smallest system.
        let listen = "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 5, LocalPort => 7777, \
            ReuseAddr => 1) or die; while ($c = $s->accept) { close $c }' > /dev/null 2>&1 & sleep 0.3";
        shell(&server, listen).await?;
        let knock =
            |to: &str| format!("timeout 2 bash -c '< /dev/tcp/{to}/7777' && echo in || echo out");
        assert_eq!(
            says(&server, &knock(&address)).await?,
            "in",
            "the server listens"
        );
        assert_eq!(says(&client, &knock(&address)).await?, "out");
        let name = server.name().to_owned();
        assert_eq!(says(&client, &knock(&name)).await?, "out");
        Ok(())
    });
}

#[test]
fn an_image_with_an_init_keeps_it_and_one_without_gets_ours() {
    with_rig(async |rig| {
        let base = docker_harness::image::base()?;
        let file = SpecFile {
            image: Some(base),
            ..rig.file("init")
        };
        let sandbox = rig.get(file).await?;
        assert_eq!(first(rig, &sandbox).await?, "s6-svscan");
        let sandbox = rig.get(rig.file("none")).await?;
        assert_eq!(first(rig, &sandbox).await?, "sandbox-agent");
        let sandbox = rig.get_bare(rig.file("bare")).await?;
        assert_eq!(first(rig, &sandbox).await?, "docker-init");
        Ok(())
    });
}

/// The name of the first process, once the init has become what it becomes.
async fn first(_rig: &Rig<'_>, sandbox: &Sandbox) -> Result<String, docker_harness::Failure> {
    let settled =
        docker_harness::wait_for("the init has settled", crate::common::SOON, async || {
            let name = says(sandbox, "cat /proc/1/comm").await?;
            Ok::<_, docker_harness::Failure>(docker_harness::Level::when(name != "init", name))
        });
    settled.await?;
    says(sandbox, "cat /proc/1/comm").await
}
