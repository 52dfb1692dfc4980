//! Variables, and secrets where they do not belong.

use std::collections::{BTreeMap, BTreeSet};

use crate::env::{EnvName, EnvValue, holds_password};
use crate::problem::{Gather, Problem};
use crate::secret::Secret;
use crate::spec::{Caller, EnvFile};

const NAMES: &str = "write the name alone: letters, digits and underscores, no digit first";

pub(super) fn env(
    gather: &mut Gather,
    written: BTreeMap<String, EnvFile>,
    caller: &Caller,
) -> BTreeMap<EnvName, EnvValue> {
    let mut env = BTreeMap::new();
    for (name, value) in written {
        let name = EnvName::new(&name).map_err(|error| {
            Problem::new(format!("env.{}", error.name), format!("{error}")).hint(NAMES)
        });
        let Some(name) = gather.take(name) else {
            continue;
        };
        let field = format!("env.{name}");
        let plain = |text: String| {
            if name.looks_secret() || holds_password(&text) {
                EnvValue::Secret(Secret::new(text))
            } else {
                EnvValue::Plain(text)
            }
        };
        let value = match value {
            EnvFile::Bool(value) => plain(value.to_string()),
            EnvFile::Int(value) => plain(value.to_string()),
            EnvFile::Float(value) => plain(value.to_string()),
            EnvFile::Text(value) => plain(value),
            EnvFile::Secret(value) => EnvValue::Secret(value.secret),
            EnvFile::From(from) => {
                let from = from.from.trim().to_owned();
                if let Some(value) = caller.env.get(&from) {
                    EnvValue::Secret(value.clone())
                } else {
                    gather.add(missing(&field, &from));
                    continue;
                }
            }
        };
        if value.expose().contains('\0') {
            gather.add(
                Problem::new(&field, "holds a NUL character")
                    .hint("no variable can hold one: leave it out, or encode the value"),
            );
            continue;
        }
        env.insert(name, value);
    }
    env
}

pub(super) fn forward(gather: &mut Gather, written: &[String]) -> Vec<EnvName> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for (index, text) in written.iter().enumerate() {
        // Not quoted: what stands there may be the value.
        let name = EnvName::new(text.trim()).map_err(|_| {
            Problem::new(format!("forward[{index}]"), "is not the name of a variable").hint(NAMES)
        });
        if let Some(name) = gather.take(name)
            && seen.insert(name.clone())
        {
            names.push(name);
        }
    }
    names
}

/// Whoever writes a value where its name belongs does not see it again.
fn missing(field: &str, from: &str) -> Problem {
    match EnvName::new(from) {
        Ok(from) => Problem::new(field, format!("the caller has no variable `{from}`"))
            .hint(format!("set {from}, or leave {field} out")),
        Err(_) => Problem::new(field, "`from` is not the name of a variable").hint(NAMES),
    }
}

/// Extra arguments are for the engine's command line to understand. But one that puts a secret where
/// everybody on the host can read it is refused.
pub(super) fn extra_args(gather: &mut Gather, args: &[String]) {
    let mut variable = false;
    for (index, arg) in args.iter().enumerate() {
        let field = format!("extra_args[{index}]");
        if arg.is_empty() || arg.contains('\0') {
            gather.add(
                Problem::new(&field, "is empty or holds a NUL character").hint("leave it out"),
            );
        }
        let set = if std::mem::take(&mut variable) {
            Some(arg.as_str())
        } else if arg == "-e" || arg == "--env" {
            variable = true;
            None
        } else {
            let short = || arg.strip_prefix("-e").filter(|_| !arg.starts_with("--"));
            arg.strip_prefix("--env=").or_else(short)
        };
        if let Some((name, value)) = set.and_then(|set| set.split_once('='))
            && let Ok(name) = EnvName::new(name)
            && (name.looks_secret() || holds_password(value))
        {
            gather.add(
                Problem::new(
                    &field,
                    format!("puts the value of {name} on a command line, where others can read it"),
                )
                .hint(format!(
                    "write it as a secret: env.{name} = {{ from = \"{name}\" }}, or {{ secret = \"…\" }}"
                )),
            );
        }
    }
}
