//! A profile's own `.env`: `NAME=value` lines, with `export`, quotes and comments.

use std::path::Path;

use crate::read::{self, Odd};

/// The variables of a file, in their order; none where there is none.
///
/// # Errors
/// [`Odd`], where something else than a small regular file stands there.
pub fn load(path: &Path) -> Result<Vec<(String, String)>, Odd> {
    let bytes = read::small_file(path).map_err(|reason| Odd {
        path: path.to_owned(),
        reason,
    })?;
    Ok(parse(&String::from_utf8_lossy(&bytes.unwrap_or_default())))
}

/// The variables of a text. Lines that are none are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(variable).collect()
}

fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let valid = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
    valid.then(|| (name.to_owned(), unquote(value.trim())))
}

/// What is between quotes; without them, what stands before a comment.
fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return rest[..end].to_owned();
        }
    }
    let comment = value
        .find(" #")
        .or_else(|| value.starts_with('#').then_some(0));
    value[..comment.unwrap_or(value.len())]
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("A=b", Some(("A", "b")))]
    #[case::spaces("  A = b c ", Some(("A", "b c")))]
    #[case::export("export A=b", Some(("A", "b")))]
    #[case::double("A=\"b # c\" # d", Some(("A", "b # c")))]
    #[case::single("A='b=c'", Some(("A", "b=c")))]
    #[case::comment_after("A=b # c", Some(("A", "b")))]
    #[case::hash_inside("A=b#c", Some(("A", "b#c")))]
    #[case::empty("A=", Some(("A", "")))]
    #[case::comment("# A=b", None)]
    #[case::no_name("=b", None)]
    #[case::digit("1A=b", None)]
    #[case::word("A", None)]
    fn a_line_is_a_variable_or_nothing(#[case] line: &str, #[case] expected: Option<(&str, &str)>) {
        let found = parse(line).pop();
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
