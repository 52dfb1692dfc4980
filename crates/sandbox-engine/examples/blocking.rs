//! The same without an async runtime: `blocking IMAGE COMMAND…`.

use std::time::Duration;

use sandbox_core::{Caller, Owner, SandboxSpec, SpecFile};
use sandbox_engine::blocking::Blocking;
use sandbox_engine::{Agent, AgentBinary, Ask, Exec, Pull, find::Surroundings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let image = words.next();
    let task = Some("blocking".to_owned());
    let file = SpecFile {
        image,
        task,
        ..SpecFile::default()
    };
    let spec = SandboxSpec::try_from(file, &Caller::new(Owner::new("examples")?))?;

    let blocking = Blocking::connect(&Surroundings::from_vars(|name| std::env::var_os(name), 0))?;
    let agent = Agent::Volume(AgentBinary::embedded());
    let ask = Ask {
        pull: Pull::Missing,
        agent,
        progress: &mut |_| {},
    };
    let mut sandbox = blocking.wait(blocking.engine().sandbox(&spec, ask))?;

    let command = Exec::new(words).timeout(Duration::from_secs(30));
    let run = blocking.wait(sandbox.run(command, &mut |_, _| {}))?;
    print!("{}", run.ran.outcome.stdout.text());
    Ok(blocking.wait(sandbox.remove())?)
}
