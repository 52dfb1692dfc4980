//! Attaching, and what it asks of the engine.

use sandbox_core::SpecFile;
use sandbox_engine::{Agent, Ask, Attached, Pull, Sandbox, SandboxError};

use super::between::Between;
use super::{Rig, carried, scalar, with_rig};

async fn attach(
    rig: &Rig<'_>,
    between: &Between,
    file: SpecFile,
    agent: Agent,
) -> Result<Result<Sandbox, SandboxError>, docker_harness::Failure> {
    let ask = Ask {
        pull: Pull::Missing,
        agent,
        progress: &mut |_| {},
    };
    let engine = between.engine().await?;
    Ok(Box::pin(engine.sandbox(&rig.spec(file)?, ask)).await)
}

#[test]
fn a_sandbox_that_runs_is_attached_to_with_three_questions() {
    with_rig(async |rig| {
        let between = Between::new(rig, "between")?;
        for (task, agent) in [("with", carried()), ("without", Agent::None)] {
            let file = || rig.file(task);
            let made = rig.get_with(&rig.spec(file())?, agent.clone()).await?;
            between.asked();
            let attached = attach(rig, &between, file(), agent).await??;
            assert_eq!(
                (attached.id(), attached.attached()),
                (made.id(), &Attached::Reused)
            );
            let mut asked = between.asked();
            asked.sort_unstable();
            let container = format!("GET /containers/{}/json", made.name());
            assert_eq!(
                asked,
                [
                    "GET /_ping",
                    &container,
                    "GET /images/talaria-debian:trixie/json"
                ]
            );
        }
        Ok(())
    });
}

#[test]
fn what_the_engine_said_at_creation_is_not_believed_of_a_sandbox_that_differs() {
    with_rig(async |rig| {
        let between = Between::new(rig, "between")?;
        let made = rig.get(rig.file("facts")).await?;
        between.asked();
        let other = SpecFile {
            memory: scalar("300m"),
            ..rig.file("facts")
        };
        let refused = attach(rig, &between, other, carried()).await?;
        assert!(
            matches!(&refused, Err(SandboxError::Differs { differences, .. })
                if differences.iter().all(|one| one.field.contains("memory"))),
            "{refused:?}"
        );
        let asked = between.asked();
        assert!(asked.iter().any(|one| one == "GET /info"), "{asked:?}");

        // Nor of one that is down: the host may be another by now.
        made.stop(std::time::Duration::ZERO).await?;
        let started = attach(rig, &between, rig.file("facts"), carried()).await??;
        assert_eq!(started.attached(), &Attached::Started);
        let asked = between.asked();
        assert!(asked.iter().any(|one| one == "GET /info"), "{asked:?}");
        Ok(())
    });
}
