//! The process that keeps connections open.

use std::time::Duration;

use docker_harness::Failure;

use super::{at_desk, kill, pass, program, text, until};

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmHWM")?.parse()?)
}

#[test]
fn twenty_clients_at_once_share_one_that_starts_by_itself_and_outlives_them() {
    at_desk(|desk| {
        desk.sandbox("twenty", &["--persist"])?;
        assert!(desk.brokers()?.is_empty(), "none is needed yet");
        let clients: Result<Vec<_>, _> = (0..20)
            .map(|n| {
                desk.talaria(&["exec", "twenty", "--", "echo", &n.to_string()])
                    .spawn()
            })
            .collect();
        for (n, client) in clients?.into_iter().enumerate() {
            let said = client.wait_with_output()?;
            assert!(said.status.success(), "{}", text(&said.stderr));
            assert_eq!(text(&said.stdout), format!("{n}\n"));
        }
        until("one is left", || Ok(desk.brokers()?.len() == 1))?;

        // Killed, it is missed by nobody.
        let broker = desk.brokers()?[0];
        kill(broker, "KILL")?;
        until("it is dead", || Ok(!desk.brokers()?.contains(&broker)))?;
        assert_eq!(
            desk.says(&["exec", "twenty", "--", "echo", "well"])?,
            "well"
        );
        assert_eq!(desk.brokers()?.len(), 1);

        // Another build has one of its own, and the older one goes.
        let older = desk.brokers()?;
        let copy = desk.home().join("talaria-copy");
        std::fs::copy(program(), &copy)?;
        let said = desk
            .by(&copy, &["exec", "twenty", "--", "echo", "copy"])
            .output()?;
        assert_eq!(text(&said.stdout), "copy\n", "{}", text(&said.stderr));
        until("the older one is gone", || {
            let now = desk.brokers()?;
            Ok(now.len() == 1 && now != older)
        })?;
        assert!(desk.by(&copy, &["broker", "stop"]).status()?.success());
        until("it is stopped", || Ok(desk.brokers()?.is_empty()))
    });
}

#[test]
fn without_it_none_is_started_and_one_without_clients_ends() {
    at_desk(|desk| {
        desk.sandbox("alone", &["--persist"])?;
        let words = ["--no-broker", "exec", "alone", "--", "echo", "direct"];
        assert_eq!(desk.says(&words)?, "direct");
        assert!(desk.brokers()?.is_empty());
        let mut brief = desk.talaria(&["exec", "alone", "--", "echo", "brief"]);
        let said = brief.env("TALARIA_BROKER_IDLE", "500ms").output()?;
        assert_eq!(text(&said.stdout), "brief\n");
        until("it has ended", || Ok(desk.brokers()?.is_empty()))
    });
}

#[test]
fn a_client_that_does_not_read_costs_it_no_memory_and_holds_up_nobody() {
    at_desk(|desk| {
        desk.sandbox("deaf", &["--persist"])?;
        desk.says(&["exec", "deaf", "--", "true"])?;
        let broker = desk.brokers()?[0];
        let before = peak(broker)?;
        let mut deaf = Vec::new();
        for _ in 0..4 {
            deaf.push(
                desk.talaria(&["exec", "deaf", "--", "cat", "/dev/zero"])
                    .spawn()?,
            );
        }
        pass(Duration::from_secs(2));
        assert_eq!(desk.says(&["exec", "deaf", "--", "echo", "well"])?, "well");
        let after = peak(broker)?;
        let clients: Result<Vec<_>, _> = deaf.iter().map(|one| peak(one.id())).collect();
        println!(
            "broker: {before} KiB, then {after} KiB; its clients: {:?}",
            clients?
        );
        assert!(after < before + 32 * 1024, "{before} KiB, then {after} KiB");
        for mut one in deaf {
            one.kill()?;
            one.wait()?;
        }
        desk.until_gone("deaf", "cat /dev/zero")
    });
}

#[test]
fn it_keeps_no_file_of_whoever_started_it() {
    at_desk(|desk| {
        desk.sandbox("files", &["--persist"])?;
        let held = desk.home().join("held");
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", "exec 7>\"$1\"; shift; exec \"$@\"", "sh"])
            .arg(&held)
            .arg(program())
            .args(["sandbox", "exec", "files", "--", "echo", "well"]);
        desk.dress(&mut shell);
        let said = shell.output()?;
        assert_eq!(text(&said.stdout), "well\n", "{}", text(&said.stderr));
        assert!(held.exists());
        let broker = desk.brokers()?[0];
        for file in std::fs::read_dir(format!("/proc/{broker}/fd"))? {
            assert_ne!(std::fs::read_link(file?.path())?, held);
        }
        Ok(())
    });
}
