//! A volume and a scandir full of traps: links, pipes and odd kinds of file in place of what the
//! boot reads, writes or gives away.

use std::collections::BTreeSet;

use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, on_base};
use rstest::rstest;

use super::{restart, roots, target};
use crate::common::promised;

/// What is root's, as root sees it: owners, modes and contents.
async fn root_world(container: &Container) -> Result<String, Failure> {
    let script = "export PATH=/usr/bin:/bin
        find /etc /usr /root /opt/hermes /opt/light /command -xdev -path /opt/hermes/.venv -prune -o -printf '%p %y %U:%G %m %s %l\\n' | sort
        find /run/s6 -xdev \\( -path '*/supervise' -o -path '*/event' -o -path '*/.s6-svscan' \\) -prune \
            -o -printf '%p %y %U:%G %m %l\\n' | sort
        cat /etc/passwd /etc/group /etc/shadow";
    let seen = container.exec_root(["/bin/sh", "-c", script]).await?;
    assert_eq!(0, seen.code, "{}", seen.stderr);
    Ok(seen.stdout)
}

fn assert_same_world(before: &str, after: &str) {
    let [before, after] = [before, after].map(|world| world.lines().collect::<BTreeSet<_>>());
    let changed: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changed.is_empty(), "changed: {changed:#?}");
}

/// Links, pipes and odd kinds of file in place of what the boot reads, writes or gives away.
#[rstest]
#[case::logs_are_a_link("rm -rf logs; ln -s /etc logs")]
#[case::gateway_logs_are_a_link("rm -rf logs/gateways; ln -s /root logs/gateways")]
#[case::boot_log_is_a_link("mkdir -p logs; ln -sf /etc/passwd logs/container-boot.log")]
#[case::profiles_are_a_link(
    "rm -rf profiles.old; mv profiles profiles.old; ln -s /etc profiles; rm profiles; mv profiles.old profiles; ln -s /root profiles/rooted"
)]
#[case::a_profile_is_a_link("ln -s /etc profiles/evil; ln -s /etc/shadow profiles/coder/extra")]
#[case::state_is_a_pipe(
    "mkdir -p profiles/piped; touch profiles/piped/SOUL.md; mkfifo profiles/piped/gateway_state.json"
)]
#[case::soul_is_a_pipe("mkdir -p profiles/piped; mkfifo profiles/piped/SOUL.md")]
#[case::state_is_endless(
    "mkdir -p profiles/endless; touch profiles/endless/SOUL.md; ln -s /dev/zero profiles/endless/gateway_state.json"
)]
#[case::state_is_roots(
    "mkdir -p profiles/thief; touch profiles/thief/SOUL.md; ln -s /etc/shadow profiles/thief/gateway_state.json"
)]
#[case::env_is_a_link(
    "ln -sf /etc/shadow .env; ln -sf /etc/shadow config.yaml; ln -sf /etc/shadow auth.json"
)]
#[case::env_is_a_pipe("rm -f .env config.yaml SOUL.md; mkfifo .env config.yaml SOUL.md")]
#[case::directories_are_files("rm -rf cron sessions; touch cron; mkfifo sessions")]
#[case::home_is_closed("chmod 000 profiles/idle logs")]
#[case::stale_files_are_links(
    "ln -sf /etc/passwd gateway.pid; ln -sf /etc/group processes.json; ln -sf /etc/shadow profiles/coder/gateway.pid"
)]
fn a_volume_full_of_traps_changes_nothing_of_roots(#[case] traps: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = root_world(&container).await?;
        let set = container
            .shell(&format!("cd /opt/data && {{ {traps}; }}"))
            .await?;
        assert_eq!((0, ""), (set.code, &*set.stderr));
        restart(&container).await?;
        assert_same_world(&before, &root_world(&container).await?);
        Ok(())
    });
}

/// The same in the scandir, met by the programs that heal the agent's tree and by a reboot.
#[rstest]
#[case::a_slot_is_a_link(
    "ln -s /etc /run/service/gateway-etc; ln -s /run/s6/services/agent-tree /run/service/gateway-x"
)]
#[case::a_slots_file_is_a_link(
    "ln -sf /etc/shadow /run/service/gateway-coder/down; ln -sf /etc/passwd /run/service/gateway-idle/type"
)]
#[case::a_slot_became_a_link(
    "mv /run/service/gateway-idle /opt/data/old; ln -s /etc /run/service/gateway-idle"
)]
#[case::staging_is_a_link(
    "ln -s /etc /run/service/.gateway-coder.tmp; ln -s /etc /run/service/.gateway-new.tmp; mkdir -p /opt/data/profiles/new; touch /opt/data/profiles/new/SOUL.md"
)]
#[case::control_is_a_link(
    "mv /run/service/.s6-svscan /opt/data/old; ln -s /run/s6/services/.s6-svscan /run/service/.s6-svscan"
)]
#[case::control_is_gone("mv /run/service/.s6-svscan /opt/data/old")]
#[case::supervise_is_a_link(
    "mv /run/service/gateway-idle/supervise /opt/data/old; ln -s /run/s6/services/agent-tree/supervise /run/service/gateway-idle/supervise"
)]
fn a_scandir_full_of_traps_changes_nothing_of_roots(#[case] traps: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = root_world(&container).await?;
        let roots_before = roots(&container).await?;
        let set = container.shell(traps).await?;
        assert_eq!((0, ""), (set.code, &*set.stderr));
        container
            .shell("/command/s6-svscanctl -an /run/service; true")
            .await?;
        let processes = container.processes().await?;
        let svscan = processes
            .iter()
            .find(|it| it.comm == "s6-svscan" && it.uid() == 10_000);
        let svscan = svscan.ok_or("there is no agent tree")?.pid;
        container.shell(&format!("kill -9 {svscan}")).await?;
        // Whether the tree heals on such a scandir is hermes's own affair; the container is root's.
        restart(&container).await?;
        assert_same_world(&before, &root_world(&container).await?);
        let names = |roots: Vec<(u32, String)>| {
            let mut names: Vec<String> = roots.into_iter().map(|(_, line)| line).collect();
            names.sort();
            names
        };
        assert_eq!(names(roots_before), names(roots(&container).await?));
        Ok(())
    });
}
