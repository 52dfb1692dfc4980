//! What is wrong with a spec, all of it at once.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong with a spec, or with a spec on a certain host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: the field's path in the spec, such as `mounts[2]` or `env.PATH`.
    pub field: String,
    /// What is wrong. One line, with no control characters.
    pub message: String,
    /// What to do about it, where that can be said.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint. Control characters in the texts are escaped.
    pub fn new(field: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self {
            field: crate::text::line(field.as_ref().as_bytes()),
            message: crate::text::line(message.as_ref().as_bytes()),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(crate::text::line(hint.as_ref().as_bytes()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that is wrong with a spec: at least one [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order of the fields.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// An iterator over the problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Gathers problems while the rest of a spec is still looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gather(Vec<Problem>);

impl Gather {
    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether something is wrong with that field.
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|problem| problem.field == field)
    }

    /// The value, or its problem on the list.
    pub(crate) fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// Puts the problems in the order of these fields; unknown ones come last.
    pub(crate) fn sort(&mut self, fields: &[&str]) {
        self.0.sort_by_key(|problem| {
            let root = problem.field.split(['.', '[']).next().unwrap_or_default();
            let rest = problem.field[root.len()..].trim_matches(['[', ']']);
            let at = fields.iter().position(|field| *field == root);
            (at.unwrap_or(fields.len()), rest.parse::<usize>().ok())
        });
    }

    /// The value, if nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ if self.0.is_empty() => Err(Problems(vec![Problem::new("spec", "is incomplete")])),
            _ => Err(Problems(self.0)),
        }
    }
}
