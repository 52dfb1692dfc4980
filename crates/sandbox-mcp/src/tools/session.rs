//! `session_run` and `session_close`.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_engine::client::CallError;
use sandbox_engine::client::wire::{Failure as Kind, RunSpec, SessionEffect, SessionSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::not_zero;
use crate::call::Call;
use crate::failure::Failure;
use crate::link::Reached;
use crate::output::Stream;
use crate::reply::{Answer, Reply, schema};
use crate::run::Ending;
use crate::server::{Server, Session};

const USUAL: &str = "default";
/// The longest name, in bytes.
const NAME_MAX: usize = 64;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionRun {
    /// The command, for bash. May have several lines.
    command: String,
    /// The session's name; "default" if not given. A name that is new opens a session.
    #[schemars(length(min = 1, max = 64))]
    session: Option<String>,
    /// After how many seconds it is killed: 120 if not given, and never more than the operator
    /// allows.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
    /// What it reads on standard input; nothing if not given.
    stdin: Option<String>,
}

/// What a command did, and to its session.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct SessionRan {
    /// The session's name.
    session: String,
    /// `opened`: this was its first command. `kept`: the shell goes on. `renewed`: the command
    /// ended the shell (`exit`), a new one goes on with its state. `restored`: the shell was lost
    /// or killed, a new one goes on with the state before this command.
    session_state: &'static str,
    /// The session's working directory now.
    cwd: Option<String>,
    #[serde(flatten)]
    ending: Ending,
    /// The time that it was given.
    timeout_seconds: u64,
    stdout: Stream,
    stderr: Stream,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionClose {
    /// The session's name; "default" if not given.
    session: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct SessionClosed {
    /// The session's name.
    session: String,
    /// Whether there was such a session.
    was_open: bool,
}

#[tool_router(router = session_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Run a shell command in a session: a bash that stays between calls with its \
            working directory, variables, functions and aliases. One command at a time in each \
            session; use several names for independent work. A timeout or a cancellation kills \
            the command and brings the session back to the state before it. Results are as those \
            of run_command.",
        output_schema = schema::<SessionRan>(),
        annotations(title = "Run a command in a session", destructive_hint = true, open_world_hint = true)
    )]
    pub(crate) async fn session_run(
        &self,
        Parameters(asked): Parameters<SessionRun>,
        context: RequestContext<RoleServer>,
    ) -> Answer<SessionRan> {
        not_zero(asked.timeout_seconds)?;
        let name = name(asked.session)?;
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let opened = self.session(&reached, &name, &mut call).await;
        let (session, is_new) = opened.map_err(|error| error.noticing(reached.notice.clone()))?;
        let timeout = self.shared.limits.timeout(asked.timeout_seconds);
        let mut spec = RunSpec::shell(asked.command);
        spec.session = session.number;
        let ran = self
            .run(&reached, spec, asked.stdin, timeout, &mut call)
            .await;
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => {
                if is_gone(&error) {
                    self.shared.sessions.lock().await.remove(&name);
                    return Err(lost(&name).noticing(reached.notice));
                }
                let failure = Failure::call("run the command in the session", &error);
                return Err(failure.noticing(reached.notice));
            }
        };
        let session_state = match ran.ended.session {
            SessionEffect::Renewed => "renewed",
            SessionEffect::Restored => "restored",
            SessionEffect::Kept | SessionEffect::None if is_new => "opened",
            SessionEffect::Kept | SessionEffect::None => "kept",
        };
        let cwd = ran.ended.cwd.as_ref();
        Ok(Reply {
            result: SessionRan {
                session: name,
                session_state,
                cwd: cwd.map(|cwd| String::from_utf8_lossy(&cwd.0).into_owned()),
                ending: (&ran.ended).into(),
                timeout_seconds: timeout.as_secs(),
                stdout: ran.stdout,
                stderr: ran.stderr,
            },
            notice: reached.notice,
        })
    }

    #[tool(
        description = "Close a session and kill what still runs in it. A later session_run of the \
            same name begins anew.",
        output_schema = schema::<SessionClosed>(),
        annotations(title = "Close a session", destructive_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn session_close(
        &self,
        Parameters(asked): Parameters<SessionClose>,
        context: RequestContext<RoleServer>,
    ) -> Answer<SessionClosed> {
        let name = name(asked.session)?;
        let mut call = self.call(context);
        let known = self.shared.sessions.lock().await.remove(&name);
        let Some(session) = known else {
            return Ok(Reply {
                result: SessionClosed {
                    session: name,
                    was_open: false,
                },
                notice: None,
            });
        };
        let reached = self.reach(&mut call).await?;
        let mut was_open = session.generation == reached.generation;
        if was_open {
            let closing = async {
                match reached.client.close_session(session.number).await {
                    Ok(()) => Ok(true),
                    Err(error) if is_gone(&error) => Ok(false),
                    Err(error) => Err(Failure::call("close the session", &error)),
                }
            };
            was_open = call.wait("closing the session", closing).await?;
        }
        Ok(Reply {
            result: SessionClosed {
                session: name,
                was_open,
            },
            notice: reached.notice,
        })
    }
}

impl Server {
    /// The session of a name, and whether it was opened for this. One that was lost with the
    /// sandbox is told first: a command for its state must not run without it.
    async fn session(
        &self,
        reached: &Reached,
        name: &str,
        call: &mut Call,
    ) -> Result<(Session, bool), Failure> {
        let mut sessions = self.shared.sessions.lock().await;
        if let Some(session) = sessions.get(name).copied() {
            if session.generation == reached.generation {
                return Ok((session, false));
            }
            sessions.remove(name);
            return Err(lost(name));
        }
        let spec = SessionSpec {
            cwd: Some((*reached.cwd).into()),
            env: self.shared.link.variables(),
            user: None,
            login: false,
        };
        let opening = async {
            let opened = reached.client.open_session(&spec).await;
            opened.map_err(|error| Failure::call("open the session", &error))
        };
        let number = call.wait("opening the session", opening).await?;
        let session = Session {
            number,
            generation: reached.generation,
        };
        sessions.insert(name.to_owned(), session);
        Ok((session, true))
    }
}

fn is_gone(error: &CallError) -> bool {
    matches!(error, CallError::Failed(failed) if failed.failure == Kind::NotFound)
}

fn lost(name: &str) -> Failure {
    Failure::new(
        "session_lost",
        format!(
            "session {name:?} is gone with its working directory, variables and functions. Nothing \
             was run"
        ),
        "Call again to open a new session of that name; set up again what it needs first.",
    )
}

fn name(asked: Option<String>) -> Result<String, Failure> {
    let name = asked.unwrap_or_else(|| USUAL.to_owned());
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Failure::arguments(
            "the session's name cannot be",
            format!("Give 1 to {NAME_MAX} bytes without control characters."),
        ));
    }
    Ok(name)
}
