//! What a sandbox would be, printed; and JSON.

use std::io::{self, Write as _};

use sandbox_core::EnvValue;
use sandbox_engine::Engine;

use super::args::Form;
use super::failure::Result;

pub(super) fn print(engine: &Engine, plan: &sandbox_core::ContainerPlan, form: Form) -> Result<()> {
    let inputs = engine.render_inputs(plan);
    match form {
        Form::Argv => {
            let mut out = io::stdout().lock();
            let commands = sandbox_core::render::argv::create(plan, &inputs);
            if let sandbox_core::Seccomp::Talaria { .. } = plan.seccomp {
                let json = inputs.seccomp.json.replace('\'', r"'\''");
                writeln!(out, "printf %s '{json}' > {}", inputs.seccomp.path)?;
            }
            for step in commands.steps {
                writeln!(out, "{step}")?;
                for (name, _) in step.env {
                    anstream::eprintln!("talaria: set {name} before: its value is not shown");
                }
            }
            for unsaid in commands.unsaid {
                anstream::eprintln!("talaria: a docker command line cannot say: {unsaid}");
            }
            Ok(())
        }
        Form::Body => {
            // Shown values are read over shoulders and kept in logs.
            let mut shown = plan.clone();
            for value in shown.env.values_mut() {
                if let EnvValue::Secret(_) = value {
                    *value = EnvValue::Plain("(secret)".to_owned());
                }
            }
            to_json(&sandbox_core::render::body::create(&shown, &inputs))
        }
    }
}

/// Prints JSON.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
