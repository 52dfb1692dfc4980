//! Clients that are killed at any moment.

use std::time::Duration;

use sandbox_core::reap::Rules;
use sandbox_engine::Reaping;

use super::{says, with_rig};

#[test]
fn a_client_killed_at_any_moment_leaves_what_the_next_one_or_the_reaper_repairs() {
    let times: u32 = if std::env::var_os("TALARIA_SOAK").is_some_and(|value| value == "1") {
        200
    } else {
        20
    };
    with_rig(async |rig| {
        for step in 0..times {
            let words = rig.run(
                "kill",
                &["--persist", "--", "sh", "-c", "echo x; sleep 0.2"],
            );
            let mut client = rig.talaria(&words).spawn()?;
            // Spread over the time that a whole run takes.
            tokio::time::sleep(Duration::from_millis(u64::from(step * 7919 % 600))).await;
            client.kill()?;
            client.wait()?;
            assert!(rig.containers().await?.len() <= 1);
            if step % 4 == 3 {
                // Whatever is there now, the next caller gets a sandbox that works.
                let sandbox = rig.get(rig.file("kill")).await?;
                assert_eq!(says(&sandbox, "echo well").await?, "well");
                // And it is in use, or could be: it is not reaped.
                let rules = Rules {
                    created_for: 0,
                    stopped_for: 0,
                    ..Rules::default()
                };
                for one in rig.engine.reap(&rig.owner, &rules, false).await? {
                    assert!(matches!(one.what, Reaping::Kept(_)), "{one:?}");
                }
                sandbox.stop(Duration::ZERO).await?;
            }
            let rules = Rules {
                created_for: 0,
                stopped_for: 0,
                ..Rules::default()
            };
            for one in rig.engine.reap(&rig.owner, &rules, false).await? {
                assert!(!matches!(one.what, Reaping::Failed(_)), "{one:?}");
            }
            if step % 4 == 3 {
                assert_eq!(rig.containers().await?, Vec::<String>::new());
            }
        }
        Ok(())
    });
}
