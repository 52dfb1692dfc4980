//! Variables of the caller that commands are given, and that no container holds.

use std::env;
use std::path::PathBuf;

use profile_boot::dotenv;
use sandbox_core::env::forward;
use sandbox_core::{EnvName, Secret};

use super::failure::{Failure, Result};

/// What `--forward` and a spec's `forward` say.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Named one by one.
    explicit: Vec<EnvName>,
    /// How names begin of which all are wanted that the block list does not hold back.
    beginnings: Vec<String>,
}

impl Wanted {
    /// Takes `NAME`, or `BEGINNING*`.
    pub(super) fn read(texts: &[String]) -> Result<Self> {
        let mut wanted = Self::default();
        for text in texts {
            let (begin, is_name) = match text.strip_suffix('*') {
                Some(begin) => (begin, false),
                None => (text.as_str(), true),
            };
            let name = EnvName::new(begin);
            match name {
                Ok(name) if is_name => wanted.explicit.push(name),
                Ok(_) => wanted.beginnings.push(begin.to_owned()),
                Err(_) if begin.is_empty() && !is_name => wanted.beginnings.push(String::new()),
                // Not repeated: what stands there may be a value.
                Err(_) => {
                    return Err(Failure::Usage {
                        why: "what --forward is given is not the name of a variable",
                        hint: "--forward NAME, or --forward \'BEGIN*\'; -e NAME=VALUE gives a value",
                    });
                }
            }
        }
        Ok(wanted)
    }

    /// Those that a spec names, too.
    pub(super) fn and(mut self, names: &[EnvName]) -> Self {
        self.explicit.extend(names.iter().cloned());
        self
    }

    /// Names and values, from this process or else from the agent's `.env`.
    pub(super) fn values(&self) -> Vec<(String, String)> {
        if self.explicit.is_empty() && self.beginnings.is_empty() {
            return Vec::new();
        }
        let file = dotenv_path().map_or_else(Vec::new, |path| {
            dotenv::load(&path).unwrap_or_else(|odd| {
                anstream::eprintln!("talaria: {} is not read: {odd}", path.display());
                Vec::new()
            })
        });
        let here = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let known = here.chain(file.iter().map(|(name, _)| name.clone()));
        let begins = |name: &String| self.beginnings.iter().any(|begin| name.starts_with(begin));
        let implicit: Vec<_> = known
            .filter(begins)
            .filter_map(|name| EnvName::new(&name).ok())
            .collect();
        let lookup = |name: &EnvName| {
            let here = env::var(name.as_str()).ok();
            let filed = || {
                let found = file.iter().rev().find(|(key, _)| key == name.as_str());
                found.map(|(_, value)| value.clone())
            };
            here.or_else(filed).map(Secret::new)
        };
        let forwarded = forward(&self.explicit, &implicit, lookup);
        for name in &forwarded.missing {
            anstream::eprintln!("talaria: {name} is set nowhere and is not forwarded");
        }
        if !forwarded.blocked.is_empty() {
            let names = forwarded.blocked.iter().map(ToString::to_string);
            let names = names.collect::<Vec<_>>().join(", ");
            anstream::eprintln!("talaria: held back, as keys of providers may be: {names}");
            anstream::eprintln!("hint: --forward NAME, in full, hands one on");
        }
        let pair = |(name, value): (EnvName, Secret)| (name.to_string(), value.expose().to_owned());
        forwarded.values.into_iter().map(pair).collect()
    }
}

fn dotenv_path() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let home = set("HERMES_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(set("HOME")?).join(".hermes")))?;
    Some(home.join(".env"))
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn a_value_where_a_name_belongs_is_refused_and_not_repeated() {
        let error = Wanted::read(&["A=hunter2".to_owned()]).unwrap_err();
        assert!(!error.chain().contains("hunter2"));
        let wanted = Wanted::read(&["A".to_owned(), "LC_*".to_owned(), "*".to_owned()]).unwrap();
        assert_eq!(wanted.explicit.len(), 1);
        assert_eq!(wanted.beginnings, ["LC_", ""]);
    }
}
