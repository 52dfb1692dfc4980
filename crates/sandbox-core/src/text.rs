//! Text that came from a sandbox, made harmless for a terminal.
//!
//! What a sandbox says may hold escape sequences that retitle, recolour or rewrite the reader's
//! terminal, and characters that reverse or hide what stands beside them. [`line`](fn@line) is for
//! tables and errors, [`block`] for text of several lines. Neither is meant for a command's own
//! output, which goes out as it came.

/// One line: every control character is escaped, line breaks and tabs included.
///
/// ```
/// use sandbox_core::text;
/// assert_eq!(text::line(b"ok\x1b[2J\n"), r"ok\u{1b}[2J\n");
/// assert_eq!(text::line(b"caf\xc3\xa9 \xff"), r"café \xff");
/// ```
#[must_use]
pub fn line(bytes: &[u8]) -> String {
    escape(bytes, |character| matches!(character, '\n' | '\t' | '\r'))
}

/// Several lines: as [`line`](fn@line), but line feeds and tabs stay. A carriage return does not,
/// since it overwrites what stands before it.
#[must_use]
pub fn block(bytes: &[u8]) -> String {
    escape(bytes, |character| character == '\r')
}

fn escape(bytes: &[u8], short: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if short(character) {
                text.extend(character.escape_default());
            } else if is_harmless(character) {
                text.push(character);
            } else {
                text.extend(character.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            text.push_str("\\x");
            text.extend(
                [byte >> 4, byte & 15].map(|n| char::from_digit(n.into(), 16).unwrap_or('0')),
            );
        }
    }
    text
}

/// Neither a control character (`\n` and `\t` apart) nor one that hides or reorders text.
fn is_harmless(character: char) -> bool {
    let hides = matches!(
        character,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
        '\u{ad}' | '\u{61c}' | '\u{180e}'
        // Zero width, directional marks, line and paragraph separators, embeddings, overrides.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates, deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Byte order mark, interlinear annotation, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    !hides && (matches!(character, '\n' | '\t') || !character.is_control())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(b"hello", "hello")]
    #[case::colour(b"\x1b[31mred", r"\u{1b}[31mred")]
    #[case::c1("\u{9b}31m".as_bytes(), r"\u{9b}31m")]
    #[case::bell(b"\x07", r"\u{7}")]
    #[case::delete(b"\x7f", r"\u{7f}")]
    #[case::nul(b"a\0b", r"a\u{0}b")]
    #[case::rows(b"a\r\n\tb", r"a\r\n\tb")]
    #[case::override_("\u{202e}gpj.exe".as_bytes(), r"\u{202e}gpj.exe")]
    #[case::separator("a\u{2028}b".as_bytes(), r"a\u{2028}b")]
    #[case::cut(b"\xe2\x82", r"\xe2\x82")]
    #[case::wide("日本 🦀".as_bytes(), "日本 🦀")]
    fn a_line_shows_what_is_hidden(#[case] from: &[u8], #[case] to: &str) {
        assert_eq!(line(from), to);
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(block(b"a\tb\r\n\x1bc\n"), "a\tb\\r\n\\u{1b}c\n");
    }

    proptest! {
        #[test]
        fn nothing_that_comes_out_controls_a_terminal(bytes: Vec<u8>) {
            prop_assert!(!line(&bytes).chars().any(char::is_control));
            let controls = block(&bytes).chars().filter(|c| c.is_control()).collect::<String>();
            prop_assert!(controls.chars().all(|c| matches!(c, '\n' | '\t')));
        }
    }
}
