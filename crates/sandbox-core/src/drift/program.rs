//! Which sandbox it is, and what runs in it.

use super::Compare;
use crate::inspect::Inspected;
use crate::labels;
use crate::plan::{AGENT, ContainerPlan, DIRECT};

pub(super) fn identity(compare: &mut Compare, plan: &ContainerPlan, found: &Inspected) {
    compare.label(
        "identity",
        plan.identity.as_str(),
        found.label(labels::IDENTITY),
    );
    let persist = if plan.persist { "yes" } else { "no" };
    compare.label("persist", persist, found.label(labels::PERSIST));
    compare.label(
        "lease",
        &plan.lease.seconds().to_string(),
        found.label(labels::LEASE),
    );
    for (key, value) in &plan.labels {
        compare.label(&format!("labels.{key}"), value, found.label(key));
    }
    compare.text(
        "auto_remove",
        &(!plan.persist).to_string(),
        &found.host_config.auto_remove.to_string(),
    );
    let bare = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
    if plan.image_id.is_empty() {
        compare.text("image", &plan.image, &found.config.image);
    } else {
        compare.text("image_id", &bare(&plan.image_id), &bare(&found.image));
    }
}

pub(super) fn program(compare: &mut Compare, plan: &ContainerPlan, found: &Inspected) {
    let config = &found.config;
    match (&plan.entrypoint, &plan.known.image_entrypoint) {
        (Some(wanted), _) => words(compare, "entrypoint", wanted, &config.entrypoint.0),
        // Podman tells an entrypoint as one text.
        (None, Some(image)) if split(image) != split(&config.entrypoint.0) => compare.add(
            "entrypoint",
            "(the image's own)",
            &shown(&config.entrypoint.0),
        ),
        (None, _) => {}
    }
    // That option goes with the network, which is compared by itself.
    let without = |words: &[String]| -> Vec<String> {
        let words = words.iter().filter(|word| *word != DIRECT);
        words.cloned().collect()
    };
    words(
        compare,
        "command",
        &without(&plan.command),
        &without(&config.cmd),
    );
    compare.text("cwd", plan.cwd.as_str(), &config.working_dir);
    match (&plan.user, &plan.known.image_user) {
        (Some(user), _) => compare.text("user", user, &config.user),
        (None, Some(image)) if *image != config.user => {
            compare.add(
                "user",
                &format!("{image:?} (the image's own)"),
                &config.user,
            );
        }
        (None, _) => {}
    }
    compare.text(
        "init",
        &plan.engine_init.to_string(),
        &found.host_config.init.to_string(),
    );
}

fn split(words: &[String]) -> Vec<&str> {
    words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .collect()
}

fn words(compare: &mut Compare, field: &str, wanted: &[String], found: &[String]) {
    if wanted != found {
        compare.add(field, &format!("{wanted:?}"), &shown(found));
    }
}

/// The words of a command that is one of ours; of any other, how many there are, for one of them may
/// be a secret.
fn shown(words: &[String]) -> String {
    let lease = |at: usize| at > 0 && words[at - 1] == "--lease";
    let ours = words.iter().enumerate().all(|(at, word)| {
        [AGENT, "serve", "--lease", "sleep", "infinity"].contains(&word.as_str())
            || lease(at) && word.bytes().all(|b| b.is_ascii_digit())
    });
    match words.len() {
        _ if ours => format!("{words:?}"),
        1 => "(another command, of 1 word)".into(),
        count => format!("(another command, of {count} words)"),
    }
}
