//! What `hermes` may try against root, each attempt a test.
//!
//! Payloads note their uid in `/opt/data/proof-*`. An attempt has failed, as it must, when no
//! note says 0 and the root tree is the one that it was.

mod link;
mod path;
mod traps;

use std::time::Duration;

use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, Identity, Lab, Level, Tree, on_base, wait_for};
use rstest::rstest;

use crate::common::{SOON, light_with_profiles, lines, promised, wait_up};

/// A payload: notes who runs it, then lives on.
const PAYLOAD: &str =
    "#!/bin/sh\nid -u >> /opt/data/proof-$(basename \"$0\")\nexec sleep 1000000\n";
/// A payload that ends, for what is not expected to live.
const SHOT: &str = "#!/bin/sh\nid -u >> /opt/data/proof-$(basename \"$0\")\nexit 0\n";

async fn target(lab: &Lab) -> Result<Container, Failure> {
    let payloads = Tree::new()
        .file("/opt/data/payload", 0o755, PAYLOAD)
        .owned_by(10_000, 10_000)
        .file("/opt/data/shot", 0o755, SHOT)
        .owned_by(10_000, 10_000);
    let files = light_with_profiles().and(payloads);
    let container = lab
        .start(lab.container().files(files).command(["sleep", "infinity"]))
        .await?;
    wait_up(&container, Identity::Hermes, "gateway-coder").await?;
    Ok(container)
}

/// Every uid that a payload has noted.
async fn proofs(container: &Container) -> Result<Vec<String>, Failure> {
    let read = container
        .shell("cat /opt/data/proof-* 2> /dev/null")
        .await?;
    Ok(read.stdout.lines().map(str::to_owned).collect())
}

async fn assert_no_proof_of_root(container: &Container) -> Result<(), Failure> {
    let proofs = proofs(container).await?;
    assert!(
        !proofs.iter().any(|uid| uid == "0"),
        "root ran it: {proofs:?}"
    );
    Ok(())
}

/// Root's processes with their numbers: as long as nobody ends one, the same.
async fn roots(container: &Container) -> Result<Vec<(u32, String)>, Failure> {
    let processes = container.processes().await?;
    Ok(processes
        .iter()
        .filter(|it| it.uid() == 0)
        .map(|it| (it.pid, it.line()))
        .collect())
}

/// Waits until a restart of the container is over: its gateway is up again.
async fn restart(container: &Container) -> Result<(), Failure> {
    container.restart(Duration::from_secs(10)).await?;
    wait_up(container, Identity::Hermes, "gateway-coder").await?;
    Ok(())
}

#[test]
fn a_dropped_service_runs_as_hermes() {
    on_base(async |lab| {
        let container = target(lab).await?;
        let script = "mkdir /run/service/dropped && cp /opt/data/payload /run/service/dropped/run
            exec /command/s6-svscanctl -a /run/service";
        assert_eq!(0, container.shell(script).await?.code);
        wait_up(&container, Identity::Hermes, "dropped").await?;
        let expected = [lab.expected().dropped_service_uid.to_string()];
        let uid = wait_for("the service notes its uid", SOON, async || {
            let proofs = proofs(&container).await?;
            Ok::<_, Failure>(if proofs.is_empty() {
                Level::Not("nothing".to_owned())
            } else {
                Level::Holds(proofs)
            })
        });
        assert_eq!(expected, *uid.await?);
        Ok(())
    });
}

/// Each file of a gateway's slot that is run by somebody, replaced, and a reason to run it given.
#[rstest]
#[case::run("gateway-coder/run", "/command/s6-svc -r")]
#[case::run_after_a_kill("gateway-coder/run", "/command/s6-svc -k")]
#[case::finish("gateway-coder/finish", "/command/s6-svc -r")]
#[case::log("gateway-coder/log/run", "/command/s6-svc -k")]
fn a_replaced_program_of_a_slot_is_never_roots(#[case] file: &str, #[case] provoke: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = roots(&container).await?;
        let slot = file.rsplit_once('/').map_or("", |(slot, _)| slot);
        let script = format!(
            "cd /run/service && rm {file} && cp /opt/data/shot {file} && {provoke} /run/service/{slot}"
        );
        let tried = container.shell(&script).await?;
        assert_eq!((0, ""), (tried.code, &*tried.stderr));
        let ran = wait_for("the payload runs", SOON, async || {
            let proofs = proofs(&container).await?;
            Ok::<_, Failure>(Level::when(!proofs.is_empty(), proofs))
        });
        ran.await?;
        assert_no_proof_of_root(&container).await?;
        assert_eq!(before, roots(&container).await?);
        restart(&container).await?;
        assert_no_proof_of_root(&container).await
    });
}

/// The programs that s6-svscan runs by themselves, planted in the agent's scandir.
#[rstest]
#[case::finish("finish", "/command/s6-svscanctl -t /run/service")]
#[case::sigterm(
    "SIGTERM",
    "kill -TERM $(pgrep -u hermes -x s6-svscan || cat /opt/data/svscan)"
)]
#[case::sigusr1(
    "SIGUSR1",
    "kill -USR1 $(pgrep -u hermes -x s6-svscan || cat /opt/data/svscan)"
)]
#[case::crash(
    "crash",
    "kill -9 $(pgrep -u hermes -x s6-svscan || cat /opt/data/svscan)"
)]
fn a_planted_program_of_the_scandir_is_never_roots(#[case] name: &str, #[case] provoke: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = roots(&container).await?;
        let processes = container.processes().await?;
        let svscan = processes
            .iter()
            .find(|it| it.comm == "s6-svscan" && it.uid() == 10_000);
        let svscan = svscan.ok_or("there is no agent tree")?.pid;
        let script = format!(
            "echo {svscan} > /opt/data/svscan; cp /opt/data/shot /run/service/.s6-svscan/{name}
             cp /opt/data/shot /run/service/.s6-svscan/finish; {provoke}"
        );
        assert_eq!(0, container.shell(&script).await?.code);
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        assert_no_proof_of_root(&container).await?;
        assert_eq!(before, roots(&container).await?);
        restart(&container).await?;
        assert_no_proof_of_root(&container).await
    });
}

#[test]
fn hermes_can_write_nothing_that_root_runs_or_believes() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        // Everything outside its home, /tmp, its scandir and the kernel's own that it can write.
        let script = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /opt/data -o -path /run/service -o -path /tmp -o -path /var/tmp -o -path /run/lock \\) -prune \
            -o ! -type l -writable -print 2> /dev/null
            test -d /run/s6 && find /run/s6 ! -type l -writable -print 2> /dev/null";
        let found = container.shell(script).await?;
        assert_eq!("", found.stdout);
        Ok(())
    });
}

/// Acts on root's side that are refused, each with the reason that the kernel gives.
#[rstest]
#[case::signal_pid_1("kill -KILL 1", "Operation not permitted")]
#[case::end_pid_1("/command/s6-svscanctl -t /run/s6/services", "Permission denied")]
#[case::stop_pid_1("kill -STOP 1", "Operation not permitted")]
#[case::rescan_pid_1("/command/s6-svscanctl -a /run/s6/services", "Permission denied")]
#[case::stop_the_agent_tree("/command/s6-svc -d /run/s6/services/agent-tree", "Permission denied")]
#[case::open_the_control("exec 3<> /run/s6/services/.s6-svscan/control", "Permission denied")]
#[case::plant_a_root_service("mkdir /run/s6/services/evil", "Permission denied")]
#[case::plant_a_static_service("mkdir /etc/services.d/evil", "Permission denied")]
#[case::plant_a_hook("cp /opt/data/shot /etc/cont-init.d/99-evil", "Permission denied")]
#[case::rename_run_service("mv /run/service /run/other", "Permission denied")]
#[case::replace_run_s6("mv /run/s6 /opt/data/s6", "Permission denied")]
#[case::plant_a_variable(
    "echo x > /run/s6/container_environment/LD_PRELOAD",
    "Permission denied"
)]
#[case::change_a_variable("echo x > /run/s6/container_environment/PATH", "Permission denied")]
#[case::rewrite_agent_toml("echo >> /etc/talaria/agent.toml", "Permission denied")]
#[case::rewrite_the_program("cp /bin/sh /usr/libexec/talaria/talaria-boot", "Permission denied")]
#[case::read_shadow("cat /etc/shadow", "Permission denied")]
#[case::read_roots_environment("cat /proc/1/environ", "Permission denied")]
#[case::read_roots_memory("cat /proc/1/mem", "Permission denied")]
#[case::look_at_roots_files("ls /proc/1/fd/", "Permission denied")]
fn it_is_refused(#[case] attempt: &str, #[case] why: &str) {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = roots(&container).await?;
        let tried = container.exec(["bash", "-c", attempt]).await?;
        assert_ne!(0, tried.code, "it went through: {}", tried.stdout);
        let told = tried.stderr.trim_end();
        assert!(told.ends_with(why), "refused for another reason: {told}");
        assert_eq!(before, roots(&container).await?);
        Ok(())
    });
}

#[test]
fn signals_to_every_process_of_roots_are_refused() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let before = roots(&container).await?;
        for (pid, line) in &before {
            let tried = container.shell(&format!("kill -KILL {pid}")).await?;
            assert_ne!(0, tried.code, "hermes could kill {line}");
        }
        assert_eq!(before, roots(&container).await?);
        Ok(())
    });
}

#[test]
fn the_volumes_hooks_are_not_the_boots() {
    on_base(async |lab| {
        let container = target(lab).await?;
        let script = "mkdir -p /opt/data/hooks /opt/data/cont-init.d && cp /opt/data/shot /opt/data/hooks/evil && cp /opt/data/shot /opt/data/cont-init.d/evil";
        assert_eq!(0, container.shell(script).await?.code);
        restart(&container).await?;
        assert_eq!(Vec::<String>::new(), proofs(&container).await?);
        Ok(())
    });
}

#[test]
fn variables_that_hermes_sets_in_its_home_reach_no_program_of_roots() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let container = target(lab).await?;
        let script = "printf 'LD_PRELOAD=/opt/data/evil.so\\nBASH_ENV=/opt/data/shot\\nENV=/opt/data/shot\\n' | tee /opt/data/.env > /opt/data/profiles/coder/.env";
        assert_eq!(0, container.shell(script).await?.code);
        restart(&container).await?;
        for (pid, line) in roots(&container).await? {
            let path = format!("/proc/{pid}/environ");
            let read = container
                .exec_root(["grep", "-azc", "/opt/data/shot", &path])
                .await?;
            assert_ne!(0, read.code, "{line}");
        }
        assert_no_proof_of_root(&container).await
    });
}

#[test]
fn a_stop_runs_nothing_of_hermes_as_root() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let volume = lab.volume().await?;
        let payload = Tree::new()
            .file("/opt/data/shot", 0o755, SHOT)
            .owned_by(10_000, 10_000);
        let spec = lab
            .container()
            .files(light_with_profiles().and(payload))
            .volume(&volume, "/opt/data");
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let script = "for name in finish crash SIGTERM SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2 SIGPWR; do
                cp /opt/data/shot /run/service/.s6-svscan/$name
            done
            for slot in coder idle default; do
                rm -f /run/service/gateway-$slot/finish; cp /opt/data/shot /run/service/gateway-$slot/finish
            done";
        assert_eq!(0, container.shell(script).await?.code);
        container.stop(SOON).await?;
        assert_eq!(143, container.state().await?.exit_code);
        let look = lab
            .container()
            .entrypoint(["sleep"])
            .command(["1000"])
            .volume(&volume, "/opt/data");
        let look = lab.start(look).await?;
        assert_no_proof_of_root(&look).await?;
        let ran = lines(&look, Identity::Hermes, "/opt/data/proof-finish").await?;
        assert!(ran.iter().all(|uid| uid == "10000"), "{ran:?}");
        Ok(())
    });
}
