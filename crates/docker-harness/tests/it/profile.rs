//! Profiles by `talaria profile`: made whole, gone without a trace.

use docker_harness::{Container, Failure, Identity, Lab, Level, Tree, on_base, wait_for};

use crate::common::{SOON, gateways, light, slot, talaria, wait_down, wait_up};

/// A container with the light agent, and a tree that can be spoken to.
pub(crate) async fn running(lab: &Lab, files: Tree) -> Result<Container, Failure> {
    let spec = lab.container().files(light().and(files));
    let container = lab.start(spec.command(["sleep", "infinity"])).await?;
    wait_down(&container, "gateway-default").await?;
    Ok(container)
}

#[test]
fn a_created_profile_has_a_slot_that_is_down() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        let said = talaria(&container, &["profile", "create", "coder"]).await?;
        assert_eq!(
            (
                0,
                "profile coder: created, its gateway is down, port 9653\n"
            ),
            (said.code, &*said.stdout),
            "{}",
            said.stderr
        );
        // It is supervised as soon as the command has ended.
        let slot = slot(&container, Identity::Hermes, "gateway-coder").await?;
        let slot = slot.ok_or("not supervised")?;
        assert!(!slot.up && !slot.wanted_up);
        let find = "cd /opt/data/profiles/coder && find . -printf '%p %y %m %u\n' | sort";
        assert_eq!(
            "\
. d 755 hermes
./.gateway-port f 644 hermes
./SOUL.md f 644 hermes
./cron d 755 hermes
./home d 755 hermes
./logs d 755 hermes
./memories d 755 hermes
./plans d 755 hermes
./sessions d 755 hermes
./skills d 755 hermes
./skins d 755 hermes
./workspace d 755 hermes
",
            container.shell(find).await?.stdout
        );
        let again = talaria(&container, &["profile", "create", "coder"]).await?;
        assert_eq!(
            (
                1,
                "talaria: there is a profile coder already\n\
                 hint: talaria profile show coder tells what it is\n"
            ),
            (again.code, &*again.stderr)
        );
        Ok(())
    });
}

#[test]
fn a_deleted_profile_leaves_nothing() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        let before = container.shell("cd / && find opt/data run | sort").await?;
        for command in [
            ["profile", "create", "coder"].as_slice(),
            &["gateway", "start", "-p", "coder", "--wait"],
        ] {
            assert_eq!(0, talaria(&container, command).await?.code);
        }
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        // Its logger has made its directory.
        let logged = wait_for("the log is there", SOON, async || {
            let path = "/opt/data/logs/gateways/coder/current";
            let found = container.exec(["test", "-e", path]).await?;
            Ok::<_, Failure>(Level::when(found.code == 0, found))
        });
        logged.await?;

        let said = talaria(&container, &["profile", "delete", "coder"]).await?;
        assert_eq!(
            (0, "profile coder: deleted\n"),
            (said.code, &*said.stdout),
            "{}",
            said.stderr
        );
        let processes = container.processes().await?;
        assert!(gateways(&processes, "coder").is_empty());
        let of_coder = processes
            .iter()
            .filter(|process| process.line().contains("coder"));
        assert_eq!(0, of_coder.count(), "{}", processes.drawn());
        let script = "find / -xdev -path /proc -prune -o -name '*coder*' -print 2> /dev/null";
        assert_eq!("", container.shell(script).await?.stdout);
        // What the light gateway itself noted stays, and so does the lock on ports.
        let after = container
            .shell("cd / && find opt/data run | grep -v '/notes-coder$\\|/order$\\|/profiles/.gateway-ports.lock$' | sort")
            .await?;
        assert_eq!(before.stdout, after.stdout);

        let again = talaria(&container, &["profile", "delete", "coder"]).await?;
        assert_eq!(3, again.code, "{}", again.stderr);
        Ok(())
    });
}

#[test]
fn root_who_types_talaria_leaves_nothing_of_roots() {
    on_base(async |lab| {
        let container = running(lab, Tree::new()).await?;
        let steps: [&[&str]; 6] = [
            &["profile", "create", "coder"],
            &["gateway", "start", "-p", "coder", "--wait"],
            &["gateway", "restart", "-p", "coder", "--wait"],
            &["gateway", "stop", "-p", "coder", "--wait"],
            &["gateway", "start", "--all"],
            &["status"],
        ];
        for step in steps {
            let command = ["talaria"].iter().chain(step).copied();
            let done = container.exec_root(command).await?;
            assert_eq!(0, done.code, "{step:?}: {}", done.stderr);
        }
        let find = ["find", "/opt/data", "/run/service", "!", "-user", "hermes"];
        assert_eq!("", container.exec_root(find).await?.stdout);
        Ok(())
    });
}
