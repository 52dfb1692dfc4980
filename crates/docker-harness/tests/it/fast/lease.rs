//! Sandboxes that nobody uses any more.

use std::time::{Duration, Instant};

use super::{at_desk, inspect, pass, until_within};

/// Three seconds of lease, and the rest for a machine that has much to do.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_lease_that_lapses_ends_the_sandbox_and_removes_what_is_not_persistent() {
    at_desk(|desk| {
        let fleeting = desk.sandbox("fleeting", &["--lease", "3s"])?;
        desk.says(&["exec", "fleeting", "--", "true"])?;
        let begun = Instant::now();
        // The broker's connection is still there, and is no use of the sandbox.
        assert_eq!(desk.brokers()?.len(), 1);
        until_within(SOON, "it is gone", || {
            Ok(inspect(&fleeting, "{{.State.Running}}")?.is_none())
        })?;
        println!("a lease of 3 s: gone after {:?}", begun.elapsed());

        let kept = desk.sandbox("kept", &["--lease", "3s", "--persist", "--", "true"])?;
        assert_eq!(kept, "");
        let name = desk.says(&["ls", "--json"])?;
        let name: serde_json::Value = serde_json::from_str(&name)?;
        assert_eq!(name[0]["lease_seconds"], 3);
        let inspected = desk.says(&["inspect", "kept"])?;
        assert!(
            inspected.contains("Lease:           3s, ") && inspected.contains("s left"),
            "{inspected}"
        );
        let name = name[0]["name"].as_str().ok_or("no name")?.to_owned();
        let begun = Instant::now();
        until_within(SOON, "it is down", || {
            Ok(inspect(&name, "{{.State.Running}}")?.as_deref() == Some("false"))
        })?;
        println!("a lease of 3 s: down after {:?}", begun.elapsed());
        // It is there again for whoever wants it.
        let again = desk.sandbox(
            "kept",
            &["--lease", "3s", "--persist", "--", "echo", "again"],
        )?;
        assert_eq!(again, "again");
        Ok(())
    });
}

#[test]
fn a_lease_does_not_lapse_while_a_command_or_a_job_runs() {
    at_desk(|desk| {
        let name = desk.sandbox("used", &["--lease", "3s"])?;
        let script = "sleep 8; echo done";
        assert_eq!(desk.says(&["exec", "used", "--shell", script])?, "done");
        desk.says(&["exec", "--detach", "used", "--shell", "sleep 8"])?;
        pass(Duration::from_secs(6));
        assert_eq!(
            inspect(&name, "{{.State.Running}}")?.as_deref(),
            Some("true")
        );
        until_within(SOON, "it is gone after its job", || {
            Ok(inspect(&name, "{{.State.Running}}")?.is_none())
        })
    });
}
