//! The supervision tree: its shape, and who is who in it.

use docker_harness::variant::Promise;
use docker_harness::{Identity, Tree, on_base};

use crate::common::{light_with_profiles, promised, sketch, slot, wait_sketch, wait_up};

/// The tree of a container with one gateway up, one down, and one static service.
const DRAWN: &str = "\
0 s6-svscan /run/s6/services
  0 init
    10000 sleep
  0 s6-supervise agent-tree
    10000 s6-svscan /run/service
      10000 s6-supervise gateway-coder
        10000 gateway
          10000 sleep
      10000 s6-supervise gateway-coder/log
        10000 s6-log
      10000 s6-supervise gateway-default
      10000 s6-supervise gateway-default/log
        10000 s6-log
      10000 s6-supervise gateway-idle
      10000 s6-supervise gateway-idle/log
        10000 s6-log
  0 s6-supervise ticker
    0 sleep
";

fn files() -> Tree {
    light_with_profiles()
        .directory("/etc/services.d/ticker", 0o755)
        .script("/etc/services.d/ticker/run", "exec sleep 1000000")
}

#[test]
fn the_tree_is_as_drawn() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_sketch(&container, DRAWN).await?;
        assert_eq!(
            "s6-svscan\n",
            container.shell("cat /proc/1/comm").await?.stdout
        );
        assert_eq!(
            "/dev/null\n",
            container
                .exec_root(["readlink", "/proc/1/fd/0"])
                .await?
                .stdout
        );
        Ok(())
    });
}

#[test]
fn the_names_that_an_agent_looks_for_are_there() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let stats = container
            .exec([
                "stat",
                "-c",
                "%n %F %U %a",
                "/run/s6/basedir",
                "/run/service",
            ])
            .await?;
        assert_eq!(
            "/run/s6/basedir directory root 755\n/run/service directory hermes 755\n",
            stats.stdout
        );
        let idle = slot(&container, Identity::Hermes, "gateway-idle")
            .await?
            .ok_or("not supervised")?;
        assert!(!idle.up && !idle.wanted_up, "{idle:?}");
        Ok(())
    });
}

#[test]
fn all_that_runs_for_the_agent_is_hermes_without_a_capability() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab
            .start(spec.group_add("44").group_add("0").group_add("4711"))
            .await?;
        wait_sketch(&container, DRAWN).await?;
        let processes = container.processes().await?;
        let mut seen = 0;
        for process in processes.iter() {
            let roots = ["agent-tree", "ticker"]
                .map(Some)
                .contains(&process.args.last().map(String::as_str))
                || process.pid == 1
                || process.comm == "init"
                || process.line() == "sleep 1000000"
                    && processes.get(process.ppid).is_some_and(|it| it.uid() == 0);
            if roots {
                assert_eq!([0; 4], process.uids, "{process:?}");
                continue;
            }
            assert_eq!([10_000; 4], process.uids, "{process:?}");
            assert_eq!([10_000; 4], process.gids, "{process:?}");
            assert_eq!(vec![44, 4711], process.groups, "{process:?}");
            assert_eq!(0, process.capabilities, "{process:?}");
            seen += 1;
        }
        assert_eq!(13, seen, "{}", sketch(&processes));
        Ok(())
    });
}

#[test]
fn nothing_in_run_is_an_executable_file() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let found = container
            .exec_root(["find", "/run", "-type", "f", "-perm", "/111"])
            .await?;
        assert_eq!((0, "", ""), (found.code, &*found.stdout, &*found.stderr));
        let slot = "/run/service/gateway-coder";
        let links = format!("readlink {slot}/run {slot}/finish {slot}/log/run");
        let expected = "/usr/libexec/talaria/gateway-run\n/usr/libexec/talaria/gateway-finish\n/usr/libexec/talaria/gateway-log\n";
        assert_eq!(expected, container.shell(&links).await?.stdout);
        Ok(())
    });
}

#[test]
fn a_slot_with_scripts_of_its_own_gets_our_links_on_a_rescan() {
    on_base(async |lab| {
        if !promised(lab, Promise::AgentTree) {
            return Ok(());
        }
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        // What the agent's own command line does when it creates a profile.
        let script = "mkdir -p $HERMES_HOME/profiles/writer && echo > $HERMES_HOME/profiles/writer/SOUL.md
            slot=/run/service/gateway-writer && mkdir -p $slot/log
            printf '#!/bin/sh\\nexec sleep 4321\\n' | tee $slot/run > $slot/log/run && chmod +x $slot/run $slot/log/run
            exec /command/s6-svscanctl -a /run/service";
        let asked = container.shell(script).await?;
        assert_eq!((0, ""), (asked.code, &*asked.stderr));
        let pid = wait_up(&container, Identity::Hermes, "gateway-writer").await?;
        crate::common::wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-writer",
            &["started 10000"],
        )
        .await?;
        let processes = container.processes().await?;
        let gateway = processes.get(pid).ok_or("it is gone")?;
        assert_eq!(
            ("/bin/sh /opt/light/gateway writer".to_owned(), 10_000),
            (gateway.line(), gateway.uid())
        );
        Ok(())
    });
}

#[test]
fn a_service_that_the_agent_controls_obeys_hermes() {
    on_base(async |lab| {
        let spec = lab
            .container()
            .files(files())
            .command(["sleep", "infinity"]);
        let container = lab.start(spec).await?;
        wait_up(&container, Identity::Hermes, "gateway-coder").await?;
        let down = [
            "/command/s6-svc",
            "-wD",
            "-d",
            "-T",
            "10000",
            "/run/service/gateway-coder",
        ];
        assert_eq!(0, container.exec(down).await?.code);
        crate::common::wait_down(&container, "gateway-coder").await?;
        let up = [
            "/command/s6-svc",
            "-wu",
            "-u",
            "-T",
            "10000",
            "/run/service/gateway-idle",
        ];
        assert_eq!(0, container.exec(up).await?.code);
        crate::common::wait_lines(
            &container,
            Identity::Hermes,
            "/opt/data/notes-idle",
            &["started 10000"],
        )
        .await?;
        Ok(())
    });
}
