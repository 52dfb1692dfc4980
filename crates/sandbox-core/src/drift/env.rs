//! Variables. No value that is found is shown: a variable that is plain now may have been a secret,
//! and nobody can tell by its name.

use std::collections::BTreeMap;

use super::Compare;
use crate::env::EnvValue;
use crate::inspect::Inspected;
use crate::plan::ContainerPlan;

/// What engines set by themselves, Podman `container` among it.
const BY_ENGINE: [&str; 5] = ["PATH", "HOSTNAME", "HOME", "TERM", "container"];

pub(super) fn environment(compare: &mut Compare, plan: &ContainerPlan, found: &Inspected) {
    let there = variables(&found.config.env);
    let image = variables(&plan.known.image_env);
    for (name, wanted) in &plan.env {
        let value = there.get(name.as_str()).copied();
        if value == Some(wanted.expose()) {
            continue;
        }
        let shown = match wanted {
            EnvValue::Secret(_) => "(secret)",
            EnvValue::Plain(wanted) => wanted,
        };
        let found = match value {
            Some(_) => "(a different value)",
            None => "(not set)",
        };
        compare.add(format!("env.{name}"), shown, found);
    }
    if plan.image_id.is_empty() {
        // What else there is may be the image's, of which nothing is known.
        return;
    }
    for (name, value) in there {
        if plan.env.contains_key(name) || BY_ENGINE.contains(&name) {
            continue;
        }
        match image.get(name) {
            Some(theirs) if *theirs == value => {}
            Some(_) => compare.add(
                format!("env.{name}"),
                "(the image's own value)",
                "(a different value)",
            ),
            None => compare.add(format!("env.{name}"), "(not set)", "(set)"),
        }
    }
}

fn variables(env: &[String]) -> BTreeMap<&str, &str> {
    env.iter()
        .map(|var| var.split_once('=').unwrap_or((var, "")))
        .collect()
}
