//! A command in a sandbox, with this program's streams, signals and terminal.

use std::io::{self, IsTerminal as _};

use sandbox_engine::client::wire::{Channel, Ended, Input, RunSpec, Variable};
use sandbox_engine::client::{CallError, Client, Control, Event, Running};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::{Failure, Result};
use super::terminal::{Raw, window};
use crate::exit::Outcome;

/// How much of stdin is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// What of this program's a command gets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lent {
    /// Its stdin.
    pub(super) input: bool,
    /// Its terminal.
    pub(super) terminal: bool,
}

/// Runs a command as if it were a program of this machine.
pub(super) async fn run(client: &Client, mut spec: RunSpec, lent: Lent) -> Result<Outcome> {
    if lent.input {
        spec.input = Input::Stream;
    }
    let mut raw = None;
    if lent.terminal {
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage {
                why: "-t needs a terminal, and stdin is none",
                hint: "leave -t out where stdin is a pipe or a file",
            });
        }
        spec.pty = Some(window());
        if let Ok(terminal) = std::env::var("TERM") {
            let set = Variable {
                name: "TERM".into(),
                value: terminal.into(),
            };
            spec.env.insert(0, set);
        }
        raw = Some(Raw::take().map_err(Failure::Terminal)?);
    }
    let mut running = client.run(&spec)?;
    let ended = follow(&mut running, lent).await;
    // Before anything is said about how it ended.
    drop(raw);
    Ok(finish(ended?))
}

/// Follows a job: its output is this program's, and its end.
pub(super) async fn watch(running: &mut Running) -> Result<Outcome> {
    let ended = follow(running, Lent::default()).await?;
    Ok(finish(ended))
}

fn finish(ended: Option<Ended>) -> Outcome {
    let Some(ended) = ended else {
        return Outcome::Done;
    };
    if ended.timed_out {
        let after = std::time::Duration::from_micros(ended.duration_us).as_secs_f64();
        anstream::eprintln!("talaria: the command was killed: it had not ended after {after:.1} s");
    }
    if ended.survivors > 0 {
        anstream::eprintln!(
            "talaria: {} of its processes could not be killed",
            ended.survivors
        );
    }
    if ended.timed_out {
        Outcome::TimedOut
    } else {
        Outcome::Own(ended.end.code())
    }
}

/// Signals that are passed on.
struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hangup: Signal,
    window: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    /// The next one, by number; nothing where it is the terminal's size that has changed.
    async fn next(&mut self) -> Option<u8> {
        tokio::select! {
            _ = self.interrupt.recv() => Some(2),
            _ = self.quit.recv() => Some(3),
            _ = self.terminate.recv() => Some(15),
            _ = self.hangup.recv() => Some(1),
            _ = self.window.recv() => None,
        }
    }
}

/// Passes everything both ways until the end, if there is one.
async fn follow(running: &mut Running, lent: Lent) -> Result<Option<Ended>> {
    let control = running.control();
    let mut signals = Signals::new().map_err(Failure::Runtime)?;
    let feeding = feed(control.clone(), lent.input);
    let mut feeding = std::pin::pin!(feeding);
    let mut is_feeding = lent.input;
    let mut asked = 0;
    loop {
        let event = tokio::select! {
            event = running.next() => event?,
            () = &mut feeding, if is_feeding => {
                is_feeding = false;
                continue;
            }
            number = signals.next() => {
                match number {
                    None if lent.terminal => control.resize(window()),
                    None => {}
                    Some(number) => {
                        asked += 1;
                        // Whoever asks again means it. A shell on a terminal does not heed SIGTERM,
                        // and a terminal that is gone has nobody left to ask again.
                        if asked > 1 || lent.terminal {
                            control.cancel();
                        } else {
                            control.signal(number);
                        }
                    }
                }
                continue;
            }
        };
        match event {
            Some(Event::Output(channel, bytes)) => {
                if let Err(error) = pass_on(channel, &bytes) {
                    // Whoever read has read enough: as for any program in a pipe.
                    control.cancel();
                    return Err(error.into());
                }
            }
            Some(Event::Ended(ended)) => return Ok(Some(ended)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// Writes past the buffer of the standard library, which would look for lines in it.
fn pass_on(channel: Channel, mut bytes: &[u8]) -> io::Result<()> {
    let fd = match channel {
        Channel::Stderr => rustix::stdio::stderr(),
        _ => rustix::stdio::stdout(),
    };
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives the command what this program reads.
async fn feed(control: Control, is_wanted: bool) {
    if !is_wanted {
        return;
    }
    let mut stdin = tokio::io::stdin();
    let mut piece = vec![0; PIECE];
    loop {
        match stdin.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                // Where the command has ended, its end says all there is to say.
                if control.write(&piece[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
    control.close_stdin();
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}
