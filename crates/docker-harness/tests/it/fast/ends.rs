//! How commands are ended, whatever they have started.

use std::io::{BufRead as _, BufReader};
use std::process::Output;
use std::time::{Duration, Instant};

use docker_harness::{Failure, TestResult};

use super::{Desk, at_desk, json, text};

/// A command that was killed for its time.
fn killed(output: &Output) -> Result<(), Failure> {
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    let told = json(output)?;
    assert_eq!(told["timed_out"], true, "{told}");
    assert_eq!(told["survivors"], 0, "{told}");
    Ok(())
}

#[test]
fn a_timeout_ends_all_that_a_command_has_started_and_the_next_one_works() {
    at_desk(|desk| {
        desk.sandbox("ends", &["--persist"])?;
        let cases = [
            ("setsid sleep 4001 & sleep 4001", "sleep 4001"),
            (
                "(setsid sh -c 'sleep 4002 & exit' &) ; sleep 4002",
                "sleep 4002",
            ),
            (
                "trap '' TERM INT HUP; sleep 4003 & wait; sleep 4003",
                "sleep 4003",
            ),
            ("sleep 4004 & kill -STOP $! $$; sleep 4004", "sleep 4004"),
            (
                "env -i setsid sleep 4005 >/dev/null 2>&1 </dev/null & sleep 4005",
                "sleep 4005",
            ),
        ];
        for (script, process) in cases {
            let words = [
                "exec",
                "--json",
                "--timeout",
                "1s",
                "ends",
                "--shell",
                script,
            ];
            killed(&desk.say(&words)?)?;
            assert_eq!(desk.count("ends", process)?, 0, "{script}");
            assert_eq!(desk.says(&["exec", "ends", "--", "echo", "well"])?, "well");
        }
        Ok(())
    });
}

#[test]
fn a_fork_bomb_is_ended_and_nine_commands_beside_it_are_not_touched() {
    at_desk(|desk| {
        desk.sandbox("bomb", &["--persist", "--pids", "128"])?;
        let mut beside = Vec::new();
        for number in 0..9 {
            // They read, and need no further process.
            let script = format!("echo ready; read line; echo {number} $line");
            let words = ["exec", "-i", "bomb", "--", "sh", "-c", &script];
            let mut child = desk
                .talaria(&words)
                .stdin(std::process::Stdio::piped())
                .spawn()?;
            let mut out = BufReader::new(child.stdout.take().ok_or("no stdout")?);
            let mut line = String::new();
            out.read_line(&mut line)?;
            assert_eq!(line, "ready\n");
            beside.push((number, child, out));
        }
        let bomb = "bomb() { bomb | bomb & }; bomb; sleep 4006";
        let words = ["exec", "--json", "--timeout", "2s", "bomb", "--shell", bomb];
        let begun = Instant::now();
        let output = desk.say(&words)?;
        killed(&output)?;
        println!(
            "the bomb was over after {:?}: {}",
            begun.elapsed(),
            json(&output)?["killed"]
        );
        assert_eq!(desk.says(&["exec", "bomb", "--", "echo", "well"])?, "well");
        for (number, mut child, mut out) in beside {
            let mut input = child.stdin.take().ok_or("no stdin")?;
            std::io::Write::write_all(&mut input, b"lives\n")?;
            let mut line = String::new();
            out.read_line(&mut line)?;
            assert_eq!(line, format!("{number} lives\n"));
            assert!(child.wait()?.success());
        }
        Ok(())
    });
}

fn background(desk: &Desk, script: &str, process: &str) -> TestResult {
    let begun = Instant::now();
    assert_eq!(desk.says(&["exec", "back", "--shell", script])?, "said");
    assert!(begun.elapsed() < Duration::from_mins(1), "{script}");
    assert_eq!(desk.count("back", process)?, 1, "{script}");
    Ok(())
}

#[test]
fn what_runs_in_the_background_of_a_command_that_ended_holds_nothing_up_and_lives_on() {
    at_desk(|desk| {
        desk.sandbox("back", &["--persist"])?;
        background(desk, "sleep 4010 & echo said", "sleep 4010")?;
        background(
            desk,
            "nohup sleep 4011 >/dev/null 2>&1 & echo said",
            "sleep 4011",
        )?;
        background(desk, "setsid sleep 4012 & echo said", "sleep 4012")?;
        // A later command's timeout is not theirs.
        let words = [
            "exec",
            "--json",
            "--timeout",
            "1s",
            "back",
            "--",
            "sleep",
            "4013",
        ];
        killed(&desk.say(&words)?)?;
        for process in ["sleep 4010", "sleep 4011", "sleep 4012"] {
            assert_eq!(desk.count("back", process)?, 1, "{process}");
        }
        Ok(())
    });
}
