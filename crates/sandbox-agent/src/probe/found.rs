//! What probes found, and its JSON.

use std::collections::BTreeMap;

/// A value that a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It could not be found out.
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A size, a count, an id.
    Number(u64),
    /// An answer in a word.
    Text(String),
    /// Several.
    List(Vec<Found>),
    /// Several with names.
    Map(BTreeMap<String, Found>),
}

/// A probe and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name, as `sandbox_core::posture` knows it.
    pub name: &'static str,
    /// What it found.
    pub found: Found,
}

impl Probe {
    pub(super) fn new(name: &'static str, found: impl Into<Found>) -> Self {
        Self {
            name,
            found: found.into(),
        }
    }
}

/// The probes as one JSON object, `{"NAME": FOUND, …}`, on one line.
#[must_use]
pub fn to_json(probes: &[Probe]) -> String {
    let mut text = String::new();
    object(
        &mut text,
        probes.iter().map(|probe| (probe.name, &probe.found)),
    );
    text
}

impl From<bool> for Found {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Found {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Found {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Found>> From<Option<T>> for Found {
    fn from(found: Option<T>) -> Self {
        found.map_or(Self::Nothing, Into::into)
    }
}

impl<T: Into<Found>> FromIterator<T> for Found {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl Found {
    /// Values by name.
    pub(super) fn map<K: Into<String>, V: Into<Found>>(
        items: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        // Not collected, which would sort them, by a function for each kind of iterator.
        let mut map = BTreeMap::new();
        for (name, found) in items {
            map.insert(name.into(), found.into());
        }
        Self::Map(map)
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Nothing => text.push_str("null"),
            Self::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::Text(said) => string(text, said),
            Self::Map(items) => object(
                text,
                items.iter().map(|(name, found)| (name.as_str(), found)),
            ),
            Self::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    item.write(text);
                }
                text.push(']');
            }
        }
    }
}

fn object<'a>(text: &mut String, items: impl Iterator<Item = (&'a str, &'a Found)>) {
    text.push('{');
    for (index, (name, found)) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        string(text, name);
        text.push(':');
        found.write(text);
    }
    text.push('}');
}

/// A JSON string, all but plain ASCII escaped: a file's name may hold anything.
fn string(text: &mut String, said: &str) {
    text.push('"');
    for unit in said.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) => {
                text.push('\\');
                text.push(char::from(byte));
            }
            Ok(byte @ b' '..=b'~') => text.push(char::from(byte)),
            _ => {
                text.push_str("\\u");
                let digits = [12, 8, 4, 0].map(|shift| u32::from(unit >> shift & 0xf));
                text.extend(
                    digits
                        .into_iter()
                        .filter_map(|digit| char::from_digit(digit, 16)),
                );
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_everything() {
        let found = Found::Map(BTreeMap::from([
            ("a \"b\\\n\u{1b}é😀".to_owned(), Found::Nothing),
            ("list".to_owned(), [true, false].into_iter().collect()),
            (
                "map".to_owned(),
                Found::map([("n", 18_446_744_073_709_551_615_u64)]),
            ),
        ]));
        let json = to_json(&[Probe::new("x", found), Probe::new("y", "z")]);
        let expected = r#"{"x":{"a \"b\\\u000a\u001b\u00e9\ud83d\ude00":null,"list":[true,false],"map":{"n":18446744073709551615}},"y":"z"}"#;
        assert_eq!(expected, json);
    }
}
