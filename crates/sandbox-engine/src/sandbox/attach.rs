//! Getting a sandbox: look, decide, act, and look again.
//!
//! Each round begins with what is there, so a process that was killed in any round, or lost a race
//! in it, is repaired by the next round of anybody.

use std::time::Duration;

use sandbox_core::drift::drift;
use sandbox_core::inspect::ContainerState;
use sandbox_core::reuse::{self, Busy, Decision, Refusal};
use sandbox_core::{AgentDelivery, ContainerPlan, Difference, Init, SandboxSpec, labels};
use tokio::time::{Instant, sleep};

use super::create::prepare_directories;
use super::running::Running;
use super::start::{First, Started};
use super::{Ask, Attached, Sandbox, SandboxError, Why, inspected};
use crate::agent::Agent;
use crate::connect::Engine;
use crate::error::Doing as _;
use crate::inside::{Line, busy};

/// How long others may be in the way.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a round came to.
enum Round {
    /// The container with this id is it, and its agent is reached over this line.
    Done(String, Attached, Vec<Difference>, Line),
    /// Something has changed, or will: look again.
    Again(String),
}

impl Engine {
    /// Gets a sandbox: the one that is there for this identity, or a new one.
    ///
    /// Any number of callers may ask for the same at once: one creates it, the others attach.
    /// Dropping the future leaves at most a container that the next call uses or replaces.
    ///
    /// # Errors
    ///
    /// [`SandboxError`] says what is in the way; what was begun is removed.
    pub async fn sandbox(&self, spec: &SandboxSpec, ask: Ask<'_>) -> Result<Sandbox, SandboxError> {
        let name = spec.identity.container_name();
        // Boxed, as what follows is: what callers hold meanwhile stays small.
        let seen = match Box::pin(self.running(spec, &name, ask.pull, &ask.agent)).await? {
            Running::Sandbox(sandbox) => return Ok(*sandbox),
            Running::Not(seen) => seen,
        };
        let plan = self.plan_with(seen.image, spec, ask.pull, &ask.agent, ask.progress);
        let (plan, ()) = tokio::try_join!(Box::pin(plan), self.prepare_network(spec))?;
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        let mut before = None;
        let mut is_absent = seen.is_absent;
        loop {
            let round = if std::mem::take(&mut is_absent) {
                // It was looked for a moment ago; whoever made one since is met by its creation.
                Box::pin(self.create(spec, &plan, &name, &ask.agent, &mut before)).await
            } else {
                Box::pin(self.round(spec, &plan, &name, &ask.agent, &mut before)).await
            };
            let obstacle = match round? {
                Round::Done(id, attached, differences, line) => {
                    let mut sandbox = self.got(spec, &plan, &ask.agent, id, attached, differences);
                    sandbox.line = line;
                    return Ok(sandbox);
                }
                Round::Again(obstacle) => obstacle,
            };
            if begun.elapsed() > PATIENCE {
                let last = obstacle;
                return Err(SandboxError::Unsettled { name, last });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// What was found, in hand.
    pub(super) fn got(
        &self,
        spec: &SandboxSpec,
        plan: &ContainerPlan,
        agent: &Agent,
        id: String,
        attached: Attached,
        differences: Vec<Difference>,
    ) -> Sandbox {
        Sandbox {
            engine: self.clone(),
            id,
            name: spec.identity.container_name(),
            agent: agent_of(plan, agent),
            line: Line::default(),
            asked: Some((spec.clone(), agent.clone())),
            attached,
            differences,
        }
    }

    async fn round(
        &self,
        spec: &SandboxSpec,
        plan: &ContainerPlan,
        name: &str,
        agent: &Agent,
        lost: &mut Option<Why>,
    ) -> Result<Round, SandboxError> {
        let found = match self.look(name).await {
            Ok(found) => found,
            Err(error) if error.fault.is_not_found() => {
                return self.create(spec, plan, name, agent, lost).await;
            }
            Err(error) => return Err(error.into()),
        };
        let seen = inspected(&found)?;
        // The digest of the whole identity decides; the name is only a part of it.
        if seen.label(labels::IDENTITY) != Some(spec.identity.digest().as_str()) {
            let name = name.to_owned();
            return Err(SandboxError::NameTaken { name });
        }
        let id = seen.id.clone();
        let differences = drift(plan, &seen);
        let state = ContainerState::from(seen.state.status.as_str());
        let is_same = !differences.iter().any(Difference::decides);
        let busy = if is_same && state == ContainerState::Running {
            // Nothing will be done to it.
            Busy::Idle
        } else {
            let agent = agent_of(plan, agent);
            busy(self, &seen, name, agent.as_deref()).await?
        };
        let again = |why: &str| Ok(Round::Again(why.to_owned()));
        match reuse::decide(spec.on_drift, &differences, &state, busy) {
            Decision::Reuse => {
                let attached = match lost.take() {
                    Some(why) => Attached::Recreated { why },
                    None => Attached::Reused,
                };
                Ok(Round::Done(id, attached, differences, Line::default()))
            }
            Decision::Start => {
                let was_new = state == ContainerState::Created;
                if let Agent::Upload(binary) = agent
                    && was_new
                {
                    // Whoever made it may have been killed before that.
                    self.upload_agent(&id, binary).await?;
                }
                let Some(line) = self.begin(&id, name, plan, agent).await? else {
                    return again("it was removed while it was being started");
                };
                let attached = match lost.take() {
                    Some(why) => Attached::Recreated { why },
                    None if was_new => Attached::Created,
                    None => Attached::Started,
                };
                Ok(Round::Done(id, attached, differences, line))
            }
            Decision::Unpause => {
                let thawed = self.docker.unpause_container(&id).await;
                let thawed = thawed.doing(|| format!("unpause sandbox {name}"));
                crate::error::gone_is_done(thawed)?;
                again("it was paused")
            }
            Decision::Recreate | Decision::Replace if state == ContainerState::Removing => {
                lost.get_or_insert(Why::Vanished);
                again("the engine is removing it")
            }
            Decision::Recreate => {
                // By its id: another process may have put a new one in its place by now.
                self.remove(&id, name).await?;
                *lost = Some(Why::Differs(differences));
                again("it differed")
            }
            Decision::Replace => {
                self.remove(&id, name).await?;
                lost.get_or_insert(Why::Broken);
                again("it was broken")
            }
            Decision::Refuse(refusal) => {
                let name = name.to_owned();
                Err(match refusal {
                    Refusal::Differs => SandboxError::Differs { name, differences },
                    Refusal::Busy(_) => SandboxError::Busy { name, differences },
                    Refusal::State(state) => SandboxError::State { name, state },
                })
            }
        }
    }

    async fn create(
        &self,
        spec: &SandboxSpec,
        plan: &ContainerPlan,
        name: &str,
        agent: &Agent,
        lost: &mut Option<Why>,
    ) -> Result<Round, SandboxError> {
        prepare_directories(spec)?;
        let Some(id) = self.make(plan, name).await? else {
            return Ok(Round::Again("another one was quicker".to_owned()));
        };
        if let Agent::Upload(binary) = agent {
            self.upload_agent(&id, binary).await?;
        }
        let Some(line) = self.begin(&id, name, plan, agent).await? else {
            return Ok(Round::Again(
                "it was removed while it was being started".to_owned(),
            ));
        };
        let attached = match lost.take() {
            Some(why) => Attached::Recreated { why },
            None => Attached::Created,
        };
        Ok(Round::Done(id, attached, Vec::new(), line))
    }

    /// Starts it, and hears where its agent waits; nothing where it is gone.
    async fn begin(
        &self,
        id: &str,
        name: &str,
        plan: &ContainerPlan,
        agent: &Agent,
    ) -> Result<Option<Line>, SandboxError> {
        let output = match self.start(id, name, first_of(plan)).await? {
            Started::Gone => return Ok(None),
            Started::Runs(output) => output,
        };
        let doorway = match output.zip(agent_of(plan, agent)) {
            Some((output, sha256)) => self.doorway(id, sha256, output).await,
            None => None,
        };
        Ok(Some(Line::through(doorway)))
    }
}

/// What is to be the first process of a sandbox as planned.
fn first_of(plan: &ContainerPlan) -> First {
    match (plan.init, &plan.agent) {
        (Init::Ours, AgentDelivery::Volume { .. } | AgentDelivery::Upload) => First::Agent {
            offers: plan.is_met_directly(),
        },
        _ => First::Other,
    }
}

/// The beginning of the SHA-256 of the agent in a sandbox as planned, if it has one.
pub(super) fn agent_of(plan: &ContainerPlan, agent: &Agent) -> Option<String> {
    let is_in = !matches!(plan.agent, AgentDelivery::None);
    let sha256 = agent.sha256().filter(|_| is_in)?;
    Some(sha256[..16].to_owned())
}
