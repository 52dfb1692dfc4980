//! `/opt/data/.local/bin` is on `PATH` and is hermes's to fill: root never finds a program there
//! that the system has.

use std::time::Duration;

use docker_harness::variant::Promise;
use docker_harness::{Failure, Level, Tree, on_base, wait_for};

use super::{SHOT, target};
use crate::common::{SOON, promised};

#[test]
fn programs_planted_on_path_are_not_what_the_boot_runs() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let script = "mkdir -p /opt/data/.local/bin && cd /opt/data/.local/bin &&
            for name in id sh bash chown mkdir cat rm sleep s6-svscan s6-supervise s6-svc s6-log execlineb init env; do
                printf '#!/bin/bash -p\\n/usr/bin/id -u >> /opt/data/proof-path\\nexec /usr/bin/%s \"$@\"\\n' $name > $name
                chmod +x $name
            done";
        assert_eq!(0, container.exec(["/bin/bash", "-c", script]).await?.code);
        container.restart(Duration::from_secs(10)).await?;
        let up = wait_for("the gateway is up", SOON, async || {
            let stat = container
                .exec([
                    "/command/s6-svstat",
                    "-o",
                    "up",
                    "/run/service/gateway-coder",
                ])
                .await?;
            Ok::<_, Failure>(Level::when(stat.stdout == "true\n", stat))
        });
        up.await?;
        let proofs = container
            .exec(["/bin/bash", "-c", "/bin/cat /opt/data/proof-path; true"])
            .await?;
        assert!(
            !proofs.stdout.lines().any(|uid| uid == "0"),
            "root ran one of them: {}",
            proofs.stdout
        );
        Ok(())
    });
}

#[test]
fn a_hook_of_roots_that_names_a_program_gets_the_systems_one() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let planted = Tree::new()
            .directory("/opt/data/.local", 0o755)
            .owned_by(10_000, 10_000)
            .directory("/opt/data/.local/bin", 0o755)
            .owned_by(10_000, 10_000)
            .file("/opt/data/.local/bin/hostname", 0o755, SHOT)
            .owned_by(10_000, 10_000)
            .script("/etc/cont-init.d/50-probe", "hostname > /dev/null");
        let script = "cat /opt/data/proof-hostname; true";
        let ended = lab
            .run(lab.container().files(planted).shell(script), SOON)
            .await?;
        assert_eq!((0, ""), (ended.code, &*ended.output.out()));
        Ok(())
    });
}

#[test]
fn root_who_execs_a_program_of_the_systems_gets_that() {
    on_base(async |lab| {
        let container = target(lab).await?;
        let script = "mkdir -p /opt/data/.local/bin && for name in id ls ps cat sh; do cp /opt/data/shot /opt/data/.local/bin/$name; done";
        assert_eq!(0, container.exec(["/bin/sh", "-c", script]).await?.code);
        assert_eq!("0\n", container.exec_root(["id", "-u"]).await?.stdout);
        assert_eq!(0, container.exec_root(["ls", "/"]).await?.code);
        let proofs = container
            .exec(["/bin/sh", "-c", "/bin/cat /opt/data/proof-* 2> /dev/null"])
            .await?;
        assert_eq!("", proofs.stdout);
        Ok(())
    });
}
