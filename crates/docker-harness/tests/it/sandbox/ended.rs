//! What the end of a sandbox leaves: nothing.

use std::process::Command;
use std::time::Duration;

use docker_harness::{Failure, Level, TestResult, wait_for};
use sandbox_core::SpecFile;
use sandbox_engine::{Agent, Sandbox};

use super::inits::build;
use super::{DEBIAN, Rig, carried, shell, text, with_rig};
use crate::common::SOON;

/// The volumes of a sandbox's own: those of its image's.
async fn volumes(sandbox: &Sandbox) -> Result<Vec<String>, Failure> {
    let Agent::Volume(agent) = carried() else {
        return Err("the agent comes on a volume".into());
    };
    let mounts = sandbox.inspect().await?.mounts.unwrap_or_default();
    let names = mounts.into_iter().filter_map(|mount| mount.name);
    Ok(names.filter(|name| *name != agent.volume()).collect())
}

/// That the containers and these volumes go. An engine that removes a container by itself may still be
/// at it.
async fn are_gone(rig: &Rig<'_>, volumes: &[String]) -> TestResult {
    let gone = wait_for("nothing is left", SOON, async || {
        let mut left = rig.containers().await?;
        for name in volumes {
            if rig.engine.docker().inspect_volume(name).await.is_ok() {
                left.push(name.clone());
            }
        }
        Ok::<_, Failure>(Level::when(left.is_empty(), left))
    });
    gone.await?;
    let directories = rig.lab.scratch().join("sandboxes");
    assert!(!directories.exists(), "{}", directories.display());
    Ok(())
}

#[test]
fn removed_stopped_or_left_by_its_command_it_leaves_no_container_volume_or_directory() {
    with_rig(async |rig| {
        let image = format!("talaria-test-volume:{}", rig.owner.as_str().to_lowercase());
        build(&image, &format!("FROM {DEBIAN}\nVOLUME /data\n"))?;
        let file = |persist: bool| SpecFile {
            image: Some(image.clone()),
            persist: Some(persist),
            ..rig.file("ends")
        };
        let used = async |persist: bool| {
            let sandbox = rig.get(file(persist)).await?;
            shell(
                &sandbox,
                "echo x > /data/x; sleep 1000 & echo y > /workspace/y",
            )
            .await?;
            let own = volumes(&sandbox).await?;
            assert_eq!(own.len(), 1, "{own:?}");
            Ok::<_, Failure>((sandbox, own))
        };

        let (_, own) = used(true).await?;
        let ended = rig.say(&["rm", "--force", "ends"])?;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        are_gone(rig, &own).await?;

        let (sandbox, own) = used(false).await?;
        sandbox.stop(Duration::ZERO).await?;
        are_gone(rig, &own).await?;

        // Found by the command line, used, and removed with its command's end.
        let (_, own) = used(false).await?;
        let words = format!(
            "run --image {image} --pull never --task ends --profile {}",
            rig.profile
        );
        let words = words.split(' ').chain(["--rm", "--", "true"]);
        let ended = rig.say(&words.collect::<Vec<_>>())?;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        are_gone(rig, &own).await?;

        let removed = Command::new("docker").args(["rmi", &image]).output()?;
        assert!(removed.status.success(), "{}", text(&removed.stderr));
        Ok(())
    });
}
