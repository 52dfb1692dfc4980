//! From text to fields, each by itself.

use super::{Caller, SandboxSpec, SpecFile, parse};
use crate::problem::{Gather, Problem, Problems};

/// A spec as it stands in a text: the fields that can be read, and what is wrong with the others.
///
/// With both at hand, what is wrong with the values can be told in one go with what is no field, or
/// of the wrong type.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    file: SpecFile,
    gather: Gather,
}

impl Draft {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`Problems`]: where it is no TOML at all.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        let table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                1 + text
                    .get(..span.start)
                    .unwrap_or_default()
                    .matches('\n')
                    .count()
            });
            Problem::new(
                format!("line {line}"),
                format!("not TOML: {}", error.message()),
            )
            .hint("mend the line; texts stand in quotes")
        })?;
        match serde_json::to_value(table) {
            Ok(serde_json::Value::Object(fields)) => {
                // TOML has no null: it is what `nan` and `inf` became.
                let (lost, fields): (Vec<_>, Vec<_>) =
                    fields.into_iter().partition(|(_, value)| value.is_null());
                let mut draft = Self::from_fields(serde_json::Map::from_iter(fields));
                for (name, _) in lost {
                    let problem = Problem::new(&name, "is not a number");
                    draft.gather.add(problem.hint(expected(&name)));
                }
                Ok(draft)
            }
            _ => unreachable!("a TOML table is a JSON object"),
        }
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`Problems`]: where it is no JSON at all, or no object.
    pub fn from_json(text: &str) -> Result<Self, Problems> {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(fields)) => Ok(Self::from_fields(fields)),
            Ok(_) => Err(Problem::new("spec", "is not a JSON object")
                .hint("write { \"image\": \"debian:trixie\" }")
                .into()),
            Err(error) => Err(Problem::new(
                format!("line {}", error.line()),
                "not JSON: a syntax error",
            )
            .hint("mend the line; names and texts stand in double quotes")
            .into()),
        }
    }

    /// This spec with another on top, as [`SpecFile::merge`] has it.
    #[must_use]
    pub fn merge(mut self, over: SpecFile) -> Self {
        self.file = self.file.merge(over);
        self
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong, each with its field.
    pub fn check(self, caller: &Caller) -> Result<SandboxSpec, Problems> {
        parse::spec(self.file, self.gather, caller)
    }

    fn finish(mut self) -> Result<SpecFile, Problems> {
        self.gather.sort(SpecFile::FIELDS);
        self.gather.finish(Some(self.file))
    }

    /// Takes field by field, so that one that is wrong does not hide the next. Serde's own messages
    /// can quote a value, so they are not shown.
    fn from_fields(fields: serde_json::Map<String, serde_json::Value>) -> Self {
        let mut gather = Gather::default();
        let mut file = SpecFile::default();
        for (name, value) in fields {
            if !SpecFile::FIELDS.contains(&name.as_str()) {
                let shown = name.split('=').next().unwrap_or_default();
                gather.add(
                    Problem::new(shown, "there is no such field")
                        .hint(format!("the fields are: {}", SpecFile::FIELDS.join(", "))),
                );
                continue;
            }
            // Variables and the items of a list are looked at one by one.
            let parts: Vec<(String, serde_json::Value)> = match value {
                serde_json::Value::Object(entries) if name == "env" || name == "labels" => entries
                    .into_iter()
                    .map(|(key, value)| {
                        // What follows an equals sign may be a value.
                        let shown = key.split('=').next().unwrap_or_default();
                        let path = format!("{name}.{shown}");
                        let part = serde_json::Map::from_iter([(key, value)]);
                        (path, serde_json::Value::Object(part))
                    })
                    .collect(),
                // One without items is for serde to judge: not every field is a list.
                serde_json::Value::Array(items) if !items.is_empty() => items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| {
                        (
                            format!("{name}[{index}]"),
                            serde_json::Value::Array(vec![item]),
                        )
                    })
                    .collect(),
                value => vec![(name.clone(), value)],
            };
            for (path, value) in parts {
                // Serde takes a list for a table, its items for the fields one after the other.
                let list_within = match &value {
                    serde_json::Value::Object(entries) => {
                        entries.values().any(serde_json::Value::is_array)
                    }
                    serde_json::Value::Array(items) => {
                        items.iter().any(serde_json::Value::is_array)
                    }
                    _ => false,
                };
                let one = serde_json::Map::from_iter([(name.clone(), value)]);
                match serde_json::from_value::<SpecFile>(serde_json::Value::Object(one)) {
                    Ok(part) if !list_within => file = file.merge(part),
                    _ => gather
                        .add(Problem::new(&path, "is of the wrong type").hint(expected(&name))),
                }
            }
        }
        Self { file, gather }
    }
}

impl SpecFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`Problems`]: where it is no TOML, or every field that is unknown or of the wrong type.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        Draft::from_toml(text)?.finish()
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`Problems`], as for [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self, Problems> {
        Draft::from_json(text)?.finish()
    }
}

/// What a field takes.
pub(super) fn expected(field: &str) -> &'static str {
    match field {
        "mounts" | "credentials" | "skills" | "caches" => {
            "write \"HOST:CONTAINER[:ro]\", or a table with source, target, read_only, selinux"
        }
        "env" => "write a text, a number, true or false, { secret = \"…\" } or { from = \"NAME\" }",
        "labels" => "write a text for each name, as in { team = \"tools\" }",
        "forward" | "extra_args" => "write a list of texts",
        "mount_cwd" | "persistent_filesystem" | "persist" | "allow_unenforced" => {
            "write true or false"
        }
        "cpus" => "write a number such as 2 or 0.5 (at least 0.01), or `unlimited`",
        "memory" | "disk" => "write a size such as `512m` or `4g`, or `unlimited`",
        "pids" => "write a whole number such as 256, or `unlimited`",
        // It is always bounded.
        "shm" => "write a size such as `64m`",
        "user" => "write `image`, `host`, or numbers: UID or UID:GID",
        "lease" => "write a time such as `2h`, or `none`",
        _ => "write a text",
    }
}
