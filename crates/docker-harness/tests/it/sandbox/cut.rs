//! An engine that dies in the middle of things, and destinations that take no more.

use std::time::{Duration, Instant};

use sandbox_engine::copy::Bounds;
use sandbox_engine::{Error, Exec, ExecError, Retry};

use super::between::Between;
use super::{shell, text, with_rig};

/// How long an error may take to come. An engine that is back is asked for the command's code for
/// half a minute.
const BOUND: Duration = Duration::from_mins(1);

#[test]
fn a_command_whose_engine_dies_is_lost_and_told_so_in_time() {
    with_rig(async |rig| {
        let direct = rig.get(rig.file("cut")).await?;
        let between = Between::new(rig, "between")?;
        let engine = between.engine().await?;
        for by_engine in [false, true] {
            let spec = rig.spec(rig.file("cut"))?;
            let ask = sandbox_engine::Ask {
                pull: sandbox_engine::Pull::Never,
                agent: super::carried(),
                progress: &mut |_| {},
            };
            let sandbox = engine.sandbox(&spec, ask).await?;
            let command = Exec::new(["sh", "-c", "echo begun; sleep 1000"]);
            let mut begun = None;
            let mut cut = |_, _: &[u8]| {
                begun.get_or_insert_with(Instant::now);
                between.die();
            };
            let ended = if by_engine {
                sandbox.exec_by_engine(command, &mut cut).await
            } else {
                sandbox.exec(command, &mut cut).await
            };
            let Err(error) = ended else {
                panic!("{ended:?}");
            };
            assert!(
                matches!(error, ExecError::Lost { .. } | ExecError::Line { .. }),
                "{error:?}"
            );
            assert!(error.retry() == Retry::No && error.hint().is_some());
            assert!(begun.is_some_and(|begun| begun.elapsed() < BOUND));
            // The engine is back, and so is the sandbox.
            assert_eq!(super::says(&direct, "echo well").await?, "well");
        }
        Ok(())
    });
}

#[test]
fn a_copy_whose_engine_dies_leaves_nothing_at_the_destination() {
    with_rig(async |rig| {
        let direct = rig.get(rig.file("cutcopy")).await?;
        shell(&direct, "head -c 8m /dev/zero > /opt/big").await?;
        let between = Between::new(rig, "between")?;
        let engine = between.engine().await?;
        let listed = engine.list(&rig.owner, false).await?;
        let sandbox = engine.handle(listed.first().ok_or("it is listed")?);
        let (begun, to) = (Instant::now(), rig.lab.scratch().join("out"));
        between.die_after(1 << 20);
        let ended = sandbox.copy_out("/opt/big", &to, Bounds::default()).await;
        assert!(matches!(ended, Err(Error::Copy(_))), "{ended:?}");
        assert!(!to.exists() && begun.elapsed() < BOUND);
        between.die_after(usize::MAX);
        sandbox.copy_out("/opt/big", &to, Bounds::default()).await?;
        assert_eq!(std::fs::metadata(&to)?.len(), 8 << 20);

        let killer = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            between.die();
        };
        let begun = Instant::now();
        // It may be through before.
        let (ended, ()) = tokio::join!(sandbox.copy_in(&to, "/opt/in"), killer);
        assert!(
            matches!(ended, Ok(_) | Err(Error::Copy(_) | Error::Request(_))),
            "{ended:?}"
        );
        assert!(begun.elapsed() < BOUND);
        Ok(())
    });
}

#[test]
fn a_destination_that_takes_no_more_is_told_and_left_as_it_was() {
    with_rig(async |rig| {
        let sandbox = rig.get(rig.file("full")).await?;
        shell(
            &sandbox,
            "head -c 300000 /dev/zero | tee /opt/big > /workspace/big",
        )
        .await?;
        for from in ["full:/opt/big", "full:/workspace/big"] {
            let talaria = rig.talaria(&["cp", from, "."]);
            // A file that grows over its bound is an error, and no signal.
            let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
            let mut limited = std::process::Command::new("bash");
            limited
                .args(["-c", script])
                .arg(talaria.get_program())
                .args(talaria.get_args());
            let home = rig.lab.scratch().join("full");
            std::fs::create_dir_all(&home)?;
            limited.current_dir(&home).env_clear();
            for (name, value) in talaria.get_envs() {
                limited.envs(value.map(|value| (name, value)));
            }
            let ended = limited.output()?;
            let said = text(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{said}");
            assert!(
                said.contains("File too large") && said.contains("hint: "),
                "{said}"
            );
            assert_eq!(std::fs::read_dir(&home)?.count(), 0);
        }
        Ok(())
    });
}
