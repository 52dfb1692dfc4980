//! `run_command`.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_engine::client::wire::RunSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::path;
use crate::failure::Failure;
use crate::output::Stream;
use crate::reply::{Answer, Reply, schema};
use crate::run::{Ending, variables};
use crate::server::Server;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct RunCommand {
    /// The command, for bash where the image has it, for sh otherwise. May have several lines.
    command: String,
    /// The directory it starts in; relative to the sandbox's working directory.
    cwd: Option<String>,
    /// Variables to set, beside those of the sandbox.
    env: Option<BTreeMap<String, String>>,
    /// After how many seconds it is killed with all its processes: 120 if not given, and never
    /// more than the operator allows.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
    /// What it reads on standard input; nothing if not given.
    stdin: Option<String>,
}

/// What a command did.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Ran {
    #[serde(flatten)]
    ending: Ending,
    /// The time that it was given.
    timeout_seconds: u64,
    stdout: Stream,
    stderr: Stream,
}

/// No time at all would be none that can be kept.
pub(super) fn not_zero(seconds: Option<u32>) -> Result<(), Failure> {
    if seconds == Some(0) {
        return Err(Failure::arguments(
            "timeout_seconds is 0",
            "Give at least 1, or leave it out.",
        ));
    }
    Ok(())
}

#[tool_router(router = command_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Run a shell command in the sandbox and wait for its end. Each call has a \
            fresh shell: cd and variables do not last, files do. Gives exit_code (or signal), \
            stdout and stderr; a command that fails is a result, not an error. Long output keeps \
            its beginning and its end. On a timeout or a cancellation all processes of the command \
            are killed, background ones too; what should go on running belongs in job_start. For \
            state between calls use session_run.",
        output_schema = schema::<Ran>(),
        annotations(title = "Run a command", destructive_hint = true, open_world_hint = true)
    )]
    pub(crate) async fn run_command(
        &self,
        Parameters(asked): Parameters<RunCommand>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Ran> {
        not_zero(asked.timeout_seconds)?;
        let mut call = self.call(context);
        let timeout = self.shared.limits.timeout(asked.timeout_seconds);
        let mut spec = RunSpec::shell(asked.command);
        spec.env = variables(self.shared.link.variables(), asked.env)?;
        let reached = self.reach(&mut call).await?;
        if let Some(cwd) = asked.cwd {
            spec.cwd = Some(path(&reached, &cwd)?.into());
        }
        let ran = self
            .run(&reached, spec, asked.stdin, timeout, &mut call)
            .await;
        let ran = ran.map_err(|error| {
            Failure::call("run the command", &error).noticing(reached.notice.clone())
        })?;
        Ok(Reply {
            result: Ran {
                ending: (&ran.ended).into(),
                timeout_seconds: timeout.as_secs(),
                stdout: ran.stdout,
                stderr: ran.stderr,
            },
            notice: reached.notice,
        })
    }
}
