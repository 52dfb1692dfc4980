//! What a comparison found.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Expectation, Probe, Report};

/// Whether an expectation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It does, as far as the sandbox can be believed.
    Yes,
    /// It does not.
    No,
    /// Nobody knows.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl Held {
    pub(super) fn when(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }

    pub(super) fn unknown(reason: &str) -> Self {
        Self::Unknown {
            reason: reason.to_owned(),
        }
    }

    /// `yes`, `no` or `unknown`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An expectation and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What was asked.
    pub probe: Probe,
    /// Whether it is as expected: `yes`, `no`, `unknown`.
    pub held: Held,
    /// Why that is not known, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was expected, in words.
    pub expected: String,
    /// What the sandbox answered, as it answered it.
    pub found: Option<Value>,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    /// Whether the engine tells the same.
    pub engine_knows: bool,
}

/// Holds answers against expectations, in the order of the expectations.
#[must_use]
pub fn compare(expected: &[Expectation], report: &Report) -> Vec<Finding> {
    expected
        .iter()
        .map(|expectation| finding(expectation, report))
        .collect()
}

fn finding(expectation: &Expectation, report: &Report) -> Finding {
    let found = report.answer(expectation.probe);
    let missing = || Held::unknown("the sandbox did not answer");
    let held = found.map_or_else(missing, |answer| expectation.check.judge(answer));
    let reason = match &held {
        Held::Unknown { reason } => Some(reason.clone()),
        Held::Yes | Held::No => None,
    };
    Finding {
        probe: expectation.probe,
        held,
        reason,
        expected: expectation.check.to_string(),
        found: found.cloned(),
        why: expectation.why,
        hint: expectation.hint,
        engine_knows: expectation.probe.engine_knows(),
    }
}

/// How many characters of an answer a table shows.
const SHOWN: usize = 60;

/// The findings for people, one a line, with the reason and the hint below each that does not hold.
/// Why some are not known stands once, below all. What the sandbox said is cut and escaped.
#[must_use]
pub fn table(findings: &[Finding]) -> String {
    let width = |text: fn(&Finding) -> usize| findings.iter().map(text).max().unwrap_or(0);
    let probes = width(|finding| finding.probe.as_str().len()).max("PROBE".len());
    let expected = width(|finding| finding.expected.len().min(SHOWN)).max("EXPECTED".len());
    let mut text = format!(
        "{:<7}  {:<probes$}  {:<expected$}  FOUND\n",
        "HELD", "PROBE", "EXPECTED"
    );
    let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        let found = finding.found.as_ref().map_or_else(|| "-".to_owned(), shown);
        let wanted = cut(finding.expected.chars());
        // Writing to a string cannot fail.
        _ = writeln!(
            text,
            "{:<7}  {:<probes$}  {wanted:<expected$}  {found}",
            finding.held.as_str(),
            finding.probe
        );
        match &finding.held {
            Held::Yes => {}
            Held::No => {
                let Finding { why, hint, .. } = finding;
                _ = writeln!(text, "         {why}\n         hint: {hint}");
            }
            Held::Unknown { reason } => *unknown.entry(reason).or_default() += 1,
        }
    }
    for (reason, count) in unknown {
        _ = writeln!(text, "{count} unknown: {reason}");
    }
    text
}

/// A claim as it can be put on a terminal.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let escaped = text.chars().flat_map(|letter| {
        let plain = letter.is_ascii() && !letter.is_ascii_control();
        let escaped = (!plain).then(|| letter.escape_unicode());
        escaped.into_iter().flatten().chain(plain.then_some(letter))
    });
    cut(escaped)
}

fn cut(text: impl Iterator<Item = char>) -> String {
    let mut text: String = text.take(SHOWN + 1).collect();
    if text.chars().count() > SHOWN {
        text = text.chars().take(SHOWN - 1).collect();
        text.push('…');
    }
    text
}
