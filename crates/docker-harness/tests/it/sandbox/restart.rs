//! An engine that is restarted under its sandboxes.

use docker_harness::Failure;
use rstest::rstest;
use sandbox_core::SpecFile;
use sandbox_engine::{Attached, Exec, ExecError, Retry};

use super::own::dockerd::{Dockerd, With};
use super::{DEBIAN, Rig, says, shell, text, with_rig};

/// One that the engine keeps, on an engine without a bridge.
fn file(rig: &Rig<'_>) -> SpecFile {
    SpecFile {
        network: Some("none".to_owned()),
        ..rig.file("restart")
    }
}

#[rstest]
#[case::and_with_it_its_containers(With::Nothing)]
#[case::and_its_containers_live_on(With::LiveRestore)]
fn an_engine_that_restarts_loses_what_ran_and_tells_so(#[case] with: With) {
    let live_restore = with == With::LiveRestore;
    with_rig(async |rig| {
        let directory = tempfile::tempdir()?;
        let Some(mut dockerd) = Dockerd::start(rig, directory.path(), with).await? else {
            return Ok(());
        };
        let spec = rig.spec(file(rig))?;
        let mut sandbox = rig.try_get(&spec).await?;
        let script =
            "echo x >> /opt/kept; echo x > /workspace/lost; sleep 1000 & echo $! > /tmp/pid";
        shell(&sandbox, script).await?;

        // While a command runs.
        let mut ended = Ok(());
        let command = Exec::new(["sh", "-c", "echo x >> /opt/once; echo begun; sleep 1000"]);
        let cut = sandbox
            .exec(command, &mut |_, _| ended = dockerd.end())
            .await;
        ended?;
        let Err(error) = cut else {
            return Err(format!("the command ended: {cut:?}").into());
        };
        assert!(
            matches!(error, ExecError::Lost { .. } | ExecError::Line { .. }),
            "{error:?}"
        );
        assert_eq!(error.retry(), Retry::No, "it may have run");
        assert!(error.hint().is_some());

        // While it is down.
        let unreached = sandbox.clone().revive().await;
        let Err(error) = unreached else {
            return Err(format!("it was reached: {unreached:?}").into());
        };
        assert_eq!(error.retry(), Retry::Yes, "{error:?}");
        let words = ["run", "--image", DEBIAN, "--pull", "never", "--", "true"];
        let refused = rig.say(&words)?;
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(5), "{said}");
        assert!(said.contains("no container engine answers"), "{said}");

        rig.engine = dockerd.resume().await?;
        let command = Exec::new(["sh", "-c", "echo x >> /opt/kept; wc -l < /opt/kept"]);
        let run = Box::pin(sandbox.run(command, &mut |_, _| {})).await?;
        let revived = (!live_restore).then_some(Attached::Started);
        assert_eq!(run.revived, revived);
        assert_eq!(run.ran.outcome.stdout.text().trim(), "2", "it ran once");
        assert_eq!(says(&sandbox, "wc -l < /opt/once").await?, "1");
        let left = says(
            &sandbox,
            "ls /workspace; kill -0 $(cat /tmp/pid) && echo runs",
        )
        .await?;
        let expected = if live_restore { "lost\nruns" } else { "" };
        assert_eq!(left, expected, "what ran, and what its tmpfs held");
        assert_eq!(rig.containers().await?, [sandbox.id()]);

        removed_with_its_engine(rig, &mut dockerd).await?;
        finish(rig, &mut dockerd).await
    });
}

/// One that is not to persist may be gone after that, with live-restore too: its engine removes it.
/// Then that is told, and in no case is it there twice.
async fn removed_with_its_engine(rig: &mut Rig<'_>, dockerd: &mut Dockerd) -> Result<(), Failure> {
    let spec = rig.spec(SpecFile {
        task: Some("brief".to_owned()),
        persist: Some(false),
        ..file(rig)
    })?;
    let mut brief = rig.try_get(&spec).await?;
    let before = brief.id().to_owned();
    dockerd.end()?;
    rig.engine = dockerd.resume().await?;
    let revived = Box::pin(brief.revive()).await?;
    assert_eq!(revived.is_none(), brief.id() == before, "{revived:?}");
    assert!(revived.is_none_or(|attached| attached.lost_state()));
    assert_eq!(says(&brief, "echo well").await?, "well");
    assert_eq!(rig.containers().await?.len(), 2);
    Ok(())
}

/// Nothing runs on when its engine ends.
async fn finish(rig: &mut Rig<'_>, dockerd: &mut Dockerd) -> Result<(), Failure> {
    rig.clean().await?;
    assert_eq!(rig.containers().await?, Vec::<String>::new());
    dockerd.end()?;
    rig.back().await
}
