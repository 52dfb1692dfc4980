//! A shell that keeps its state between commands, and a file that comes out: `session IMAGE`.

use std::path::Path;

use sandbox_core::{Caller, Owner, SandboxSpec, SpecFile};
use sandbox_engine::client::wire::{RunSpec, SessionSpec};
use sandbox_engine::{Agent, AgentBinary, Ask, Engine, Pull, copy::Bounds, find::Surroundings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = SpecFile {
        image: std::env::args().nth(1),
        task: Some("tour".to_owned()),
        network: Some("none".into()),
        memory: Some("512m".into()),
        ..SpecFile::default()
    };
    // Whoever asks with the same owner, task and profile gets the same sandbox; this one is nobody
    // else's.
    let owner = Owner::new(format!("example:{}", std::process::id()))?;
    let spec = SandboxSpec::try_from(file, &Caller::new(owner))?;

    let around = Surroundings::from_vars(|name| std::env::var_os(name), 0);
    let ask = Ask {
        pull: Pull::Missing,
        agent: Agent::Volume(AgentBinary::embedded()),
        progress: &mut |_| {},
    };
    let sandbox = Engine::connect(&around).await?.sandbox(&spec, ask).await?;

    let agent = sandbox.agent_client().await?;
    let shell = SessionSpec {
        cwd: None,
        env: Vec::new(),
        user: None,
        login: true,
    };
    let session = agent.open_session(&shell).await?;
    for script in [
        "cd /workspace && name=world",
        "echo \"hello $name\" | tee greeting",
    ] {
        let mut command = RunSpec::shell(script);
        command.session = session;
        command.timeout_ms = 30_000;
        let done = agent.run(&command)?.collect(1 << 20).await?;
        print!("{}", String::from_utf8_lossy(&done.stdout));
    }
    let here = Path::new("greeting");
    sandbox
        .copy_out("/workspace/greeting", here, Bounds::default())
        .await?;
    println!(
        "{} holds {:?}",
        here.display(),
        std::fs::read_to_string(here)?
    );
    Ok(sandbox.remove().await?)
}
