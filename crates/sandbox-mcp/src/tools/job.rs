//! Background jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_core::text;
use sandbox_engine::client::wire::{
    Channel, Failure as Kind, Follow, JobInfo, JobState, OnDisconnect, RunSpec,
};
use sandbox_engine::client::{CallError, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::command::not_zero;
use super::file::path;
use crate::call::Call;
use crate::failure::Failure;
use crate::follow::{Begin, Followed, Part};
use crate::link::Reached;
use crate::reply::{Answer, Reply, schema};
use crate::run::{code_and_signal, variables};
use crate::server::Server;

/// How much of each stream of a job the sandbox keeps, in bytes.
const KEPT: u32 = 1 << 20;
/// Output that comes within this long is told together.
const QUIET: Duration = Duration::from_millis(100);
/// How often is looked where a stream begins, which the job may move.
const LOOKS: u32 = 5;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct JobStart {
    /// The command, for bash where the image has it, for sh otherwise.
    command: String,
    /// The directory it starts in; relative to the sandbox's working directory.
    cwd: Option<String>,
    /// Variables to set, beside those of the sandbox.
    env: Option<BTreeMap<String, String>>,
    /// After how many seconds it is killed; never, or when the operator's limit is reached, if not
    /// given.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct JobStarted {
    /// The job's number, for the other job tools.
    job: u32,
    /// After how many seconds it is killed, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct JobList {}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
}

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[expect(clippy::struct_field_names, reason = "what clients read")]
pub(crate) struct Job {
    /// Its number.
    job: u32,
    /// The beginning of its command.
    command: String,
    running: bool,
    /// Its exit code, where it has exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    /// The number of the signal that ended it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    /// How long it has run, or ran.
    duration_ms: u64,
    /// How many bytes it has written to standard output.
    stdout_bytes: u64,
    /// How many bytes it has written to standard error.
    stderr_bytes: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct JobOutput {
    /// The job's number.
    job: u32,
    /// `start` (the default): all that is kept, its middle left out where it is long. `now`: only
    /// what comes from now on, for use with `wait_seconds`.
    from: Option<Whence>,
    /// Begin standard output at this byte instead, a `next_offset` of before.
    stdout_offset: Option<u64>,
    /// Begin standard error at this byte instead, a `next_offset` of before.
    stderr_offset: Option<u64>,
    /// How many seconds to wait at most; 0, not to wait, if not given.
    wait_seconds: Option<u32>,
    /// What to wait for: `end` (the default), the end of the job; `output`, something new.
    until: Option<Until>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(rename_all = "lowercase")]
enum Whence {
    #[default]
    Start,
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(rename_all = "lowercase")]
enum Until {
    #[default]
    End,
    Output,
}

/// What a job wrote, and how it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct JobWrote {
    #[serde(flatten)]
    job: Job,
    stdout: Part,
    stderr: Part,
    /// Whether the offsets may be wrong, since the job writes faster than can be looked where its
    /// streams begin.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    approximate: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct JobKill {
    /// The job's number.
    job: u32,
    /// Forget the job and its output too.
    #[serde(default)]
    forget: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct JobKilled {
    /// The job's number.
    job: u32,
    /// How many processes were killed; 0 where it had ended before.
    killed: u32,
    /// Whether it was forgotten.
    forgotten: bool,
}

#[tool_router(router = job_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Start a shell command in the background of the sandbox and return at once: \
            for servers, watchers and long builds. The job goes on when this conversation ends, \
            until it exits, is killed, or the sandbox goes. Look at it with job_output.",
        output_schema = schema::<JobStarted>(),
        annotations(title = "Start a background job", destructive_hint = true, open_world_hint = true)
    )]
    pub(crate) async fn job_start(
        &self,
        Parameters(asked): Parameters<JobStart>,
        context: RequestContext<RoleServer>,
    ) -> Answer<JobStarted> {
        not_zero(asked.timeout_seconds)?;
        let mut call = self.call(context);
        let time = self.shared.limits.job_time(asked.timeout_seconds);
        let mut spec = RunSpec::shell(asked.command);
        spec.env = variables(self.shared.link.variables(), asked.env)?;
        spec.on_disconnect = OnDisconnect::Keep;
        spec.timeout_ms = time.map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        let reached = self.reach(&mut call).await?;
        if let Some(cwd) = asked.cwd {
            spec.cwd = Some(path(&reached, &cwd)?.into());
        }
        let starting = async {
            let started = reached.client.start_job(&spec, KEPT).await;
            started.map_err(|error| Failure::call("start the job", &error))
        };
        let job = call.wait("starting the job", starting).await;
        let job = job.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: JobStarted {
                job,
                timeout_seconds: time.map(|time| time.as_secs()),
            },
            notice: reached.notice,
        })
    }

    #[tool(
        description = "List the background jobs of the sandbox, running and ended.",
        output_schema = schema::<Jobs>(),
        annotations(title = "List background jobs", read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn job_list(
        &self,
        Parameters(JobList {}): Parameters<JobList>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Jobs> {
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let jobs = call.wait("listing the jobs", jobs(&reached)).await?;
        Ok(Reply {
            result: Jobs {
                jobs: jobs.iter().map(Job::from).collect(),
            },
            notice: reached.notice,
        })
    }

    #[tool(
        description = "Read what a background job has written, and whether it still runs; with \
            wait_seconds wait for its end or for new output. To follow a job, give the next_offset \
            of each stream back as stdout_offset and stderr_offset. The sandbox keeps the last \
            1048576 bytes of each stream.",
        output_schema = schema::<JobWrote>(),
        annotations(title = "Read a job's output", read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn job_output(
        &self,
        Parameters(asked): Parameters<JobOutput>,
        context: RequestContext<RoleServer>,
    ) -> Answer<JobWrote> {
        let mut call = self.call(context);
        let limits = &self.shared.limits;
        let wait =
            Duration::from_secs(asked.wait_seconds.unwrap_or(0).into()).min(limits.max_timeout);
        let reached = self.reach(&mut call).await?;
        let wrote = self.output(&reached, &asked, wait, &mut call).await;
        let result = wrote.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result,
            notice: reached.notice,
        })
    }

    #[tool(
        description = "Kill a background job with all its processes. Its output can still be read \
            unless forget is given; forget also removes a job that has ended.",
        output_schema = schema::<JobKilled>(),
        annotations(title = "Kill a background job", destructive_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn job_kill(
        &self,
        Parameters(asked): Parameters<JobKill>,
        context: RequestContext<RoleServer>,
    ) -> Answer<JobKilled> {
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let killing = async {
            let failed = |error| about(asked.job, "kill it", &error);
            let killed = reached.client.kill_job(asked.job).await.map_err(failed)?;
            if asked.forget {
                let failed = |error| about(asked.job, "forget it", &error);
                reached.client.remove_job(asked.job).await.map_err(failed)?;
            }
            Ok(killed)
        };
        let killed = call.wait("killing the job", killing).await;
        let killed = killed.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: JobKilled {
                job: asked.job,
                killed,
                forgotten: asked.forget,
            },
            notice: reached.notice,
        })
    }
}

impl Server {
    async fn output(
        &self,
        reached: &Reached,
        asked: &JobOutput,
        wait: Duration,
        call: &mut Call,
    ) -> Result<JobWrote, Failure> {
        let follow = Follow {
            job: asked.job,
            from_start: true,
            wait: !wait.is_zero(),
        };
        let failed = |error: CallError| about(asked.job, "follow it", &error);
        let mut looks = 0;
        let (before, mut following, approximate) = loop {
            let before = job(reached, asked.job, call).await?;
            let following = reached.client.follow_job(follow).map_err(failed)?;
            // Where nothing was dropped in between, the stream begins where was said.
            let after = job(reached, asked.job, call).await?;
            looks += 1;
            let begins = |job: &JobInfo| (job.stdout.dropped, job.stderr.dropped);
            let is_exact = begins(&before) == begins(&after);
            if is_exact || looks == LOOKS {
                break (before, following, !is_exact);
            }
        };
        let most = self.shared.limits.halves();
        let now = asked.from == Some(Whence::Now);
        let from = |offset: Option<u64>, seen: u64| match offset {
            Some(offset) => Begin::Offset(offset),
            None if now => Begin::Offset(seen),
            None => Begin::Start,
        };
        let mut stdout = Followed::new(
            from(asked.stdout_offset, before.stdout.seen),
            before.stdout.dropped,
            most,
        );
        let mut stderr = Followed::new(
            from(asked.stderr_offset, before.stderr.seen),
            before.stderr.dropped,
            most,
        );
        let until_output = asked.until == Some(Until::Output);
        let mut deadline = Instant::now() + wait;
        let mut had_output = false;
        let mut over = std::pin::pin!(call.until_cancelled());
        loop {
            let event = tokio::select! {
                biased;
                event = following.next() => event.map_err(failed)?,
                () = &mut over => return Err(Failure::cancelled()),
                () = call.tick() => continue,
                () = sleep_until(deadline), if !wait.is_zero() => break,
            };
            match event {
                Some(Event::Output(channel, bytes)) => {
                    let stream = if channel == Channel::Stderr {
                        &mut stderr
                    } else {
                        &mut stdout
                    };
                    let is_new = stream.push(&bytes);
                    if is_new && follow.wait {
                        call.note(&bytes);
                    }
                    if is_new && until_output && !had_output {
                        had_output = true;
                        deadline = deadline.min(Instant::now() + QUIET);
                    }
                    if stdout.is_full() && stderr.is_full() {
                        break;
                    }
                }
                Some(Event::Ended(_)) | None => break,
                Some(_) => {}
            }
        }
        drop(following);
        call.settle().await;
        let after = job(reached, asked.job, call).await?;
        Ok(JobWrote {
            job: Job::from(&after),
            stdout: stdout.finish(after.state == JobState::Running),
            stderr: stderr.finish(after.state == JobState::Running),
            approximate,
        })
    }
}

async fn jobs(reached: &Reached) -> Result<Vec<JobInfo>, Failure> {
    let jobs = reached.client.jobs().await;
    jobs.map_err(|error| Failure::call("list the jobs", &error))
}

async fn job(reached: &Reached, number: u32, call: &mut Call) -> Result<JobInfo, Failure> {
    let jobs = call.wait("looking at the job", jobs(reached)).await?;
    let found = jobs.into_iter().find(|job| job.job == number);
    found.ok_or_else(|| missing(number))
}

fn missing(number: u32) -> Failure {
    Failure::new(
        "not_found",
        format!("there is no job {number}"),
        "See job_list. Jobs are gone when the sandbox was made anew, or when they were forgotten.",
    )
}

fn about(number: u32, what: &str, error: &CallError) -> Failure {
    match error {
        CallError::Failed(failed) if failed.failure == Kind::NotFound => missing(number),
        error => Failure::call(&format!("find job {number} and {what}"), error),
    }
}

impl From<&JobInfo> for Job {
    fn from(info: &JobInfo) -> Self {
        let (exit_code, signal) = match info.state {
            JobState::Running => (None, None),
            JobState::Ended(end) => code_and_signal(end),
        };
        Self {
            job: info.job,
            command: text::block(&info.command.0),
            running: info.state == JobState::Running,
            exit_code,
            signal,
            duration_ms: info.duration_us / 1000,
            stdout_bytes: info.stdout.seen,
            stderr_bytes: info.stderr.seen,
        }
    }
}
