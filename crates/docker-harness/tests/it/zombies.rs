//! Orphans leave no zombie.

use std::time::Duration;

use docker_harness::{Container, Failure, Level, Process, Processes, Spec, on_base, wait_for};
use rstest::rstest;

use crate::common::SOON;

/// Five hundred double forks: each child is an orphan, and ends a little later.
const FORKS: &str =
    "i=0; while [ $i -lt 500 ]; do i=$((i + 1)); ( (read line < /tmp/gate) & ); done";

/// How soon after their end none of them may be left.
const REAPED: Duration = Duration::from_secs(1);

/// The shells that wait at the gate, all of them adopted by PID 1 or by our own root process.
fn orphans(processes: &Processes) -> usize {
    let adopted = |pid: u32| pid == 1 || processes.get(pid).is_some_and(|it| it.uid() == 0);
    let waiting = |it: &&Process| it.comm == "sh" && it.line().contains("/tmp/gate");
    processes
        .iter()
        .filter(waiting)
        .filter(|it| adopted(it.ppid))
        .count()
}

async fn wait_orphans(container: &Container) -> Result<(), Failure> {
    let orphaned = wait_for("500 orphans", SOON, async || {
        let count = orphans(&container.processes().await?);
        Ok::<_, Failure>(Level::when(count == 500, count))
    });
    Ok(orphaned.await?)
}

/// Opens the gate, and waits until they are gone, all of them.
async fn assert_reaped(container: &Container) -> Result<(), Failure> {
    let opened = container.shell("exec 3<> /tmp/gate; i=0; while [ $i -lt 500 ]; do i=$((i + 1)); echo; done >&3; exec sleep 0.2").await?;
    assert_eq!(0, opened.code, "{}", opened.stderr);
    let gone = wait_for("no zombie and no orphan", REAPED, async || {
        let processes = container.processes().await?;
        let zombies = processes.iter().filter(|it| it.state == 'Z').count();
        let orphans = orphans(&processes);
        Ok::<_, Failure>(Level::when(
            zombies == 0 && orphans == 0,
            (zombies, orphans),
        ))
    });
    Ok(gone.await?)
}

fn pid_1(spec: Spec) -> Spec {
    spec
}

fn under_an_init(spec: Spec) -> Spec {
    spec.init()
}

#[rstest]
#[case::pid_1(pid_1)]
#[case::under_an_init(under_an_init)]
fn orphans_of_an_exec_are_reaped(#[case] confine: fn(Spec) -> Spec) {
    on_base(async |lab| {
        let main = "mkfifo -m 666 /tmp/gate; echo ready; exec sleep 1000";
        let container = lab.start(confine(lab.container().shell(main))).await?;
        container.says("ready", SOON).await?;
        container
            .shell(&format!("exec > /dev/null 2>&1; {FORKS}"))
            .await?;
        wait_orphans(&container).await?;
        assert_reaped(&container).await
    });
}

#[rstest]
#[case::pid_1(pid_1)]
#[case::under_an_init(under_an_init)]
fn orphans_of_the_main_program_are_reaped(#[case] confine: fn(Spec) -> Spec) {
    on_base(async |lab| {
        let main = format!("mkfifo -m 666 /tmp/gate; {FORKS}; echo ready; exec sleep 1000");
        let container = lab.start(confine(lab.container().shell(&main))).await?;
        container.says("ready", SOON).await?;
        wait_orphans(&container).await?;
        assert_reaped(&container).await
    });
}
