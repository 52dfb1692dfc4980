//! A program of root's that is reached by a link which `hermes` can turn: root runs what it
//! checked, for as long as the container lives.

use docker_harness::variant::Promise;
use docker_harness::{Container, Failure, Identity, Level, Tree, on_base, wait_for};

use super::assert_no_proof_of_root;
use crate::common::{SOON, light, lines, promised};

/// Root's own program for the service and its logger; notes each start.
const GOOD: &str = "#!/bin/sh\necho $(basename $(pwd)) >> /var/good\nexec sleep 1000\n";
/// What `hermes` would rather have root run.
const EVIL: &str = "#!/bin/sh\nid -u >> /opt/data/proof-link\nexec sleep 1000\n";

/// Two services of root's whose programs are links to links in a directory of `hermes`'s.
fn services() -> Tree {
    Tree::new()
        .directory("/opt/his", 0o755)
        .owned_by(10_000, 10_000)
        .symlink("/opt/his/run", "/usr/local/bin/good")
        .file("/usr/local/bin/good", 0o755, GOOD)
        .file("/opt/his/evil", 0o755, EVIL)
        .owned_by(10_000, 10_000)
        .directory("/etc/services.d/web", 0o755)
        .symlink("/etc/services.d/web/run", "/opt/his/run")
        .directory("/etc/services.d/logged", 0o755)
        .script("/etc/services.d/logged/run", "exec sleep 1000")
        .directory("/etc/services.d/logged/log", 0o755)
        .symlink("/etc/services.d/logged/log/run", "/opt/his/run")
        .file("/var/good", 0o644, "")
}

/// Has root's supervisor start a service again.
async fn restart_service(container: &Container, slot: &str) -> Result<(), Failure> {
    let path = format!("/run/s6/services/{slot}");
    let told = container
        .exec_root(["/command/s6-svc", "-r", &path])
        .await?;
    assert_eq!(0, told.code, "{}", told.stderr);
    Ok(())
}

/// Waits until the good program has started so often in a slot of this name.
async fn wait_starts(container: &Container, name: &str, times: usize) -> Result<(), Failure> {
    let started = wait_for(
        format!("{name} has started {times} times"),
        SOON,
        async || {
            let starts = lines(container, Identity::Root, "/var/good").await?;
            let proofs = lines(container, Identity::Root, "/opt/data/proof-link").await?;
            let seen = starts.iter().filter(|start| *start == name).count();
            // A start of the other program is the failure that this is about: no use in waiting.
            Ok::<_, Failure>(Level::when(seen == times || !proofs.is_empty(), starts))
        },
    );
    Ok(started.await?)
}

#[test]
fn root_runs_the_program_that_it_checked_after_the_link_to_it_was_turned() {
    on_base(async |lab| {
        if !promised(lab, Promise::RootIsOutOfReach) {
            return Ok(());
        }
        let spec = lab.container().files(light().and(services()));
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        wait_starts(&container, "web", 1).await?;
        wait_starts(&container, "log", 1).await?;

        // The link is hermes's to turn, and now leads to a program of hermes's.
        let turn = "ln -sfn /opt/his/evil /opt/his/run && readlink -f /etc/services.d/web/run";
        let turned = container.shell(turn).await?;
        assert_eq!("/opt/his/evil\n", turned.stdout, "{}", turned.stderr);
        restart_service(&container, "web").await?;
        restart_service(&container, "logged/log").await?;
        wait_starts(&container, "web", 2).await?;
        wait_starts(&container, "log", 2).await?;
        assert_no_proof_of_root(&container).await
    });
}
