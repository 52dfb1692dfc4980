//! What an answer has to be like.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::Held;

/// A file system in memory, as a plan wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// The most bytes that it may hold, if it is bounded.
    pub size: Option<u64>,
    /// Options that must be set: `nosuid`, `nodev`, `noexec`, `ro`.
    pub options: BTreeSet<String>,
}

/// What an answer has to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// An attempt that the kernel did not get into: refused for lack of rights, unknown to it, or
    /// killed for trying. Any other error shows that it was let through.
    Refused,
    /// A connection to which nobody answers, not even with a refusal.
    Unreachable,
    /// A connection that is not made, whether or not somebody is there.
    NotListening,
    /// This very value.
    Is(Value),
    /// A list with nothing but these words.
    Within(BTreeSet<String>),
    /// A number that is not larger.
    AtMost(u64),
    /// A list or map with nothing in it.
    Empty,
    /// Paths that show nothing: absent, empty, or refused.
    Hidden(BTreeSet<String>),
    /// Paths of which each is mounted read-only or absent.
    ReadOnly(BTreeSet<String>),
    /// Paths none of which could be opened for writing.
    NotWritten,
    /// Devices of harmless kinds, or at these paths.
    Devices(BTreeSet<String>),
    /// File systems in memory, by where they are mounted.
    Tmpfs(BTreeMap<String, Tmpfs>),
}

/// Errors with which a kernel turns an attempt away at the door.
const REFUSALS: [&str; 5] = ["ENOSYS", "EPERM", "EACCES", "EAFNOSUPPORT", "EROFS"];

/// Signals that an attempt is killed with.
const KILLS: [&str; 3] = ["SIGSYS", "SIGKILL", "SIGSEGV"];

/// Answers of a network in which there is nobody.
const NOBODY: [&str; 4] = ["silent", "ENETUNREACH", "EHOSTUNREACH", "no gateway"];

/// `null`, `zero`, `full`, `random`, `urandom`, and the terminals.
const HARMLESS: [&str; 8] = [
    "c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:1", "c 5:2",
];

impl Check {
    /// Whether an answer is like that.
    #[must_use]
    pub fn judge(&self, answer: &Value) -> Held {
        match (self, answer) {
            (_, Value::Null) => Held::unknown("the sandbox could not find out"),
            (Self::Is(wanted), answer) => is_like(wanted, answer),
            (Self::Refused, Value::String(said)) => attempt(said, is_refused),
            (Self::NotListening, Value::String(said)) => attempt(said, |said| said != "done"),
            (Self::Unreachable, Value::String(said)) => {
                attempt(said, |said| NOBODY.contains(&said) || is_refused(said))
            }
            (Self::AtMost(most), Value::Number(number)) => match number.as_u64() {
                Some(number) => Held::when(number <= *most),
                None => Held::unknown("the answer is no whole number"),
            },
            (Self::AtMost(_), Value::String(said)) if said == "unlimited" => Held::No,
            (Self::Empty, Value::Array(items)) => Held::when(items.is_empty()),
            (Self::Empty, Value::Object(items)) => Held::when(items.is_empty()),
            (Self::Within(allowed), Value::Array(items)) => {
                every(items, |word| Some(allowed.contains(word.as_str()?)))
            }
            (Self::Devices(extra), Value::Array(items)) => {
                every(items, |device| is_allowed_device(device.as_str()?, extra))
            }
            (Self::Hidden(paths), Value::Object(items)) => each(paths, items, |said| {
                matches!(said, "absent" | "empty") || is_refused(said)
            }),
            (Self::ReadOnly(paths), Value::Object(items)) => {
                each(paths, items, |said| matches!(said, "absent" | "read-only"))
            }
            (Self::NotWritten, Value::Object(items)) => {
                let refused = |said: &Value| Some(said.as_str()? != "done");
                every(items.values(), refused)
            }
            (Self::Tmpfs(wanted), Value::Object(items)) => tmpfs(wanted, items),
            _ => Held::unknown("the answer is of another kind"),
        }
    }
}

fn is_like(wanted: &Value, answer: &Value) -> Held {
    if std::mem::discriminant(wanted) == std::mem::discriminant(answer) {
        Held::when(wanted == answer)
    } else {
        Held::unknown("the answer is of another kind")
    }
}

fn is_refused(said: &str) -> bool {
    REFUSALS.contains(&said) || KILLS.contains(&said)
}

/// Judges what an attempt came to, if it came to anything.
fn attempt(said: &str, held: impl FnOnce(&str) -> bool) -> Held {
    if said == "hung" {
        Held::unknown("the attempt did not end")
    } else if said.starts_with("not tried") {
        Held::unknown("it could not be tried")
    } else {
        Held::when(held(said))
    }
}

/// No where one item is not as wanted, unknown where one is of another kind.
fn every<'a>(
    items: impl IntoIterator<Item = &'a Value>,
    held: impl Fn(&Value) -> Option<bool>,
) -> Held {
    let verdicts: Vec<_> = items.into_iter().map(held).collect();
    if verdicts.contains(&Some(false)) {
        Held::No
    } else if verdicts.contains(&None) {
        Held::unknown("the answer is of another kind")
    } else {
        Held::Yes
    }
}

/// The same for paths that must be answered for.
fn each(paths: &BTreeSet<String>, items: &Map<String, Value>, held: impl Fn(&str) -> bool) -> Held {
    let verdicts = paths
        .iter()
        .map(|path| items.get(path).and_then(Value::as_str).map(&held));
    let verdicts: Vec<_> = verdicts.collect();
    if verdicts.contains(&Some(false)) {
        Held::No
    } else if verdicts.contains(&None) {
        Held::unknown("not every path was answered for")
    } else {
        Held::Yes
    }
}

/// `PATH KIND MAJOR:MINOR`; the path may have spaces in it.
fn is_allowed_device(device: &str, extra: &BTreeSet<String>) -> Option<bool> {
    let (rest, number) = device.rsplit_once(' ')?;
    let (path, kind) = rest.rsplit_once(' ')?;
    let what = format!("{kind} {number}");
    // 136 to 143 are the far ends of terminals.
    let major = number.split_once(':')?.0.parse::<u32>().ok()?;
    let terminal = kind == "c" && (136..=143).contains(&major);
    Some(terminal || HARMLESS.contains(&&*what) || extra.contains(path))
}

fn tmpfs(wanted: &BTreeMap<String, Tmpfs>, items: &Map<String, Value>) -> Held {
    let mut verdict = Held::Yes;
    for (target, wanted) in wanted {
        let Some(found) = items.get(target) else {
            return Held::No;
        };
        let (Some(size), Some(options)) = (
            found.get("size").and_then(Value::as_u64),
            found.get("options").and_then(Value::as_array),
        ) else {
            verdict = Held::unknown("the answer is of another kind");
            continue;
        };
        let set = |option: &String| options.iter().any(|found| found == option);
        if wanted.size.is_some_and(|most| size > most) || !wanted.options.iter().all(set) {
            return Held::No;
        }
    }
    verdict
}

fn joined(words: &BTreeSet<String>) -> String {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(" ")
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::NotListening => f.write_str("not listening"),
            Self::Is(value) => write!(f, "{value}"),
            Self::Within(words) if words.is_empty() => f.write_str("none"),
            Self::Within(words) => write!(f, "at most {}", joined(words)),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Empty => f.write_str("none"),
            Self::Hidden(_) => f.write_str("hidden"),
            Self::ReadOnly(_) => f.write_str("read-only"),
            Self::NotWritten => f.write_str("not writable"),
            Self::Devices(extra) if extra.is_empty() => f.write_str("the usual ones"),
            Self::Devices(extra) => write!(f, "the usual ones and {}", joined(extra)),
            Self::Tmpfs(wanted) => {
                for (index, (target, wanted)) in wanted.iter().enumerate() {
                    let gap = if index > 0 { ", " } else { "" };
                    write!(f, "{gap}{target}")?;
                    if let Some(size) = wanted.size {
                        write!(f, " at most {size}")?;
                    }
                    if !wanted.options.is_empty() {
                        write!(f, " {}", joined(&wanted.options))?;
                    }
                }
                Ok(())
            }
        }
    }
}
