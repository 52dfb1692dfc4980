//! The agent's volume: filled once, whoever asks and however many at once.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use docker_harness::{Failure, TestResult};
use futures_util::future::try_join_all;
use rstest::rstest;
use sandbox_engine::{Agent, AgentBinary, Exec, Sandbox};

use super::{DEBIAN, On, Rig, with_rig_on};

/// Where sandboxes have it.
const PROGRAM: &str = "/.talaria/sandbox-agent";

/// A program that stays, and the test's own, so that its volume is as well. It takes a while to be
/// written.
fn program(rig: &Rig<'_>) -> (String, AgentBinary) {
    let padding = "# a line\n".repeat(1 << 19);
    let script = format!("#!/bin/sh\n# {}\nexec sleep infinity\n{padding}", rig.owner);
    let binary = AgentBinary::new(script.clone().into_bytes());
    (script, binary)
}

/// What the engine's own exec prints: the program answers nobody.
async fn prints(sandbox: &Sandbox, script: &str) -> Result<String, Failure> {
    let command = Exec::new(["sh", "-c", script]);
    let ran = sandbox.exec_by_engine(command, &mut |_, _| {}).await?;
    Ok(ran.outcome.stdout.text().trim().to_owned())
}

/// So many sandboxes, asked for at once; that each has the program whole, and that nobody has
/// written it since the first was told so.
async fn all_have_it(rig: &Rig<'_>, binary: &AgentBinary, count: usize) -> TestResult {
    let tasks: Vec<_> = (0..count).map(|number| format!("asks-{number}")).collect();
    let asked = tasks.iter().map(async |task| {
        let spec = rig.spec(rig.file(task))?;
        let sandbox = rig.get_with(&spec, Agent::Volume(binary.clone())).await?;
        let script = format!("sha256sum < {PROGRAM}; stat -c '%i %z' {PROGRAM}");
        prints(&sandbox, &script).await
    });
    let found = try_join_all(asked).await?;
    assert!(found[0].starts_with(binary.sha256()), "{found:?}");
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    let ids = rig.containers().await?;
    assert_eq!(ids.len(), count, "the helper is gone");
    // Whoever comes next has nothing to fill.
    let docker = rig.engine.docker();
    let volume = docker.inspect_volume(&binary.volume()).await?;
    let mark = format!("{}-whole", binary.volume());
    let mark = docker.inspect_volume(&mark).await?;
    let made = serde_json::to_value(&volume)?["CreatedAt"].to_string();
    assert_eq!(mark.labels.get("talaria.agent.created"), Some(&made));
    Ok(())
}

/// Removes the test's sandboxes, and the volumes.
async fn forget(rig: &Rig<'_>, binary: &AgentBinary) -> TestResult {
    rig.clean().await?;
    let volume = binary.volume();
    for name in [volume.clone(), format!("{volume}-whole")] {
        let none = None::<RemoveVolumeOptions>;
        rig.engine.docker().remove_volume(&name, none).await?;
    }
    Ok(())
}

#[rstest]
fn the_agent_comes_on_a_volume_that_is_filled_once_or_by_upload(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let (script, binary) = program(rig);
        for agent in [
            Agent::Volume(binary.clone()),
            Agent::Volume(binary.clone()),
            Agent::Upload(binary.clone()),
        ] {
            let is_volume = matches!(agent, Agent::Volume(_));
            let sandbox = rig.get_with(&rig.spec(rig.file("agent"))?, agent).await?;
            let found = prints(&sandbox, &format!("head -n 3 {PROGRAM}")).await?;
            assert!(script.starts_with(&found), "{found}");
            let writes = format!("echo x > {PROGRAM} && echo written");
            let written = prints(&sandbox, &writes).await?;
            assert_eq!(written.is_empty(), is_volume, "a volume is read-only");
            sandbox.remove().await?;
        }
        forget(rig, &binary).await
    });
}

#[rstest]
fn all_who_ask_at_once_find_it_whole(#[values(On::Docker, On::Podman)] on: On) {
    with_rig_on(on, async |rig| {
        let (_, binary) = program(rig);
        all_have_it(rig, &binary, 8).await?;
        forget(rig, &binary).await
    });
}

#[rstest]
fn what_one_who_was_killed_has_left_is_taken_over(#[values(On::Docker, On::Podman)] on: On) {
    with_rig_on(on, async |rig| {
        let (script, binary) = program(rig);
        let docker = rig.engine.docker();
        let body = ContainerCreateBody {
            image: Some(DEBIAN.to_owned()),
            labels: Some(HashMap::from([(
                "talaria.agent".to_owned(),
                binary.sha256().to_owned(),
            )])),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:/.talaria", binary.volume())]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let name = binary.volume().replace("agent", "fill");
        let named = CreateContainerOptionsBuilder::new().name(&name).build();
        let held = docker.create_container(Some(named), body).await?.id;
        let torn = &script.as_bytes()[..script.len() / 2];
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(torn.len() as u64);
        archive.append_data(&mut header, "sandbox-agent", torn)?;
        let archive = bollard::body_full(archive.into_inner()?.into());
        let at = UploadToContainerOptionsBuilder::new().path("/.talaria");
        docker
            .upload_to_container(&held, Some(at.build()), archive)
            .await?;

        all_have_it(rig, &binary, 3).await?;
        assert!(!rig.engine.has_container(&name).await?, "{name} is there");
        forget(rig, &binary).await
    });
}

#[rstest]
fn a_mark_that_was_pruned_is_made_again_and_the_program_left_alone(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let (_, binary) = program(rig);
        all_have_it(rig, &binary, 1).await?;
        let mark = format!("{}-whole", binary.volume());
        let docker = rig.engine.docker();
        let none = || None::<RemoveVolumeOptions>;
        docker.remove_volume(&mark, none()).await?;
        // The first of them is there since before.
        all_have_it(rig, &binary, 3).await?;
        docker.inspect_volume(&mark).await?;
        forget(rig, &binary).await
    });
}
