//! The way to the agent past the engine.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use docker_harness::Failure;

use super::{DEBIAN, Desk, PATIENCE, at_desk, inspect, text, until};

/// How many connections of other machines a sandbox has: this one's is one.
fn connections(desk: &Desk, task: &str, more: &[&str]) -> Result<usize, Failure> {
    let words = [&["exec"], more, &[task, "--", "cat", "/proc/net/tcp"]].concat();
    let all = desk.says(&words)?;
    let states = all
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    Ok(states.filter(|state| *state == "01").count())
}

#[test]
fn a_sandbox_in_the_sandboxes_own_network_is_reached_past_the_engine_and_others_through_it() {
    at_desk(|desk| {
        let cases: [(&str, &[&str], usize); 3] = [
            ("own", &[], 1),
            ("none", &["--network", "none"], 0),
            // Somebody else may listen there.
            ("shared", &["--network", "named:bridge"], 0),
        ];
        for (task, network, direct) in cases {
            desk.sandbox(task, network)?;
            assert_eq!(connections(desk, task, &[])?, direct, "{task}");
            let before = connections(desk, task, &[])?;
            let with_another = connections(desk, task, &["--no-broker"])?;
            assert_eq!(with_another - before, direct, "{task}");
            let script = "head -c 20000000 /dev/urandom | tee /tmp/much; sha256sum /tmp/much >&2";
            let said = desk.say(&["exec", task, "--shell", script])?;
            let mut sum = Command::new("sha256sum");
            let file = desk.home().join("much");
            std::fs::write(&file, &said.stdout)?;
            let sum = text(&sum.arg(&file).output()?.stdout);
            let digits = |text: &str| text.split_whitespace().next().map(str::to_owned);
            assert_eq!(digits(&sum), digits(&text(&said.stderr)), "{task}");
            assert_eq!(said.stdout.len(), 20_000_000, "{task}");
            // Nothing listens but what is meant to: the port was open for one client.
            let listens = "awk '$4 == \"0A\" && $2 !~ /7F:/' /proc/net/tcp /proc/net/tcp6";
            assert_eq!(
                desk.says(&["exec", task, "--shell", listens])?,
                "",
                "{task}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_network_that_is_taken_away_ends_the_connection_and_the_next_one_goes_through_the_engine() {
    at_desk(|desk| {
        let name = desk.sandbox("away", &["--persist"])?;
        let mut child = desk
            .talaria(&[
                "exec",
                "away",
                "--",
                "sh",
                "-c",
                "echo begun; exec sleep 4080",
            ])
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        assert_eq!(line, "begun\n");
        let network = inspect(
            &name,
            "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}",
        )?;
        let network = network.ok_or("no network")?;
        let done = Command::new("docker")
            .args(["network", "disconnect", &network, &name])
            .status()?;
        assert!(done.success());
        let begun = Instant::now();
        let ended = child.wait_with_output()?;
        println!(
            "the end of the connection was seen after {:?}",
            begun.elapsed()
        );
        assert!(begun.elapsed() < PATIENCE);
        assert!(!ended.status.success());
        assert_ne!(text(&ended.stderr), "", "it says why");
        assert_eq!(desk.says(&["exec", "away", "--", "echo", "well"])?, "well");
        // Each side finds out for itself.
        until("the agent has noticed", || {
            Ok(connections(desk, "away", &[])? == 0)
        })?;
        // Its client has gone, and the agent knows.
        desk.until_gone("away", "sleep 4080")?;
        Ok(())
    });
}

/// How many execs a container has been asked for, ever.
fn execs(container: &str) -> Result<usize, Failure> {
    let filter = format!("container={container}");
    // What happens in this second is told as well.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let until = (now + 1).to_string();
    let said = Command::new("docker")
        .args(["events", "--since", "10m", "--until", &until])
        .args(["--filter", &filter])
        .output()?;
    assert!(said.status.success(), "{}", text(&said.stderr));
    let all = text(&said.stdout);
    assert!(
        all.contains(" start "),
        "the engine tells its events: {all}"
    );
    Ok(all
        .lines()
        .filter(|line| line.contains(" exec_create:"))
        .count())
}

#[test]
fn a_new_sandbox_needs_no_exec_for_its_first_client() {
    at_desk(|desk| {
        for more in [&[][..], &["--no-broker"]] {
            let task = if more.is_empty() { "first" } else { "second" };
            let words = ["run", "--task", task, "--persist", "--image", DEBIAN];
            let words = [&words[..], more, &["--", "echo", "well"]].concat();
            assert_eq!(desk.says(&words)?, "well");
            let name = desk.says(&["run", "--task", task, "--persist", "--image", DEBIAN])?;
            assert_eq!(execs(&name)?, 0, "{task}");
            if more.is_empty() {
                // The broker keeps the connection for those who come later, whatever they call it.
                for called in [&name, task] {
                    assert_eq!(
                        desk.says(&["exec", called, "--", "echo", "again"])?,
                        "again"
                    );
                    assert_eq!(execs(&name)?, 0, "{task}");
                }
            }
            // The same where it was down.
            let stopped = Command::new("docker").args(["stop", &name]).output()?;
            assert!(stopped.status.success());
            assert_eq!(desk.says(&words)?, "well");
            assert_eq!(execs(&name)?, 0, "{task}");
        }
        let name = desk.sandbox("third", &[])?;
        assert_eq!(desk.says(&["exec", "third", "--", "echo", "well"])?, "well");
        assert_eq!(execs(&name)?, 0, "what was only made was made known");
        let name = desk.sandbox("none", &["--network", "none"])?;
        assert_eq!(desk.says(&["exec", "none", "--", "echo", "well"])?, "well");
        assert_eq!(execs(&name)?, 1);
        Ok(())
    });
}
