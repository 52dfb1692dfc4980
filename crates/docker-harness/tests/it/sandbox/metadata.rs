//! The metadata address of a cloud, and whether the rule that verify proposes bars it.

use std::io::{BufRead as _, Write as _};
use std::process::{Child, Command};

use docker_harness::{Failure, TestResult};
use serde_json::Value;

use super::own::dockerd::{Dockerd, With};
use super::{Rig, text, with_rig};

/// Where the address leads: a network namespace of its own, as the cloud behind a machine is. It ends
/// when this is dropped, and with this program.
struct Cloud(Child);

impl Cloud {
    /// Nobody has to listen: a refusal shows that somebody is there.
    fn behind(dockerd: &Dockerd) -> Result<Self, Failure> {
        let held = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--"])
            .args(["sh", "-c", CLOUD])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let mut cloud = Self(held);
        let says = cloud.0.stdout.take().ok_or("it is piped")?;
        let mut said = std::io::BufReader::new(says).lines();
        let mut hears = cloud.0.stdin.take().ok_or("it is piped")?;
        assert_eq!(said.next().transpose()?.as_deref(), Some("apart"));
        let pid = cloud.0.id().to_string();
        let link = "ip link add out type veth peer name eth0 netns";
        let words: Vec<_> = link.split(' ').chain([pid.as_str()]).collect();
        dockerd.in_its_network(&words)?;
        for words in ["ip addr add 169.254.169.1/24 dev out", "ip link set out up"] {
            dockerd.in_its_network(&words.split(' ').collect::<Vec<_>>())?;
        }
        hears.write_all(b"connected\n")?;
        assert_eq!(said.next().transpose()?.as_deref(), Some("up"));
        // Its end is what the cloud waits for.
        cloud.0.stdin = Some(hears);
        Ok(cloud)
    }
}

/// Stands until its standard input ends.
const CLOUD: &str = "echo apart; read -r connected && \
    ip addr add 169.254.169.254/24 dev eth0 && ip link set eth0 up && echo up; read -r end";

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// What verify says of the address.
fn metadata(rig: &Rig<'_>) -> Result<Value, Failure> {
    let ended = rig.say(&["verify", "--json", "cloudy"])?;
    let found: Value = serde_json::from_slice(&ended.stdout)
        .map_err(|error| format!("{error}: {}", text(&ended.stderr)))?;
    let mut findings = found["findings"].as_array().into_iter().flatten();
    let one = findings.find(|one| one["probe"] == "network.metadata");
    Ok(one.ok_or("it is not probed")?.clone())
}

fn is_held(rig: &Rig<'_>, held: &str) -> TestResult {
    let finding = metadata(rig)?;
    assert_eq!(finding["held"], held, "{finding:#}");
    Ok(())
}

#[test]
fn the_rule_that_verify_proposes_bars_the_metadata_address() {
    with_rig(async |rig| {
        let directory = tempfile::tempdir()?;
        let started = Dockerd::start(rig, directory.path(), With::Networks);
        let Some(mut dockerd) = started.await? else {
            return Ok(());
        };
        let words = rig.run("cloudy", &["--persist", "--", "true"]);
        let ended = rig.say(&words)?;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        is_held(rig, "yes")?;
        let cloud = Cloud::behind(&dockerd)?;
        is_held(rig, "no")?;

        let finding = metadata(rig)?;
        let hint = finding["hint"].as_str().ok_or("it has a hint")?;
        let rule = hint
            .split_once("iptables -I ")
            .and_then(|(_, rest)| rest.split_once(" (with Podman -I "))
            .and_then(|(rule, rest)| Some((rule, rest.strip_suffix(')')?)));
        let (rule, chain) = rule.ok_or_else(|| format!("it is no rule: {hint}"))?;
        let rule: Vec<&str> = rule.split(' ').collect();
        // Podman's chain is not of any engine's making, and comes before Docker's as well.
        let elsewhere = [&[chain], &rule[1..]].concat();
        for rule in [rule, elsewhere] {
            dockerd.in_its_network(&[&["iptables", "-I"], &rule[..]].concat())?;
            is_held(rig, "yes")?;
            dockerd.in_its_network(&[&["iptables", "-D"], &rule[..]].concat())?;
            is_held(rig, "no")?;
        }
        drop(cloud);
        rig.clean().await?;
        dockerd.end()?;
        rig.back().await
    });
}
