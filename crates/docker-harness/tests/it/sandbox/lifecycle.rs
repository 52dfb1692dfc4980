//! Getting, keeping, losing and removing sandboxes.

use std::time::Duration;

use docker_harness::{Level, wait_for};
use rstest::rstest;
use sandbox_core::{NameError, Owner, SpecFile};
use sandbox_engine::{Attached, Exec, ExecError, Sandbox, SandboxError, Stdin, Why};

use super::{On, Rig, says, scalar, shell, text, with_rig_on};
use crate::common::SOON;

#[rstest]
fn a_second_caller_gets_the_same_sandbox_with_what_is_in_it(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let first = rig.get(rig.file("same")).await?;
        assert_eq!(first.attached(), &Attached::Created);
        shell(&first, "echo kept > /workspace/x").await?;
        let second = rig.get(rig.file("same")).await?;
        assert_eq!(second.attached(), &Attached::Reused);
        assert_eq!(
            (
                first.id(),
                says(&second, "cat /workspace/x").await?.as_str()
            ),
            (second.id(), "kept")
        );
        Ok(())
    });
}

#[rstest]
fn twenty_processes_that_ask_at_once_end_in_one_container(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let words = rig.run("race", &["--persist", "--", "echo", "here"]);
        let started: Vec<_> = (0..20).map(|_| rig.talaria(&words).spawn()).collect();
        for process in started {
            let ended = process?.wait_with_output()?;
            assert_eq!(text(&ended.stdout), "here\n", "{}", text(&ended.stderr));
            assert!(ended.status.success());
        }
        assert_eq!(rig.containers().await?.len(), 1);
        Ok(())
    });
}

#[rstest]
fn tasks_whose_labels_are_the_same_and_two_owners_stay_apart(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let one = rig.get(rig.file("a:b")).await?;
        let two = rig.get(rig.file("a_b")).await?;
        let other: Owner = rig.other_owner()?;
        let mut caller = rig.caller();
        caller.owner = other;
        let spec = sandbox_core::SandboxSpec::try_from(rig.file("a:b"), &caller);
        let spec = spec.map_err(|problems| format!("{problems:?}"))?;
        let three = rig.try_get(&spec).await?;
        let mut ids = vec![one.id(), two.id(), three.id()];
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        let label = |found: bollard::models::ContainerInspectResponse| {
            found
                .config
                .and_then(|config| config.labels?.remove("hermes-task-id"))
        };
        assert_eq!(label(one.inspect().await?), label(two.inspect().await?));
        // Names of owners cannot be made to run into those of tasks.
        assert_eq!(Owner::new(""), Err(NameError::Empty));
        Ok(())
    });
}

fn with_memory(rig: &Rig<'_>, memory: &str, policy: &str) -> SpecFile {
    SpecFile {
        memory: scalar(memory),
        on_drift: Some(policy.to_owned()),
        ..rig.file("drift")
    }
}

#[rstest]
fn a_sandbox_that_differs_is_refused_reused_or_made_anew_as_the_policy_says(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let first = rig.get(with_memory(rig, "128m", "refuse")).await?;
        let refused = rig
            .try_get(&rig.spec(with_memory(rig, "256m", "refuse"))?)
            .await;
        let Err(SandboxError::Differs { differences, .. }) = refused else {
            panic!("{refused:?}");
        };
        let fields: Vec<_> = differences.iter().map(|one| one.field.clone()).collect();
        assert!(
            fields.iter().all(|field| field.contains("memory")),
            "{fields:?}"
        );

        let same = rig.get(with_memory(rig, "256m", "reuse")).await?;
        assert_eq!(
            (same.id(), same.differences().is_empty()),
            (first.id(), false)
        );

        let anew = rig.get(with_memory(rig, "256m", "recreate")).await?;
        assert!(
            anew.id() != first.id() && anew.attached().lost_state(),
            "{:?}",
            anew.attached()
        );
        assert!(matches!(
            anew.attached(),
            Attached::Recreated {
                why: Why::Differs(_)
            }
        ));
        Ok(())
    });
}

#[rstest]
fn a_sandbox_that_runs_a_command_is_never_replaced(#[values(On::Docker, On::Podman)] on: On) {
    with_rig_on(on, async |rig| {
        let first = rig.get(with_memory(rig, "128m", "refuse")).await?;
        let (other, name) = (first.clone(), first.name().to_owned());
        let running = async {
            let command = Exec::new(["sh", "-c", "cat; echo ended"]);
            let (send, receive) = tokio::io::duplex(1);
            let command = command.stdin(Stdin::Reader(Box::pin(receive)));
            let ask = async {
                wait_for("the command runs", SOON, async || {
                    let busy = other.is_busy().await?;
                    Ok::<_, sandbox_engine::RequestError>(Level::when(busy, busy))
                })
                .await?;
                let answer = rig
                    .try_get(&rig.spec(with_memory(rig, "256m", "recreate"))?)
                    .await;
                assert!(
                    matches!(&answer, Err(SandboxError::Busy { name: busy, .. }) if *busy == name),
                    "{answer:?}"
                );
                let removed = rig.say(&["rm", &name])?;
                assert_eq!(removed.status.code(), Some(1), "{}", text(&removed.stderr));
                drop(send);
                Ok::<_, docker_harness::Failure>(())
            };
            let mut ignore = |_, _: &[u8]| {};
            let (ran, answer) = tokio::join!(first.exec(command, &mut ignore), ask);
            answer?;
            Ok::<_, docker_harness::Failure>(ran?)
        };
        let ran = Box::pin(running).await?;
        assert_eq!(ran.outcome.stdout.text(), "ended\n");
        Ok(())
    });
}

#[rstest]
fn a_sandbox_that_vanished_is_made_anew_and_the_command_runs_once(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let mut sandbox = rig.get(rig.file("vanish")).await?;
        let old = sandbox.clone();
        old.clone().remove().await?;
        let gone = old.exec(Exec::new(["true"]), &mut |_, _| {}).await;
        assert!(matches!(gone, Err(ExecError::Gone { .. })), "{gone:?}");
        let command = Exec::new(["sh", "-c", "echo x >> /workspace/n; wc -l < /workspace/n"]);
        let run = sandbox.run(command, &mut |_, _| {}).await?;
        assert_eq!(
            run.revived,
            Some(Attached::Recreated { why: Why::Vanished })
        );
        assert_eq!(run.ran.outcome.stdout.text().trim(), "1");
        assert_ne!(sandbox.id(), old.id());
        // Output that looks like the engine's own error changes nothing.
        let command = Exec::new([
            "sh",
            "-c",
            "echo is not running >&2; echo x >> /workspace/n; exit 1",
        ]);
        let run = sandbox.run(command, &mut |_, _| {}).await?;
        assert_eq!((run.revived, run.ran.outcome.end.code()), (None, 1));
        assert_eq!(says(&sandbox, "wc -l < /workspace/n").await?, "2");
        Ok(())
    });
}

#[rstest]
fn one_that_is_paused_down_or_half_created_is_brought_up(#[values(On::Docker, On::Podman)] on: On) {
    with_rig_on(on, async |rig| {
        let sandbox = rig.get(rig.file("up")).await?;
        let docker = rig.engine.docker().clone();
        docker.pause_container(sandbox.id()).await?;
        let again = rig.get(rig.file("up")).await?;
        assert_eq!(
            (again.id(), again.attached()),
            (sandbox.id(), &Attached::Reused)
        );
        sandbox.stop(Duration::ZERO).await?;
        let again = rig.get(rig.file("up")).await?;
        assert_eq!(
            (again.id(), again.attached()),
            (sandbox.id(), &Attached::Started)
        );
        assert!(again.attached().lost_state());

        let spec = rig.spec(rig.file("half"))?;
        let plan = rig
            .engine
            .plan(
                &spec,
                sandbox_engine::Pull::Never,
                &super::carried(),
                &mut |_| {},
            )
            .await?;
        let body = sandbox_core::render::body::create(&plan, &rig.engine.render_inputs(&plan));
        let body = serde_json::from_value(serde_json::to_value(body)?)?;
        let name = bollard::query_parameters::CreateContainerOptionsBuilder::new()
            .name(&plan.name)
            .build();
        let half = docker.create_container(Some(name), body).await?.id;
        let whole = rig.try_get(&spec).await?;
        assert_eq!(
            (whole.id(), whole.attached()),
            (half.as_str(), &Attached::Created)
        );
        assert_eq!(says(&whole, "echo up").await?, "up");
        Ok(())
    });
}

#[rstest]
fn persistent_directories_outlive_the_container_and_nothing_else_does(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let file = || SpecFile {
            persistent_filesystem: Some(true),
            ..rig.file("keep")
        };
        let first = rig.get(file()).await?;
        shell(
            &first,
            "echo kept > /workspace/x; echo home > /root/y; echo lost > /opt/z",
        )
        .await?;
        let name = first.name().to_owned();
        let removed = rig.say(&["rm", "--force", &name])?;
        assert!(removed.status.success(), "{}", text(&removed.stderr));
        assert_eq!(rig.containers().await?, Vec::<String>::new());
        // Once more is no error.
        assert!(rig.say(&["rm", "--force", &name])?.status.success());
        let second = rig.get(file()).await?;
        let found = says(
            &second,
            "cat /workspace/x /root/y /opt/z 2>/dev/null | tr '\\n' ' '",
        )
        .await?;
        assert_eq!(found, "kept home");
        Ok(())
    });
}

#[rstest]
fn a_command_that_takes_too_long_is_killed_with_all_that_it_started(
    #[values(On::Docker, On::Podman)] on: On,
) {
    with_rig_on(on, async |rig| {
        let bare = rig.get_bare(rig.file("slow-bare")).await?;
        assert!(!slow(&bare).await?.notes.is_empty(), "the engine sees less");
        let sandbox = rig.get(rig.file("slow")).await?;
        assert!(slow(&sandbox).await?.notes.is_empty());
        Ok(())
    });
}

async fn slow(sandbox: &Sandbox) -> Result<sandbox_engine::Ran, docker_harness::Failure> {
    let script = "echo begun; sleep 1000 & setsid sleep 1000 & sh -c 'sleep 1000' & wait";
    let command = Exec::new(["sh", "-c", script]).timeout(Duration::from_secs(1));
    let ran = sandbox.exec(command, &mut |_, _| {}).await?;
    let outcome = &ran.outcome;
    assert_eq!((outcome.timed_out, outcome.survivors), (true, 0), "{ran:?}");
    assert!(outcome.killed >= 4, "{ran:?}");
    assert_eq!(outcome.stdout.text(), "begun\n");
    let left = says(
        sandbox,
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 1000'",
    )
    .await?;
    assert_eq!(left, "1", "only the question itself");
    Ok(ran)
}

#[rstest]
fn streams_are_apart_and_carry_any_byte(#[values(On::Docker, On::Podman)] on: On) {
    with_rig_on(on, async |rig| {
        let sandbox = rig.get(rig.file("bytes")).await?;
        let bytes: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
        let command = Exec::new(["sh", "-c", "tee /dev/stderr"]).stdin(Stdin::Bytes(bytes.clone()));
        let ran = sandbox.exec(command, &mut |_, _| {}).await?;
        assert_eq!(ran.outcome.stdout.head, bytes);
        assert_eq!(ran.outcome.stderr.head, bytes);
        let keep = sandbox_engine::Keep {
            head: 10,
            tail: 5,
            ..sandbox_engine::Keep::default()
        };
        let command = Exec::new(["sh", "-c", "yes | head -c 5000000"]).keep(keep);
        let ran = sandbox.exec(command, &mut |_, _| {}).await?;
        let out = ran.outcome.stdout;
        assert_eq!(
            (out.head.len(), out.tail.len(), out.seen, out.dropped),
            (10, 5, 5_000_000, 4_999_985)
        );
        Ok(())
    });
}
