//! Removing what nobody uses any more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox_core::inspect::ContainerState;
use sandbox_core::reap::{AgentSays, Keep, Observed, Reap, Remove, Rules, decide};
use sandbox_core::{Lease, Owner, labels};

use super::inspected;
use crate::agent::{LABEL, PROGRAM_PATH};
use crate::connect::Engine;
use crate::error::{Fault, RequestError};
use crate::inside::{PATIENCE, says};
use crate::time::seconds;

/// What became of one container.
#[derive(Debug)]
pub struct Reaped {
    /// Its name.
    pub name: String,
    /// The task, empty for a container that helped.
    pub task: String,
    /// What was decided and done, or would be.
    pub what: Reaping,
}

/// What was decided about a container.
#[derive(Debug)]
pub enum Reaping {
    /// It stays.
    Kept(Keep),
    /// It was removed, or would be.
    Removed(Remove),
    /// It was gone before.
    Gone,
    /// It could not be removed.
    Failed(RequestError),
}

impl Engine {
    /// Removes the sandboxes of `owner` that `rules` let go, one at a time, and containers of an
    /// interrupted preparation. With `dry_run`, nothing is removed.
    ///
    /// # Errors
    ///
    /// When the engine does not tell what there is. What cannot be removed is among the results.
    pub async fn reap(
        &self,
        owner: &Owner,
        rules: &Rules,
        dry_run: bool,
    ) -> Result<Vec<Reaped>, RequestError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let mut reaped = Vec::new();
        for one in self.list(owner, false).await? {
            let what = match self.observe(&one.id, rules.silent_for).await {
                Ok(Some((seen, id))) => {
                    self.act(decide(rules, &seen, now), &id, &one.name, dry_run)
                        .await
                }
                Ok(None) => Reaping::Gone,
                Err(error) => Reaping::Failed(error),
            };
            let (name, task) = (one.name, one.task);
            reaped.push(Reaped { name, task, what });
        }
        for helper in self.list_by_labels(vec![LABEL.to_owned()]).await? {
            let created = helper.created;
            let old = created.is_some_and(|created| {
                created > 0
                    && now.saturating_sub(created)
                        >= i64::try_from(rules.created_for).unwrap_or(i64::MAX)
            });
            let id = helper.id.unwrap_or_default();
            let name = helper.names.unwrap_or_default();
            let name = name
                .first()
                .map_or(id.as_str(), |name| name.trim_start_matches('/'))
                .to_owned();
            if old {
                let what = self
                    .act(Reap::Remove(Remove::Interrupted), &id, &name, dry_run)
                    .await;
                let task = String::new();
                reaped.push(Reaped { name, task, what });
            }
        }
        Ok(reaped)
    }

    /// What is to be known before deciding; nothing where it is gone.
    async fn observe(
        &self,
        id: &str,
        silent_for: u64,
    ) -> Result<Option<(Observed, String)>, RequestError> {
        let found = match self.look(id).await {
            Ok(found) => found,
            Err(error) if error.fault.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let seen = inspected(&found)?;
        let execs = crate::exec::running(self, &seen.exec_ids).await?;
        let words = seen.config.entrypoint.0.iter().chain(&seen.config.cmd);
        let has_agent = words.into_iter().any(|word| word == PROGRAM_PATH);
        let agent = if !has_agent {
            AgentSays::None
        } else if seen.state.status == "running" {
            let patience = PATIENCE.max(Duration::from_secs(silent_for));
            says(self, &seen.id, id, None, patience).await
        } else {
            AgentSays::NotAsked
        };
        let lease = seen.label(labels::LEASE).and_then(|text| text.parse().ok());
        let observed = Observed {
            state: ContainerState::from(seen.state.status.as_str()),
            created: seconds(&seen.created),
            finished: seconds(&seen.state.finished_at),
            profile: seen.label(labels::PROFILE).unwrap_or_default().to_owned(),
            lease: Lease::from_secs(lease.unwrap_or(0)),
            execs,
            agent,
        };
        Ok(Some((observed, seen.id)))
    }

    async fn act(&self, reap: Reap, id: &str, name: &str, dry_run: bool) -> Reaping {
        let why = match reap {
            Reap::Keep(why) => return Reaping::Kept(why),
            Reap::Remove(why) | Reap::StopAndRemove(why) => why,
        };
        if dry_run {
            return Reaping::Removed(why);
        }
        // Not by force unless it has to be: what was started since it was looked at stays.
        let force = matches!(reap, Reap::StopAndRemove(_)) || why == Remove::Dead;
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new()
            .force(force)
            .v(true)
            .build();
        match self
            .docker
            .remove_container(id, Some(options))
            .await
            .map_err(Fault::from)
        {
            Ok(()) => Reaping::Removed(why),
            Err(fault) if fault.is_not_found() => Reaping::Gone,
            Err(fault) if fault.is_conflict() => Reaping::Kept(Keep::InUse),
            Err(fault) => Reaping::Failed(RequestError::new(format!("remove {name}"), fault)),
        }
    }
}
