//! What the probes answered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Probe;

/// An answer that is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It is longer than any honest one.
    #[error("the probes' report has {length} bytes, more than {}", Report::LONGEST)]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// It is no JSON object.
    #[error("the probes' report is no JSON object")]
    Malformed(#[from] serde_json::Error),
}

/// The answers of a sandbox to the probes. They are claims: nothing about them is to be trusted but
/// that they are of bounded length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    answers: BTreeMap<Probe, Value>,
}

impl Report {
    /// The most bytes that a report may have.
    pub const LONGEST: usize = 256 * 1024;

    /// Reads `{"NAME": ANSWER, …}`. Names of unknown probes are passed over, as those of a newer
    /// agent.
    ///
    /// # Errors
    ///
    /// When it is too long or no JSON object.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        if text.len() > Self::LONGEST {
            return Err(ReportError::TooLong { length: text.len() });
        }
        let answers: BTreeMap<String, Value> = serde_json::from_str(text)?;
        let known = answers
            .into_iter()
            .filter_map(|(name, answer)| Some((name.parse().ok()?, answer)));
        Ok(Self {
            answers: known.collect(),
        })
    }

    /// What a probe answered.
    #[must_use]
    pub fn answer(&self, probe: Probe) -> Option<&Value> {
        self.answers.get(&probe)
    }

    /// Puts an answer in place of another, for answers that come from elsewhere.
    #[must_use]
    pub fn with(mut self, probe: Probe, answer: Value) -> Self {
        self.answers.insert(probe, answer);
        self
    }
}
