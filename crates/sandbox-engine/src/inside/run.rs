//! Running a command through the agent, with the same result as through the engine.

use std::time::Duration;

use sandbox_client::wire::{
    Channel as Wire, Ended, Failed, Failure, Input, Program, RunSpec, Variable,
};
use sandbox_client::{CallError, Client, Control, Event, wire};
use sandbox_core::{End, Outcome, Via};
use tokio::io::AsyncReadExt as _;

use crate::capture::Capture;
use crate::exec::{Channel, Exec, ExecError, Ran, Stdin};

/// Runs a command over a connection to an agent, as [`Sandbox::exec`](crate::Sandbox::exec) does.
/// `name` is what the sandbox is called in messages.
///
/// # Errors
///
/// As for [`Sandbox::exec`](crate::Sandbox::exec).
pub async fn exec_over(
    client: &Client,
    name: &str,
    exec: Exec,
    on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
) -> Result<Ran, ExecError> {
    let mut spec = RunSpec::argv(exec.command.iter().map(String::as_str));
    spec.cwd = exec.cwd.as_deref().map(Into::into);
    let variable = |(name, value): &(String, String)| Variable {
        name: name.as_str().into(),
        value: value.as_str().into(),
    };
    spec.env = exec.env.iter().map(variable).collect();
    spec.user.clone_from(&exec.user);
    spec.timeout_ms = exec.timeout.map_or(0, |timeout| {
        // 0 would be no limit at all.
        u64::try_from(timeout.as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    });
    run_over(client, name, spec, exec, on_output).await
}

/// The same for whatever an agent runs: a script, or a command in a session. Of `exec`, only its
/// stdin, what is kept, and what cancels it count.
///
/// # Errors
///
/// As for [`Sandbox::exec`](crate::Sandbox::exec).
pub async fn run_over(
    client: &Client,
    name: &str,
    mut spec: RunSpec,
    exec: Exec,
    on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
) -> Result<Ran, ExecError> {
    let program = match &spec.program {
        Program::Argv(argv) => match argv.first() {
            Some(program) => String::from_utf8_lossy(&program.0).into_owned(),
            None => return Err(ExecError::Empty),
        },
        Program::Shell(_) => "a shell".to_owned(),
    };
    if !matches!(exec.stdin, Stdin::Empty) {
        spec.input = Input::Stream;
    }
    let failed = |error| failed(error, name, &program);
    let mut running = client.run(&spec).map_err(failed)?;
    let feeding = feed(exec.stdin, running.control());
    let control = running.control();
    let cancelled = async {
        // Where the sender is dropped, nobody can cancel it any more.
        if let Some(cancel) = exec.cancel
            && cancel.await.is_ok()
        {
            control.cancel();
        }
    };
    let beside = async { tokio::join!(feeding, cancelled) };
    let mut beside = std::pin::pin!(beside);
    let mut is_beside = true;
    let (mut stdout, mut stderr) = (Capture::new(&exec.keep), Capture::new(&exec.keep));
    let mark = crate::kill::new_mark();
    loop {
        let event = tokio::select! {
            event = running.next() => event.map_err(failed)?,
            _ = &mut beside, if is_beside => {
                is_beside = false;
                continue;
            }
        };
        match event {
            Some(Event::Output(channel, bytes)) => {
                let (capture, channel, word) = match channel {
                    Wire::Stderr => (&mut stderr, Channel::Stderr, "stderr"),
                    _ => (&mut stdout, Channel::Stdout, "stdout"),
                };
                on_output(channel, &bytes);
                let kept = capture.push(&bytes, &format!("{mark}-{word}"));
                kept.map_err(|source| ExecError::Spill {
                    name: name.to_owned(),
                    source,
                })?;
            }
            Some(Event::Ended(ended)) => {
                let outcome = outcome(ended, stdout, stderr);
                return Ok(Ran {
                    outcome,
                    notes: Vec::new(),
                });
            }
            Some(_) => {}
            None => return Err(failed(CallError::Unexpected)),
        }
    }
}

fn outcome(ended: Ended, stdout: Capture, stderr: Capture) -> Outcome {
    Outcome {
        end: match ended.end {
            wire::End::Exited(code) => End::Exited(code),
            wire::End::Signalled(signal) => End::Signalled(signal),
        },
        stdout: stdout.done(),
        stderr: stderr.done(),
        timed_out: ended.timed_out,
        killed: ended.killed,
        survivors: ended.survivors,
        duration: Duration::from_micros(ended.duration_us),
        cwd: ended
            .cwd
            .map(|cwd| String::from_utf8_lossy(&cwd.0).into_owned()),
        via: Via::Agent,
    }
}

/// Gives a command what it is to read, and the end of it.
async fn feed(stdin: Stdin, control: Control) {
    match stdin {
        Stdin::Empty => return,
        // Where the write fails, the command has ended, and says so itself.
        Stdin::Bytes(bytes) => drop(control.write(&bytes).await),
        Stdin::Reader(mut reader) => {
            let mut piece = vec![0; 64 << 10];
            loop {
                match reader.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => {
                        if control.write(&piece[..count]).await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }
    control.close_stdin();
}

fn failed(error: CallError, name: &str, program: &str) -> ExecError {
    let name = name.to_owned();
    match error {
        CallError::Failed(Failed {
            failure: Failure::CannotRun,
            errno,
            message,
        }) => ExecError::NoProgram {
            name,
            program: program.to_owned(),
            // ENOENT and ENOTDIR: a shell's 127; everything else is there and cannot be run.
            code: if matches!(errno, 2 | 20) { 127 } else { 126 },
            why: message,
        },
        CallError::Failed(failed) => ExecError::Agent {
            name,
            failure: failed.failure,
            message: failed.message,
        },
        error @ (CallError::TooMany | CallError::TooLong { .. }) => ExecError::Agent {
            name,
            failure: Failure::Invalid,
            message: error.to_string(),
        },
        source => ExecError::Line {
            name,
            source: Box::new(source),
        },
    }
}
