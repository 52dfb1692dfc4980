//! From nothing to a command whose output is shown as it comes: `run IMAGE COMMAND…`.

use std::io::Write as _;
use std::time::Duration;

use sandbox_core::{Caller, Owner, SandboxSpec, SpecFile};
use sandbox_engine::{Agent, AgentBinary, Ask, Channel, Engine, Exec, Pull, find::Surroundings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let image = words.next();
    let file = SpecFile {
        image,
        ..SpecFile::default()
    };
    let spec = SandboxSpec::try_from(file, &Caller::new(Owner::new("examples")?))?;

    let engine =
        Engine::connect(&Surroundings::from_vars(|name| std::env::var_os(name), 0)).await?;
    let agent = Agent::Volume(AgentBinary::embedded());
    let ask = Ask {
        pull: Pull::Missing,
        agent,
        progress: &mut |_| {},
    };
    let mut sandbox = engine.sandbox(&spec, ask).await?;

    let command = Exec::new(words).timeout(Duration::from_secs(30));
    let mut show = |channel: Channel, bytes: &[u8]| match channel {
        Channel::Stdout => drop(std::io::stdout().write_all(bytes)),
        Channel::Stderr => drop(std::io::stderr().write_all(bytes)),
    };
    let outcome = sandbox.run(command, &mut show).await?.ran.outcome;
    println!("{:?} after {:?}", outcome.end, outcome.duration);
    Ok(sandbox.remove().await?)
}
