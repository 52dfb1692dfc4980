//! From text to fields, each by itself.

use super::SpecFile;
use crate::problem::{Gather, Problem, Problems};

impl SpecFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`Problems`]: where it is no TOML, or every field that is unknown or of the wrong type.
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
                if let Some((name, _)) = fields.iter().find(|(_, value)| value.is_null()) {
                    return Err(Problem::new(name, "is not a number")
                        .hint(expected(name))
                        .into());
                }
                Self::from_fields(fields)
            }
            _ => unreachable!("a TOML table is a JSON object"),
        }
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`Problems`], as for [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self, Problems> {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(fields)) => Self::from_fields(fields),
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

    /// Takes field by field, so that one that is wrong does not hide the next. Serde's own messages
    /// can quote a value, so they are not shown.
    fn from_fields(fields: serde_json::Map<String, serde_json::Value>) -> Result<Self, Problems> {
        let mut gather = Gather::default();
        let mut file = Self::default();
        for (name, value) in fields {
            if !Self::FIELDS.contains(&name.as_str()) {
                let shown = name.split('=').next().unwrap_or_default();
                gather.add(
                    Problem::new(shown, "there is no such field")
                        .hint(format!("the fields are: {}", Self::FIELDS.join(", "))),
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
                serde_json::Value::Array(items) => items
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
                match serde_json::from_value::<Self>(serde_json::Value::Object(one)) {
                    Ok(part) if !list_within => file = file.merge(part),
                    _ => gather
                        .add(Problem::new(&path, "is of the wrong type").hint(expected(&name))),
                }
            }
        }
        gather.sort(Self::FIELDS);
        gather.finish(Some(file))
    }
}

/// What a field takes.
fn expected(field: &str) -> &'static str {
    match field {
        "mounts" | "credentials" | "skills" | "caches" => {
            "write \"HOST:CONTAINER[:ro]\", or a table with source, target, read_only, selinux"
        }
        "env" => "write a text, a number, true or false, { secret = \"…\" } or { from = \"NAME\" }",
        "forward" | "extra_args" => "write a list of texts",
        "mount_cwd" | "persistent_filesystem" | "persist" | "allow_unenforced" => {
            "write true or false"
        }
        "cpus" | "memory" | "disk" | "pids" | "shm" | "user" | "lease" => {
            "write a number or a text"
        }
        _ => "write a text",
    }
}
