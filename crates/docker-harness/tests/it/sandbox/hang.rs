//! An engine that falls silent in the middle of an answer.

use std::time::{Duration, Instant};

use sandbox_engine::{Ask, Fault, ImageError, Pull, Retry, SandboxError};

use super::between::Between;
use super::{carried, says, text, with_rig};

/// What is asked is to be answered within half a minute, on a machine that does other things too.
const BOUND: Duration = Duration::from_mins(2);

#[test]
fn an_engine_that_hangs_in_the_middle_of_an_answer_is_told_in_time() {
    with_rig(async |rig| {
        let direct = rig.get(rig.file("hang")).await?;
        let between = Between::new(rig, "between")?;
        let engine = between.engine().await?;
        // The head of an answer is some 200 bytes.
        between.hang_after(1000);
        let spec = rig.spec(rig.file("hang"))?;
        let ask = Ask {
            pull: Pull::Never,
            agent: carried(),
            progress: &mut |_| {},
        };
        let begun = Instant::now();
        let hung = Box::pin(engine.sandbox(&spec, ask)).await;
        let fault = match &hung {
            Err(SandboxError::Request(error) | SandboxError::Image(ImageError::Request(error))) => {
                &error.fault
            }
            other => panic!("{other:?}"),
        };
        assert!(matches!(**fault, Fault::Silent { .. }), "{hung:?}");
        assert!(matches!(fault.retry(), Retry::After(_)), "{hung:?}");
        assert!(fault.hint().is_some() && begun.elapsed() < BOUND);

        between.hang_after(1000);
        let address = format!("unix://{}", between.path.display());
        let said = rig.say(&["--engine", &address, "--no-broker", "ls"])?;
        let stderr = text(&said.stderr);
        assert_eq!(said.status.code(), Some(5), "{stderr}");
        assert!(stderr.contains("has not answered"), "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");

        // The engine is well, and so is the sandbox.
        assert_eq!(says(&direct, "echo well").await?, "well");
        assert_eq!(rig.containers().await?, [direct.id()]);
        Ok(())
    });
}
