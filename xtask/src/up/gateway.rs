//! Profiles and their gateways in the container: made, started, waited for.

use std::time::{Duration, Instant};

use bollard::Docker;
use serde::Deserialize;

use super::{UpError, container};
use crate::engine::{EngineError, exec, exec_ok};
use crate::progress::Step;

/// The agent's own user; nothing here needs another.
pub(super) const USER: &str = "hermes";

/// Bounds of the two waits: for supervision, and for a gateway's interpreter and its imports.
const BOOT: Duration = Duration::from_mins(1);
const GATEWAY: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);

/// A profile, and the command lines that make it and start its gateway.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    create: &'static [&'static str],
    start: &'static [&'static str],
}

/// One by the agent's own command line, and one by ours: they work on the same services.
pub(super) const PROFILES: [Profile; 2] = [
    Profile {
        name: "coder",
        create: &["hermes", "profile", "create", "coder"],
        start: &["hermes", "-p", "coder", "gateway", "start"],
    },
    Profile {
        name: "writer",
        create: &["talaria", "profile", "create", "writer"],
        start: &["talaria", "gateway", "start", "-p", "writer"],
    },
];

/// Waits until the agent's own tree answers.
pub(super) async fn supervised(docker: &Docker, name: &str) -> Result<(), UpError> {
    let step = Step::begin("supervision");
    let what = "/run/service is not supervised";
    wait_for(docker, name, what, BOOT, &step, async || {
        let slot = "/run/service/gateway-default";
        let ran = exec(docker, name, USER, &["/command/s6-svok", slot]).await?;
        Ok(if ran.code == 0 {
            Ok(())
        } else {
            Err(first_line(&ran.output, "no supervisor yet"))
        })
    })
    .await?;
    step.done("answers");
    Ok(())
}

impl Profile {
    /// Makes the profile where it is not there, and has its gateway started where it does not run.
    pub(super) async fn start(&self, docker: &Docker, name: &str) -> Result<(), UpError> {
        let directory = format!("/opt/data/profiles/{}", self.name);
        if exec(docker, name, USER, &["test", "-d", &directory])
            .await?
            .code
            != 0
        {
            let step = Step::begin(self.create.join(" "));
            exec_ok(docker, name, USER, self.create).await?;
            step.done("created");
        }
        if self.running(docker, name).await?.is_err() {
            let step = Step::begin(self.start.join(" "));
            exec_ok(docker, name, USER, self.start).await?;
            step.done("started");
        }
        Ok(())
    }

    /// Waits until its gateway says that it runs.
    pub(super) async fn wait(&self, docker: &Docker, name: &str) -> Result<(), UpError> {
        let step = Step::begin(format!("gateway of {}", self.name));
        let what = "the gateway is not running";
        wait_for(docker, name, what, GATEWAY, &step, async || {
            self.running(docker, name).await
        })
        .await?;
        step.done("runs");
        Ok(())
    }

    /// Whether s6 says up and that very process says running; if not, what they say.
    async fn running(
        &self,
        docker: &Docker,
        name: &str,
    ) -> Result<Result<(), String>, EngineError> {
        let slot = format!("/run/service/gateway-{}", self.name);
        let status = exec(docker, name, USER, &["/command/s6-svstat", &slot]).await?;
        let status = status.output;
        let path = format!("/opt/data/profiles/{}/gateway_state.json", self.name);
        let state = exec(docker, name, USER, &["cat", &path]).await?;
        let state = if state.code == 0 {
            state.output
        } else {
            String::new()
        };
        let started = match supervised_pid(&status) {
            Some(pid) => {
                let stat = format!("/proc/{pid}/stat");
                let stat = exec(docker, name, USER, &["cat", &stat]).await?;
                start_time(&stat.output)
            }
            None => None,
        };
        Ok(judge(&status, &state, started))
    }
}

/// Asks again until the answer is yes. A container that has ended answers no more.
async fn wait_for(
    docker: &Docker,
    name: &str,
    what: &'static str,
    bound: Duration,
    step: &Step,
    mut ask: impl AsyncFnMut() -> Result<Result<(), String>, EngineError>,
) -> Result<(), UpError> {
    let deadline = Instant::now() + bound;
    let mut seen = String::new();
    loop {
        container::check_running(docker, name).await?;
        let last = match ask().await? {
            Ok(()) => return Ok(()),
            Err(last) => last,
        };
        if last != seen {
            step.note(&last);
            seen.clone_from(&last);
        }
        if Instant::now() >= deadline {
            return Err(UpError::TimedOut {
                name: name.to_owned(),
                what,
                seconds: bound.as_secs(),
                last,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// `up (pid 76 pgid 76) 3 seconds` -> 76.
fn supervised_pid(status: &str) -> Option<u32> {
    let rest = status.strip_prefix("up (pid ")?;
    rest.split([' ', ')']).next()?.parse().ok()
}

/// Field 22 of `/proc/PID/stat`: when the process started, in clock ticks since the host did.
fn start_time(stat: &str) -> Option<u64> {
    // The second field, the name, may hold anything, but nothing after it holds a parenthesis.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// The agent's state file, as far as it matters here.
#[derive(Debug, Deserialize)]
struct StateFile {
    gateway_state: Option<String>,
    pid: Option<u32>,
    start_time: Option<u64>,
}

/// The file outlives its gateway, and a container that boots again has the same PIDs again.
fn judge(status: &str, state: &str, started: Option<u64>) -> Result<(), String> {
    let pid = supervised_pid(status);
    // A file that is being replaced may be read half.
    let said = match serde_json::from_str::<StateFile>(state) {
        Ok(state) if pid.is_some() && state.pid == pid && state.start_time == started => {
            state.gateway_state
        }
        _ => None,
    };
    match said.as_deref() {
        Some("running") => Ok(()),
        said => Err(format!(
            "s6 says {}; the gateway says {}",
            first_line(status, "nothing")
                .split(" (")
                .next()
                .unwrap_or_default(),
            said.unwrap_or("nothing")
        )),
    }
}

fn first_line(text: &str, otherwise: &str) -> String {
    text.lines()
        .next()
        .filter(|line| !line.trim().is_empty())
        .unwrap_or(otherwise)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const UP: &str = "up (pid 7 pgid 7) 3 seconds, normally down";

    #[rstest]
    #[case::both(UP, r#"{"pid":7,"start_time":5,"gateway_state":"running"}"#, Ok(()))]
    #[case::early(UP, "", Err("s6 says up; the gateway says nothing"))]
    #[case::half_written(UP, r#"{"gatew"#, Err("s6 says up; the gateway says nothing"))]
    #[case::starting(
        UP,
        r#"{"pid":7,"start_time":5,"gateway_state":"starting"}"#,
        Err("s6 says up; the gateway says starting")
    )]
    #[case::of_another_process(
        UP,
        r#"{"pid":8,"start_time":5,"gateway_state":"running"}"#,
        Err("s6 says up; the gateway says nothing")
    )]
    #[case::of_an_earlier_boot(
        UP,
        r#"{"pid":7,"start_time":4,"gateway_state":"running"}"#,
        Err("s6 says up; the gateway says nothing")
    )]
    #[case::down(
        "down (exitcode 0) 3 seconds",
        r#"{"pid":7,"start_time":5,"gateway_state":"running"}"#,
        Err("s6 says down; the gateway says nothing")
    )]
    fn a_gateway_runs_when_s6_and_that_very_process_say_so(
        #[case] status: &str,
        #[case] state: &str,
        #[case] expected: Result<(), &str>,
    ) {
        assert_eq!(
            judge(status, state, Some(5)),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
        assert_eq!(start_time("no such file"), None);
    }
}
