//! The Compose files, by the Compose of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use docker_harness::engine::skip;
use docker_harness::{Failure, Lab, Level, on_hermes, wait_for};

/// Two interpreters start at once, on two busy cores.
const PATIENT: Duration = Duration::from_mins(3);

/// A project of ours, gone with its volume when it is dropped.
struct Project {
    words: Vec<&'static str>,
    file: PathBuf,
    /// Gives what Compose makes this run's labels, so that it is swept were this process killed.
    labels: PathBuf,
    name: String,
    tag: String,
}

/// The words that run Compose here.
fn compose() -> Option<Vec<&'static str>> {
    [vec!["docker", "compose"], vec!["docker-compose"]]
        .into_iter()
        .find(|words| {
            let mut version = Command::new(words[0]);
            version.args(&words[1..]).arg("version");
            let status = version.stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        })
}

impl Project {
    fn new(lab: &Lab, file: &str, services: &[&str]) -> Result<Option<Self>, Failure> {
        let Some(words) = compose() else {
            skip(
                lab.test(),
                "neither docker compose nor docker-compose is here",
            );
            return Ok(None);
        };
        let run = docker_harness::labels::Run::this();
        let labels = serde_json::to_string(&run.labels(lab.test()))?;
        let of_services: Vec<_> = services
            .iter()
            .map(|name| format!("\"{name}\": {{\"labels\": {labels}}}"))
            .collect();
        let overlay = format!(
            "{{\"services\": {{{}}}, \"volumes\": {{\"home\": {{\"labels\": {labels}}}}}, \
             \"networks\": {{\"default\": {{\"labels\": {labels}}}}}}}",
            of_services.join(", ")
        );
        let path = lab.scratch().join("labels.yaml");
        std::fs::write(&path, overlay)?;
        let (_, tag) = lab
            .image()
            .rsplit_once(':')
            .ok_or("an image without a tag")?;
        Ok(Some(Self {
            words,
            file: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../image")
                .join(file),
            labels: path,
            name: format!(
                "talaria-test-{}-{}",
                run.id,
                lab.test().replace(|c: char| !c.is_ascii_alphanumeric(), "")
            ),
            tag: tag.to_owned(),
        }))
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        Ok(Command::new(self.words[0])
            .args(&self.words[1..])
            .args(["-p", &self.name, "-f"])
            .arg(&self.file)
            .arg("-f")
            .arg(&self.labels)
            .args(arguments)
            .env("TALARIA_TAG", &self.tag)
            .env("COMPOSE_INTERACTIVE_NO_CLI", "1")
            .stdin(Stdio::null())
            .output()?)
    }

    fn must(&self, arguments: &[&str]) -> Result<String, Failure> {
        let done = self.run(arguments)?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            Ok(text)
        } else {
            let error = String::from_utf8_lossy(&done.stderr);
            Err(format!("{arguments:?}: {}: {text}{error}", done.status).into())
        }
    }

    fn exec(&self, service: &str, words: &[&str]) -> Result<Output, Failure> {
        self.run(&[&["exec", "-T", "-u", "hermes", service], words].concat())
    }

    async fn wait_healthy(&self, service: &str, expected: &str) -> Result<(), Failure> {
        let healthy = wait_for(format!("{service} is well"), PATIENT, async || {
            let said = self.exec(service, &["talaria", "health"])?;
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            Ok::<_, Failure>(Level::when(said.status.success() && text == expected, said))
        });
        Ok(healthy.await?)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = self.must(&["down", "-v", "-t", "30"]) {
            eprintln!("cannot take project {} down: {error}", self.name);
        }
    }
}

#[test]
fn one_service_is_the_agent_with_its_gateway() {
    on_hermes(async |lab| {
        let Some(project) = Project::new(lab, "compose.yaml", &["agent"])? else {
            return Ok(());
        };
        project.must(&["up", "-d"])?;
        // A first boot starts the gateway that the command names.
        project
            .wait_healthy("agent", "healthy: 1 of 1 gateways up\n")
            .await?;
        let status = project.must(&["exec", "-T", "agent", "talaria", "status"])?;
        assert!(
            status.contains("\ndefault\tup\t") && status.contains("\n[dashboard]\tdown\t"),
            "{status}"
        );
        Ok(())
    });
}

#[test]
fn two_services_share_a_home_and_the_dashboard_leaves_the_gateways_alone() {
    on_hermes(async |lab| {
        let services = ["agent", "dashboard"];
        let Some(project) = Project::new(lab, "compose.two.yaml", &services)? else {
            return Ok(());
        };
        project.must(&["up", "-d", "agent"])?;
        project
            .wait_healthy("agent", "healthy: 1 of 1 gateways up\n")
            .await?;
        // What the agent's container has written down about its gateway, and its boots.
        let pid = || {
            project.must(&[
                "exec",
                "-T",
                "agent",
                "/command/s6-svstat",
                "-o",
                "pid",
                "/run/service/gateway-default",
            ])
        };
        let boots = || {
            project.must(&[
                "exec",
                "-T",
                "agent",
                "cat",
                "/opt/data/logs/container-boot.log",
            ])
        };
        let (before, logged) = (pid()?, boots()?);
        project.must(&["up", "-d"])?;
        project
            .wait_healthy("dashboard", "healthy: the dashboard answers on port 9119\n")
            .await?;
        let slots = project.must(&["exec", "-T", "dashboard", "ls", "/run/service"])?;
        assert_eq!("", slots);
        let doctor = project.exec("dashboard", &["talaria", "doctor"])?;
        assert!(doctor.status.success(), "{doctor:?}");
        // It comes and goes, and the gateway is what it was.
        project.must(&["restart", "-t", "30", "dashboard"])?;
        project
            .wait_healthy("dashboard", "healthy: the dashboard answers on port 9119\n")
            .await?;
        project.must(&["stop", "-t", "30", "dashboard"])?;
        assert_eq!((before, logged), (pid()?, boots()?));
        project
            .wait_healthy("agent", "healthy: 1 of 1 gateways up\n")
            .await?;
        Ok(())
    });
}
