//! Clients and agents that are killed in the middle.

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::Instant;

use docker_harness::TestResult;

use super::{DEBIAN, Desk, PATIENCE, at_desk, inspect, text, until};

fn signal_agent(container: &str, signal: &str) -> TestResult {
    let done = Command::new("docker")
        .args(["kill", "--signal", signal, container])
        .output()?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_command_ends_with_its_client_with_and_without_the_broker() {
    at_desk(|desk| {
        desk.sandbox("gone", &["--persist"])?;
        for (words, process) in [
            (&["exec", "gone", "--", "sleep", "4020"][..], "sleep 4020"),
            (
                &["--no-broker", "exec", "gone", "--", "sleep", "4021"],
                "sleep 4021",
            ),
        ] {
            let mut client = desk.talaria(words).spawn()?;
            until("it runs", || Ok(desk.count("gone", process)? == 1))?;
            client.kill()?;
            client.wait()?;
            desk.until_gone("gone", process)?;
        }
        Ok(())
    });
}

#[test]
fn a_job_goes_on_without_its_client_and_a_new_one_gets_all_its_output() {
    at_desk(|desk| {
        desk.sandbox("jobs", &["--persist"])?;
        let script = "echo one; read line </tmp/go; echo two; exec sleep 4022";
        desk.says(&["exec", "jobs", "--", "mkfifo", "/tmp/go"])?;
        let job = desk.says(&["exec", "--detach", "jobs", "--shell", script])?;
        let mut follower = desk.talaria(&["logs", "--follow", "jobs", &job]).spawn()?;
        let mut line = String::new();
        BufReader::new(follower.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        assert_eq!(line, "one\n");
        follower.kill()?;
        follower.wait()?;
        desk.says(&["exec", "jobs", "--shell", "echo go >/tmp/go"])?;
        until("the job's output is there", || {
            Ok(desk.says(&["logs", "jobs", &job])? == "one\ntwo")
        })?;
        assert_eq!(desk.count("jobs", "sleep 4022")?, 1);
        desk.says(&["kill", "--rm", "jobs", &job])?;
        desk.until_gone("jobs", "sleep 4022")
    });
}

/// A command does not wait for an agent that was stopped, and says whose fault it is.
fn is_told(desk: &Desk, task: &str) -> TestResult {
    let begun = Instant::now();
    let said = desk.say(&["exec", task, "--", "true"])?;
    assert!(!said.status.success());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let why = text(&said.stderr);
    println!("after {:?}: {why}", begun.elapsed());
    assert!(why.contains("agent"), "{why}");
    Ok(())
}

#[test]
fn an_agent_that_is_stopped_is_told_and_the_next_run_gets_a_sandbox_that_works() {
    at_desk(|desk| {
        let container = desk.sandbox("stuck", &["--persist"])?;
        // From inside, the first process can neither be stopped nor killed.
        let inside = "kill -STOP 1; kill -KILL 1; echo tried";
        assert_eq!(desk.says(&["exec", "stuck", "--shell", inside])?, "tried");
        assert_eq!(desk.says(&["exec", "stuck", "--", "echo", "well"])?, "well");
        desk.says(&["exec", "stuck", "--", "touch", "/opt/kept"])?;

        signal_agent(&container, "STOP")?;
        is_told(desk, "stuck")?;
        let again = ["--persist", "--", "sh", "-c", "ls /opt; echo back"];
        assert_eq!(desk.sandbox("stuck", &again)?, "kept\nback");
        assert_eq!(desk.says(&["exec", "stuck", "--", "echo", "well"])?, "well");
        Ok(())
    });
}

#[test]
fn a_sandbox_whose_agent_stays_silent_is_reaped_and_one_that_answers_is_not() {
    at_desk(|desk| {
        let stuck = desk.sandbox("stuck", &["--persist"])?;
        let well = desk.sandbox("well", &["--persist"])?;
        signal_agent(&stuck, "STOP")?;
        let said = desk.says(&["reap", "--silent-for", "10s"])?;
        assert!(said.contains("Silent"), "{said}");
        assert_eq!(inspect(&stuck, "{{.State.Status}}")?, None);
        assert_eq!(
            inspect(&well, "{{.State.Status}}")?.as_deref(),
            Some("running")
        );
        let made = desk.says(&[
            "run", "--task", "stuck", "--image", DEBIAN, "--pull", "never", "--", "echo", "anew",
        ])?;
        assert_eq!(made, "anew");
        Ok(())
    });
}
