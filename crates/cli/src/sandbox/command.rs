//! `talaria sandbox run` and `exec`.

use std::io::{self, Write as _};
use std::time::Duration;

use sandbox_core::text;
use sandbox_engine::client::Client;
use sandbox_engine::client::wire::{RunSpec, Variable};
use sandbox_engine::{
    Agent, AgentError, Ask, Attached, Channel, Exec as Command, Keep, Ran, Sandbox, Stdin, Why,
    run_over,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::args::{Exec, How, Run};
use super::attach::{self, Lent};
use super::failure::{Failure, Result};
use super::forward::Wanted;
use super::outcome::Json;
use super::print::{print, to_json};
use super::progress::{Steps, patiently};
use super::reach::{Reached, Way};
use super::{caller, connect, ls, spec};
use crate::exit::Outcome;

pub(super) async fn run(way: Way<'_>, run: Run) -> Result<Outcome> {
    let pull = run.spec.pull();
    let spec = run.spec.read()?;
    let forwarded = Wanted::read(&run.how.forward)?.and(&spec.forward);
    let engine = connect(way.engine).await?;
    let agent = if run.no_agent { Agent::None } else { carried() };
    let mut steps = Steps::default();
    let mut progress = |step| steps.show(&step);
    if let Some(form) = run.print {
        let planned = engine.plan(&spec, pull, &agent, &mut progress).await?;
        print(&engine, &planned, form)?;
        return Ok(Outcome::Done);
    }
    let ask = Ask {
        pull,
        agent,
        progress: &mut progress,
    };
    let mut sandbox =
        patiently("getting the sandbox", Box::pin(engine.sandbox(&spec, ask))).await?;
    tell(&sandbox, sandbox.attached());
    if run.command.is_empty() {
        way.introduce(&sandbox).await;
        if run.json {
            to_json(&Json::sandbox(&sandbox))?;
        } else {
            writeln!(io::stdout().lock(), "{}", sandbox.name())?;
        }
        return Ok(Outcome::Done);
    }
    // A broker would only be told that the sandbox is gone.
    if !run.rm && sandbox.agent_hash().is_some() {
        sandbox = way.by_broker(sandbox).await;
    }
    if *sandbox.attached() == Attached::Reused && sandbox.agent_hash().is_some() {
        answering(&mut sandbox).await?;
    }
    let ran = if sandbox.agent_hash().is_some() && !run.json {
        let mut spec = RunSpec::argv(run.command.iter().map(String::as_str));
        run.how.add_to(&mut spec);
        spec.env = forwarded.values().into_iter().map(variable).collect();
        attach::run(&sandbox.agent_client().await?, spec, run.how.lent()).await
    } else {
        let command = command(run.command, &run.how, None, forwarded.values(), run.json);
        Box::pin(execute(Whose::Sandbox(&mut sandbox), command, run.json)).await
    };
    if run.rm {
        sandbox.remove().await?;
    }
    ran
}

/// Makes sure that the agent of a sandbox that was there answers. Where it does not, nothing in the
/// sandbox can be spoken to any more, and it is started again.
async fn answering(sandbox: &mut Sandbox) -> Result<()> {
    let asked = match sandbox.agent_client().await {
        Ok(client) => client.ping().await.map_err(|error| error.to_string()),
        Err(error @ AgentError::Connect { .. }) => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let Err(why) = asked else { return Ok(()) };
    let name = sandbox.name();
    let why = text::line(why.as_bytes());
    anstream::eprintln!("talaria: sandbox {name} is started again: {why}");
    sandbox.stop(Duration::ZERO).await?;
    if let Some(revived) = sandbox.revive().await? {
        tell(sandbox, &revived);
    }
    Ok(())
}

/// The agent that this program carries, if it was built with one.
pub(super) fn carried() -> Agent {
    #[cfg(feature = "agent")]
    return Agent::Volume(sandbox_engine::AgentBinary::embedded());
    #[cfg(not(feature = "agent"))]
    Agent::None
}

impl How {
    fn add_to(&self, spec: &mut RunSpec) {
        spec.cwd = self.workdir.as_deref().map(Into::into);
        spec.timeout_ms = self.timeout.map_or(0, |timeout| {
            // 0 would be no limit at all.
            u64::try_from(timeout.0.as_millis())
                .unwrap_or(u64::MAX)
                .max(1)
        });
    }

    fn lent(&self) -> Lent {
        Lent {
            input: self.interactive || self.tty,
            terminal: self.tty,
        }
    }
}

pub(super) async fn exec(way: Way<'_>, exec: Exec) -> Result<Outcome> {
    let mut env = Wanted::read(&exec.how.forward)?.values();
    // The last one counts.
    env.extend(spec::variables(&exec.env)?);
    let reached = if exec.no_agent {
        let engine = connect(way.engine).await?;
        let sandbox = ls::find(&engine, &caller::owner()?, &exec.sandbox).await?;
        Reached::Engine(Box::new(sandbox))
    } else {
        way.reach(&exec.sandbox).await?
    };
    let client = match reached {
        Reached::Agent(client) => client,
        Reached::Engine(mut sandbox) => {
            let inside = exec.how.tty || exec.detach || exec.session.is_some();
            if inside || exec.shell.is_some() {
                let name = sandbox.name().to_owned();
                return Err(Failure::NoAgent { name });
            }
            if !exec.no_agent {
                anstream::eprintln!(
                    "talaria: sandbox {} has no agent: the engine runs the command",
                    sandbox.name()
                );
            }
            let command = command(exec.command, &exec.how, exec.user, env, exec.json);
            let whose = Whose::Sandbox(&mut sandbox);
            return Box::pin(execute(whose, command, exec.json)).await;
        }
    };
    let mut spec = match &exec.shell {
        Some(script) => RunSpec::shell(script.as_str()),
        // What a session runs is a script.
        None if exec.session.is_some() => RunSpec::shell(quoted(&exec.command)),
        None => RunSpec::argv(exec.command.iter().map(String::as_str)),
    };
    exec.how.add_to(&mut spec);
    spec.env = env.into_iter().map(variable).collect();
    spec.user.clone_from(&exec.user);
    spec.session = exec.session.unwrap_or(0);
    if exec.detach {
        anstream::println!("{}", client.start_job(&spec, KEPT_OF_JOBS).await?);
        return Ok(Outcome::Done);
    }
    if !exec.json {
        return attach::run(&client, spec, exec.how.lent()).await;
    }
    let command = command(Vec::new(), &exec.how, None, Vec::new(), true);
    let whose = Whose::Agent(&client, &exec.sandbox, spec);
    Box::pin(execute(whose, command, true)).await
}

pub(super) fn variable((name, value): (String, String)) -> Variable {
    Variable {
        name: name.into(),
        value: value.into(),
    }
}

/// How much of each stream of a job is kept, in bytes.
const KEPT_OF_JOBS: u32 = 16 << 20;

/// A command line for a shell, of words that it is to take as they are.
fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn command(
    command: Vec<String>,
    how: &How,
    user: Option<String>,
    env: Vec<(String, String)>,
    json: bool,
) -> Command {
    Command {
        command,
        stdin: if how.interactive {
            Stdin::Reader(Box::pin(tokio::io::stdin()))
        } else {
            Stdin::Empty
        },
        env,
        cwd: how.workdir.clone(),
        user,
        timeout: how.timeout.map(|timeout| timeout.0),
        keep: if json {
            Keep::default()
        } else {
            Keep::nothing()
        },
        cancel: None,
    }
}

/// What runs a command.
enum Whose<'a> {
    /// A sandbox that was got, its agent or its engine.
    Sandbox(&'a mut Sandbox),
    /// The agent of the sandbox with this name.
    Agent(&'a Client, &'a str, RunSpec),
}

/// Runs a command, kept for JSON or passed on as it comes, and gives its code.
async fn execute(whose: Whose<'_>, mut command: Command, json: bool) -> Result<Outcome> {
    let (cancel, cancelled) = oneshot::channel();
    command.cancel = Some(cancelled);
    let mut printed = Ok(());
    let mut on_output = |channel: Channel, bytes: &[u8]| {
        if !json && printed.is_ok() {
            printed = pass_on(channel, bytes);
        }
    };
    let (found, ran, stopped_by) = match whose {
        Whose::Sandbox(sandbox) => {
            let running = Box::pin(sandbox.run(command, &mut on_output));
            let (done, stopped_by) = until_signalled(running, cancel).await?;
            let done = done?;
            if let Some(revived) = &done.revived {
                tell(sandbox, revived);
            }
            let found = Json::revived(sandbox, done.revived.as_ref());
            (found, done.ran, stopped_by)
        }
        Whose::Agent(client, name, spec) => {
            let running = run_over(client, name, spec, command, &mut on_output);
            let (ran, stopped_by) = until_signalled(running, cancel).await?;
            (Json::named(name), ran?, stopped_by)
        }
    };
    // Whoever read has read enough: as for any program in a pipe.
    printed?;
    for note in &ran.notes {
        anstream::eprintln!("talaria: {note}");
    }
    let Ran { outcome, .. } = &ran;
    if json {
        to_json(&found.with(&ran))?;
    } else if outcome.timed_out {
        let after = outcome.duration.as_secs_f64();
        anstream::eprintln!("talaria: the command was killed: it had not ended after {after:.1} s");
    }
    Ok(match stopped_by {
        Some(signal) => Outcome::Own(128 + signal),
        None if outcome.timed_out => Outcome::TimedOut,
        None => Outcome::Own(outcome.end.code()),
    })
}

/// Runs to the end; the first SIGINT or SIGTERM has the command killed before.
async fn until_signalled<T>(
    running: impl Future<Output = T>,
    cancel: oneshot::Sender<()>,
) -> Result<(T, Option<u8>)> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut running = std::pin::pin!(running);
    let by = tokio::select! {
        done = &mut running => return Ok((done, None)),
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    // It may have ended in this moment.
    cancel.send(()).ok();
    Ok((running.await, Some(by)))
}

fn pass_on(channel: Channel, bytes: &[u8]) -> io::Result<()> {
    match channel {
        Channel::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        Channel::Stderr => io::stderr().lock().write_all(bytes),
    }
}

/// Says what became of an earlier state, where something did.
fn tell(sandbox: &Sandbox, attached: &Attached) {
    let name = sandbox.name();
    match attached {
        Attached::Created | Attached::Reused => {}
        Attached::Started => anstream::eprintln!(
            "talaria: sandbox {name} was down and was started again; what ran in it and its \
             temporary files are gone"
        ),
        Attached::Recreated { why } => {
            let why = match why {
                Why::Differs(_) => "differed from what is asked",
                Why::Vanished => "had vanished",
                Why::Broken => "was broken",
            };
            anstream::eprintln!(
                "talaria: sandbox {name} {why} and was made anew; what it held outside of \
                 persistent directories is gone"
            );
        }
    }
    for one in sandbox.differences().iter().filter(|one| one.decides()) {
        let line = format!("{} is {} and not {}", one.field, one.found, one.wanted);
        anstream::eprintln!("talaria: sandbox {name}: {}", text::line(line.as_bytes()));
    }
}
