//! `status`.

use std::fmt::Display;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_core::limits::{DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, DEFAULT_SHM};
use sandbox_core::posture::{Finding, Held, Posture, Report, compare, expected};
use sandbox_core::{ContainerPlan, Limit, SandboxSpec, text};
use sandbox_engine::client::CallError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::link::Reached;
use crate::reply::{Answer, Reply, schema};
use crate::server::Server;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// Also probe the sandbox's walls from inside, which takes a second or so and gets the sandbox
    /// where it is not there yet.
    #[serde(default)]
    check_posture: bool,
}

/// What the sandbox is, and how it is now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Status {
    /// `running`, or `not_started`: the first tool that needs it gets it.
    state: &'static str,
    /// The name of its container.
    name: String,
    image: String,
    /// `none`, `isolated` (the internet, but neither the host nor other sandboxes), or `named:NAME`.
    network: String,
    /// Where commands start.
    working_directory: String,
    limits: SandboxLimits,
    mounts: Vec<Mounted>,
    /// How long it lives unused.
    lease: String,
    operator: Operator,
    /// How it is now, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Now>,
    /// What its walls are, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    posture: Option<Walls>,
}

/// `unlimited`, or how much there may be.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct SandboxLimits {
    cpus: String,
    memory: String,
    processes: String,
    disk: String,
    shm: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Mounted {
    path: String,
    read_only: bool,
}

/// What the operator allows; it cannot be changed by tools.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[expect(clippy::struct_field_names, reason = "what clients read")]
struct Operator {
    max_timeout_seconds: u64,
    /// How long a job may run; null for no limit.
    max_job_seconds: Option<u64>,
    /// How many bytes of a stream or file one result holds.
    max_output_bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Now {
    /// The number of the user that commands run as.
    uid: u32,
    up_seconds: u64,
    /// What is left of the lease; null where there is none.
    lease_left_seconds: Option<u64>,
    /// Whether a command or job runs, which keeps the lease from running out.
    busy: bool,
    commands: u32,
    jobs: u32,
    processes: u32,
    memory_bytes: Option<u64>,
    sessions: Vec<Open>,
    /// In what the container differs from what was asked, where it is used all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    differs: Vec<String>,
}

/// A session of this server's.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Open {
    name: String,
    cwd: String,
    busy: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Walls {
    /// How many things are as they are to be, as far as the sandbox can be believed.
    held: usize,
    /// What is not.
    not_held: Vec<String>,
    /// What nobody knows.
    unknown: Vec<String>,
    /// Limits that this host cannot enforce.
    unenforced: Vec<String>,
    capabilities: Vec<String>,
    seccomp: String,
}

#[tool_router(router = status_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Tell what the sandbox is and how it is now: image, network, limits, mounts, \
            lease, sessions, use of memory and processes; with check_posture whether its walls \
            stand. Does not start it.",
        output_schema = schema::<Status>(),
        annotations(title = "Sandbox status", read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn status(
        &self,
        Parameters(asked): Parameters<Ask>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Status> {
        let mut call = self.call(context);
        let reached = if asked.check_posture {
            Some(self.reach(&mut call).await?)
        } else {
            call.wait("looking at the sandbox", async {
                Ok(self.shared.link.look().await)
            })
            .await?
        };
        let looking = async {
            let Some(reached) = &reached else {
                return Ok((None, None));
            };
            let now = self.now(reached).await?;
            let walls = if asked.check_posture {
                Some(Box::pin(self.walls(reached)).await?)
            } else {
                None
            };
            Ok((Some(now), walls))
        };
        let (now, posture) = call.wait("looking at the sandbox", looking).await?;
        let mut status = self.planned();
        if let Some(reached) = &reached {
            status.state = "running";
            status.working_directory = reached.cwd.to_string();
        }
        Ok(Reply {
            result: Status {
                now,
                posture,
                ..status
            },
            notice: reached.and_then(|reached| reached.notice),
        })
    }
}

impl Server {
    /// What is known without asking anybody.
    fn planned(&self) -> Status {
        let spec: &SandboxSpec = &self.shared.link.wanted.spec;
        let limits = &self.shared.limits;
        let mounts = spec.mounts.iter().map(|mount| Mounted {
            path: mount.target.as_str().to_owned(),
            read_only: mount.read_only,
        });
        Status {
            state: "not_started",
            name: spec.identity.container_name(),
            image: spec.image.clone(),
            network: spec.network.to_string(),
            working_directory: spec.cwd.as_str().to_owned(),
            limits: SandboxLimits {
                cpus: limit(&spec.cpus, Some(DEFAULT_CPUS)),
                memory: limit(&spec.memory, Some(DEFAULT_MEMORY)),
                processes: limit(&spec.pids, Some(DEFAULT_PIDS)),
                disk: limit(&spec.disk, None),
                shm: limit(&spec.shm, Some(DEFAULT_SHM)),
            },
            mounts: mounts.collect(),
            lease: spec.lease.to_string(),
            operator: Operator {
                max_timeout_seconds: limits.max_timeout.as_secs(),
                max_job_seconds: limits.max_job_time.map(|time| time.as_secs()),
                max_output_bytes: limits.max_output as u64,
            },
            now: None,
            posture: None,
        }
    }

    async fn now(&self, reached: &Reached) -> Result<Now, Failure> {
        let failed = |error: CallError| Failure::call("ask the sandbox how it is", &error);
        let client = &reached.client;
        let status = client.status().await.map_err(failed)?;
        let metrics = client.metrics().await.map_err(failed)?;
        let open = client.sessions().await.map_err(failed)?;
        let named = self.shared.sessions.lock().await.clone();
        let ours = named
            .into_iter()
            .filter(|(_, session)| session.generation == reached.generation);
        let sessions = ours.filter_map(|(name, session)| {
            let found = open.iter().find(|one| one.session == session.number)?;
            Some(Open {
                name,
                cwd: text::line(&found.cwd.0),
                busy: found.busy,
            })
        });
        let differences = reached.sandbox.differences().iter();
        Ok(Now {
            uid: client.agent().uid,
            up_seconds: status.uptime_ms / 1000,
            lease_left_seconds: status.lease_left_ms.map(|left| left / 1000),
            busy: status.busy,
            commands: status.commands,
            jobs: status.jobs,
            processes: metrics.processes,
            memory_bytes: metrics.memory,
            sessions: sessions.collect(),
            differs: differences
                .map(|one| format!("{} is {} and not {}", one.field, one.found, one.wanted))
                .map(|line| text::line(line.as_bytes()))
                .collect(),
        })
    }

    async fn walls(&self, reached: &Reached) -> Result<Walls, Failure> {
        let wanted = &self.shared.link.wanted;
        let plan = reached
            .engine
            .plan(
                &wanted.spec,
                sandbox_engine::Pull::Never,
                &wanted.agent,
                &mut |_| {},
            )
            .await
            .map_err(|error| Failure::sandbox(&error.into()))?;
        let json = reached.client.probe().await;
        let json = json.map_err(|error| Failure::call("probe the sandbox", &error))?;
        let report = Report::parse(&String::from_utf8_lossy(&json)).map_err(|error| {
            Failure::new(
                "posture",
                format!("what the sandbox says of its walls cannot be understood: {error}"),
                "Tell the user: the program that speaks for the sandbox may have been replaced.",
            )
        })?;
        Ok(walls(
            &plan,
            &compare(&expected(&Posture::of(&plan)), &report),
        ))
    }
}

/// A limit, or what it is where nothing is said.
fn limit<T: Display>(limit: &Limit<T>, usual: Option<T>) -> String {
    match (limit, usual) {
        (Limit::Set(value), _) => value.to_string(),
        (Limit::Default, Some(value)) => value.to_string(),
        (Limit::Default, None) | (Limit::Unlimited, _) => "unlimited".to_owned(),
    }
}

fn walls(plan: &ContainerPlan, findings: &[Finding]) -> Walls {
    let told = |finding: &Finding| {
        let found = finding.found.as_ref().map(ToString::to_string);
        let line = format!(
            "{}: found {}, expected {}",
            finding.probe.as_str(),
            found.unwrap_or_else(|| "nothing".to_owned()),
            finding.expected
        );
        text::line(line.as_bytes())
    };
    let of = |wanted: fn(&Held) -> bool| findings.iter().filter(move |one| wanted(&one.held));
    let capabilities = plan.capabilities.iter();
    Walls {
        held: of(|held| matches!(held, Held::Yes)).count(),
        not_held: of(|held| matches!(held, Held::No)).map(told).collect(),
        unknown: of(|held| matches!(held, Held::Unknown { .. }))
            .map(|finding| finding.probe.as_str().to_owned())
            .collect(),
        unenforced: plan
            .unenforced
            .iter()
            .map(|one| one.field.clone())
            .collect(),
        capabilities: capabilities.map(|one| one.name().to_owned()).collect(),
        seccomp: plan.seccomp.to_string(),
    }
}
