//! What a session is given of the caller's variables.

use std::collections::{BTreeMap, BTreeSet};

use super::{EnvName, is_blocked};
use crate::secret::Secret;

/// What a session is given of the caller's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Names and values, in the order of the names.
    pub values: BTreeMap<EnvName, Secret>,
    /// Names that were asked for and have no value.
    pub missing: Vec<EnvName>,
    /// Implicit names that the block list held back.
    pub blocked: Vec<EnvName>,
}

/// What a session is given: every `explicit` name, and those `implicit` ones that are not
/// [blocked](is_blocked). `lookup` gives a variable's value: from the process, or else from the
/// agent's `.env`.
pub fn forward(
    explicit: &[EnvName],
    implicit: &[EnvName],
    lookup: impl Fn(&EnvName) -> Option<Secret>,
) -> Forwarded {
    let mut forwarded = Forwarded::default();
    let named: BTreeSet<&EnvName> = explicit.iter().collect();
    for name in named.iter().copied() {
        match lookup(name) {
            Some(value) => drop(forwarded.values.insert(name.clone(), value)),
            None => forwarded.missing.push(name.clone()),
        }
    }
    let rest: BTreeSet<&EnvName> = implicit
        .iter()
        .filter(|name| !named.contains(name))
        .collect();
    for name in rest {
        if is_blocked(name.as_str()) {
            forwarded.blocked.push(name.clone());
        } else if let Some(value) = lookup(name) {
            drop(forwarded.values.insert(name.clone(), value));
        }
    }
    forwarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_name_is_forwarded_only_when_named() {
        let name = |name| EnvName::new(name).unwrap();
        let (key, lang, gone) = (name("OPENAI_API_KEY"), name("LANG"), name("GONE"));
        let lookup = |name: &EnvName| (name.as_str() != "GONE").then(|| Secret::new("v"));
        let implicit = forward(&[], &[key.clone(), lang.clone(), gone.clone()], lookup);
        assert_eq!(implicit.values.keys().collect::<Vec<_>>(), [&lang]);
        assert_eq!(implicit.blocked, std::slice::from_ref(&key));
        let explicit = forward(
            &[key.clone(), gone.clone()],
            std::slice::from_ref(&key),
            lookup,
        );
        assert_eq!(explicit.values.keys().collect::<Vec<_>>(), [&key]);
        assert_eq!((explicit.missing, explicit.blocked), (vec![gone], vec![]));
    }
}
