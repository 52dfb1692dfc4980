//! Replacing a text in a file's content.

use thiserror::Error;

use crate::text;

/// A content with one text replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    pub(crate) content: String,
    /// The line where the text began, from 1.
    pub(crate) line: u64,
}

/// Why nothing was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum EditError {
    #[error("old_text is empty")]
    Empty,
    #[error("old_text and new_text are the same")]
    Same,
    #[error("old_text is not in the file")]
    NotFound {
        /// The line that is the same as its first line but for blanks.
        near: Option<u64>,
        /// Whether it is there with the file's line ends, CR and LF.
        crlf: bool,
    },
    #[error("old_text is in the file {count} times, on lines {}", listed(.lines))]
    Many { count: usize, lines: Vec<u64> },
}

fn listed(lines: &[u64]) -> String {
    let all: Vec<_> = lines.iter().map(u64::to_string).collect();
    all.join(", ")
}

impl EditError {
    /// What to do about it.
    pub(crate) fn next(&self) -> String {
        match self {
            Self::Empty => "Give the exact text to replace. To make a new file, use write_file.".to_owned(),
            Self::Same => "Nothing has to be changed, or new_text has to differ.".to_owned(),
            Self::NotFound { crlf: true, .. } => {
                "The file's lines end with \\r\\n: give old_text and new_text with \\r\\n.".to_owned()
            }
            Self::NotFound { near: Some(line), .. } => format!(
                "Line {line} is the same as the first line of old_text but for blanks: read the file \
                 around it with read_file and copy the text exactly, blanks and tabs included."
            ),
            Self::NotFound { .. } => {
                "Read the file again with read_file, it may have changed, and copy the text exactly."
                    .to_owned()
            }
            Self::Many { .. } => {
                "Give more of the lines around it in old_text (and in new_text), so that it is there once."
                    .to_owned()
            }
        }
    }
}

/// How many lines are told where a text is there more than once.
const TOLD: usize = 10;

fn line_of(content: &str, at: usize) -> u64 {
    text::feeds(&content.as_bytes()[..at]) + 1
}

/// All places of a text, overlapping ones too.
fn places(content: &str, old: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    let step = old.chars().next().map_or(1, char::len_utf8);
    while let Some(at) = content[from..].find(old) {
        found.push(from + at);
        from += at + step;
    }
    found
}

/// Puts `new` in the place of `old`, which has to be there exactly once.
pub(crate) fn replace_once(content: &str, old: &str, new: &str) -> Result<Edited, EditError> {
    if old.is_empty() {
        return Err(EditError::Empty);
    }
    if old == new {
        return Err(EditError::Same);
    }
    let found = places(content, old);
    match found.as_slice() {
        [] => Err(EditError::NotFound {
            near: near(content, old),
            crlf: !old.contains('\r') && content.contains(&old.replace('\n', "\r\n")),
        }),
        [at] => {
            let mut edited = String::with_capacity(content.len() + new.len());
            edited.push_str(&content[..*at]);
            edited.push_str(new);
            edited.push_str(&content[at + old.len()..]);
            Ok(Edited {
                content: edited,
                line: line_of(content, *at),
            })
        }
        many => Err(EditError::Many {
            count: many.len(),
            lines: many
                .iter()
                .take(TOLD)
                .map(|at| line_of(content, *at))
                .collect(),
        }),
    }
}

/// The first line that is like the first line of a text that says something.
fn near(content: &str, old: &str) -> Option<u64> {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = old.lines().map(plain).find(|line| !line.is_empty())?;
    let at = content.lines().position(|line| plain(line) == wanted)?;
    Some(at as u64 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_text_that_is_there_once_is_replaced() {
        let edited = replace_once("a\nb\nc\n", "b\n", "x\ny\n").unwrap();
        assert_eq!((edited.content.as_str(), edited.line), ("a\nx\ny\nc\n", 2));
    }

    #[rstest]
    #[case("ab", "", "x", EditError::Empty)]
    #[case("ab", "a", "a", EditError::Same)]
    #[case("ab", "c", "d", EditError::NotFound { near: None, crlf: false })]
    #[case("x\n\tif a:\n", "    if a:", "d", EditError::NotFound { near: Some(2), crlf: false })]
    #[case("a\r\nb\r\n", "a\nb", "d", EditError::NotFound { near: Some(1), crlf: true })]
    #[case("a\nb a\n", "a", "c", EditError::Many { count: 2, lines: vec![1, 2] })]
    // Replacing either of two that overlap would be a guess.
    #[case("aaa", "aa", "b", EditError::Many { count: 2, lines: vec![1, 1] })]
    fn anything_else_is_told(
        #[case] content: &str,
        #[case] old: &str,
        #[case] new: &str,
        #[case] told: EditError,
    ) {
        assert_eq!(replace_once(content, old, new), Err(told));
    }

    proptest! {
        #[test]
        fn around_it_all_stays(before in "[a-c\n]{0,9}", after in "[a-c\n]{0,9}", new in "\\PC{0,5}") {
            let content = format!("{before}<old>{after}");
            let edited = replace_once(&content, "<old>", &new).unwrap();
            prop_assert_eq!(edited.content, format!("{before}{new}{after}"));
            prop_assert_eq!(edited.line, 1 + before.matches('\n').count() as u64);
        }
    }
}
