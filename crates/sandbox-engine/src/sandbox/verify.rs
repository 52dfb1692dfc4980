//! Whether a sandbox is what it is to be: as the engine describes it, and as it turns out inside.

use std::time::Duration;

use sandbox_core::drift::drift;
use sandbox_core::inspect::{ContainerState, Inspected};
use sandbox_core::posture::{Finding, Held, Posture, Report, compare, expected, settle};
use sandbox_core::{ContainerPlan, Difference, SandboxSpec};
use tokio::time::timeout;

use super::attach::agent_of;
use super::{Sandbox, SandboxError, inspected};
use crate::agent::Agent;
use crate::connect::Engine;
use crate::error::RequestError;
use crate::image::Pull;
use crate::inside::Line;

/// How long a sandbox may take to answer all probes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a sandbox compares with what it is to be.
#[derive(Debug, Clone)]
pub struct Verified {
    /// In what the engine's description differs from the plan; empty where there is no plan.
    pub differences: Vec<Difference>,
    /// The sandbox's walls, each as the engine and the probes inside found it.
    pub findings: Vec<Finding>,
    /// Why nobody inside was asked, where nobody was: what only the inside knows is unknown then.
    pub unasked: Option<String>,
    /// What the container was to be, where that was said.
    pub plan: Option<ContainerPlan>,
}

impl Verified {
    /// The walls that do not stand.
    pub fn fallen(&self) -> impl Iterator<Item = &Finding> {
        let fallen = |finding: &&Finding| finding.held == Held::No;
        self.findings.iter().filter(fallen)
    }

    /// Whether nothing differs, and no wall is known not to stand.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.differences.is_empty() && self.fallen().next().is_none()
    }
}

impl Engine {
    /// How a sandbox that is there compares with what it is to be.
    ///
    /// # Errors
    ///
    /// As for [`Engine::sandbox`], and when it is not there. A sandbox that cannot be asked is no
    /// error.
    pub async fn verify(
        &self,
        spec: &SandboxSpec,
        agent: &Agent,
    ) -> Result<Verified, SandboxError> {
        let plan = self.plan(spec, Pull::Never, agent, &mut |_| {}).await?;
        let name = spec.identity.container_name();
        let found = inspected(&self.look(&name).await?)?;
        let given = agent_of(&plan, agent);
        let line = Line::default();
        let asked = self.ask(&found, &name, given.as_deref(), &line);
        let (report, unasked) = asked.await;
        Ok(Verified {
            differences: drift(&plan, &found),
            findings: findings(&Posture::of(&plan), &found, &report),
            unasked,
            plan: Some(plan),
        })
    }

    /// What the probes in a container found, or why they were not asked.
    async fn ask(
        &self,
        found: &Inspected,
        name: &str,
        agent: Option<&str>,
        line: &Line,
    ) -> (Report, Option<String>) {
        let unasked = |why: String| (Report::default(), Some(why));
        let state = ContainerState::from(found.state.status.as_str());
        if state != ContainerState::Running {
            return unasked(format!("it is {}", found.state.status));
        }
        if agent.is_none() {
            return unasked("it has no agent inside".to_owned());
        }
        let asking = async {
            let client = line.client(self, &found.id, name, agent).await;
            let client = client.map_err(|error| error.to_string())?;
            client.probe().await.map_err(|error| error.to_string())
        };
        let answer = match timeout(PATIENCE, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return unasked(why),
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                return unasked(format!("its agent did not answer in {seconds} s"));
            }
        };
        match Report::parse(&String::from_utf8_lossy(&answer)) {
            Ok(report) => (report, None),
            Err(error) => unasked(error.to_string()),
        }
    }
}

impl Sandbox {
    /// How it compares with what every sandbox is to be, and with the limits that the engine says
    /// it has.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or it is gone. A sandbox that cannot be asked is no error.
    pub async fn verify(&self) -> Result<Verified, RequestError> {
        let found = inspected(&self.look().await?)?;
        let agent = self.agent.as_deref();
        let asked = self.engine.ask(&found, &self.name, agent, &self.line);
        let (report, unasked) = asked.await;
        Ok(Verified {
            differences: Vec::new(),
            findings: findings(&Posture::of_engine(&found), &found, &report),
            unasked,
            plan: None,
        })
    }
}

fn findings(posture: &Posture, found: &Inspected, report: &Report) -> Vec<Finding> {
    let expected = expected(posture);
    let told = compare(&expected, &Report::of_engine(found));
    settle(compare(&expected, report), &told)
}
