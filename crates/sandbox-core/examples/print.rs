//! Prints what a spec becomes: the plan as JSON, then the commands that make the sandbox.
//!
//! `cargo run -p sandbox-core --example print -- spec.toml`

use std::process::ExitCode;

use sandbox_core::inspect::ImageConfig;
use sandbox_core::render::{Inputs, SeccompText, argv};
use sandbox_core::{Caller, Flavour, HostFacts, Owner, Problems, SandboxSpec, SpecFile, plan};

const SPEC: &str = r#"
image = "debian:trixie"
memory = "1g"
mounts = ["/srv/data:/data:ro"]
env = { LANG = "C.UTF-8", API_TOKEN = { secret = "never shown" } }
"#;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(path)?,
        None => SPEC.to_owned(),
    };
    match print(&text) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(problems) => {
            for problem in &problems {
                eprintln!("error: {problem}");
                if let Some(hint) = &problem.hint {
                    eprintln!("  hint: {hint}");
                }
            }
            Ok(ExitCode::from(2))
        }
    }
}

fn print(text: &str) -> Result<(), Problems> {
    let owner = Owner::new("example:1000")
        .map_err(|error| sandbox_core::Problem::new("owner", error.to_string()))?;
    let spec = SandboxSpec::try_from(SpecFile::from_toml(text)?, &Caller::new(owner))?;
    let plan = plan::plan(&spec, &ImageConfig::default(), &HostFacts::default())?;
    println!("{}", plan.to_json());
    let inputs = Inputs {
        flavour: Flavour::Docker,
        seccomp: SeccompText::of(&plan, "./seccomp.json"),
        program: "docker".into(),
        agent_directory: "./agent".into(),
    };
    let commands = argv::create(&plan, &inputs);
    for step in &commands.steps {
        println!("{step}");
    }
    for unsaid in &commands.unsaid {
        eprintln!("note: the command line cannot say: {unsaid}");
    }
    Ok(())
}
