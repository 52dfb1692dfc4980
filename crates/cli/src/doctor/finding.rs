//! One thing that was looked at, and what to do about it.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Good,
    /// Worth knowing; nothing fails for it.
    Note,
    /// Something does not work, or will not.
    Bad,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at. What is not good says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in a word or two.
    pub(crate) name: String,
    pub(crate) state: State,
    /// What was found.
    pub(crate) detail: String,
    /// What to do; null where it is good.
    pub(crate) hint: Option<String>,
}

impl Finding {
    pub(crate) fn good(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: State::Good,
            detail: detail.into(),
            hint: None,
        }
    }

    pub(crate) fn note(
        name: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Note,
            hint: Some(hint.into()),
            ..Self::good(name, detail)
        }
    }

    pub(crate) fn bad(
        name: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Bad,
            hint: Some(hint.into()),
            ..Self::good(name, detail)
        }
    }
}

/// One finding that says that all of them are good, where nothing was found.
pub(crate) fn or_good(findings: Vec<Finding>, name: &str, detail: &str) -> Vec<Finding> {
    if findings.is_empty() {
        vec![Finding::good(name, detail)]
    } else {
        findings
    }
}
