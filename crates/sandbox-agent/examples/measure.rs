//! Measures an agent: `measure PROGRAM ARGS…` runs a `connect` and prints medians.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox_agent::client::Client;
use sandbox_agent::wire::{RunSpec, SessionSpec, ToAgent, ToClient};

/// The median of `count` durations, in milliseconds.
fn median(count: usize, mut one: impl FnMut()) -> f64 {
    let mut all: Vec<Duration> = (0..count)
        .map(|_| {
            let start = Instant::now();
            one();
            start.elapsed()
        })
        .collect();
    all.sort_unstable();
    all[count / 2].as_secs_f64() * 1000.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (program, args) = args
        .split_first()
        .ok_or("usage: measure CONNECT-PROGRAM ARGS…")?;
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    let stdin = Stdio::from(theirs.try_clone()?);
    let mut connect = Command::new(program)
        .args(args)
        .stdin(stdin)
        .stdout(theirs)
        .spawn()?;
    let mut client = Client::new(
        ours.try_clone()?.into(),
        ours.into(),
        Duration::from_mins(1),
    )?;
    if let ToClient::Metrics(metrics) = client.ask(&ToAgent::Metrics)? {
        println!(
            "idle memory    {:8.2} MiB",
            f64::from(u32::try_from(metrics.agent_memory)?) / 1_048_576.0
        );
    }
    let ping = median(500, || drop(client.ping()));
    let fresh = median(200, || drop(client.run(RunSpec::shell("true"))));
    let bare = median(200, || drop(client.run(RunSpec::argv(["/bin/true"]))));
    let spec = SessionSpec {
        cwd: None,
        env: Vec::new(),
        user: None,
        login: true,
    };
    let session = u32::try_from(client.number(&ToAgent::SessionOpen(spec))?)?;
    let warm = median(300, || {
        drop(client.run(RunSpec {
            session,
            ..RunSpec::shell("true")
        }));
    });
    let saved = median(100, || {
        drop(client.run(RunSpec {
            session,
            ..RunSpec::shell("A=1")
        }));
    });
    let bulk = median(5, || {
        drop(client.run(RunSpec::shell("head -c 100000000 /dev/zero")));
    });
    println!("ping           {ping:8.3} ms");
    println!("fresh shell    {fresh:8.3} ms");
    println!("fresh program  {bare:8.3} ms");
    println!("session, true  {warm:8.3} ms");
    println!("session, A=1   {saved:8.3} ms");
    println!("100 MB         {bulk:8.1} ms, {:.0} MB/s", 100_000.0 / bulk);
    drop(client);
    connect.wait()?;
    Ok(())
}
