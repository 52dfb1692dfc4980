//! Bytes of a sandbox as text.

use std::fmt::Write as _;

/// The bytes as text, and how many sequences in it were no UTF-8; each of those is U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> (String, u64) {
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            invalid += 1;
        }
    }
    (text, invalid)
}

/// How many bytes at the end are the beginning of a character whose rest may follow: 0 to 3.
pub(crate) fn unfinished(bytes: &[u8]) -> usize {
    let begin = bytes.len().saturating_sub(3);
    for at in begin..bytes.len() {
        if let Err(error) = std::str::from_utf8(&bytes[at..])
            && error.valid_up_to() == 0
            && error.error_len().is_none()
        {
            return bytes.len() - at;
        }
    }
    0
}

/// How many bytes at the beginning are the rest of a character that began before them: 0 to 3.
pub(crate) fn left_over(bytes: &[u8]) -> usize {
    let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let count = bytes.iter().take(4).take_while(is_rest).count();
    if count > 3 { 0 } else { count }
}

/// How many line feeds there are.
#[expect(
    clippy::naive_bytecount,
    reason = "what is counted has to be read and sent as well"
)]
pub(crate) fn feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// JSON in which everything that a terminal would obey, or that hides or reorders text, is an
/// escape. Those characters stand in strings only, so that it stays the same JSON.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmless(character) {
            escaped.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                write!(escaped, "\\u{unit:04x}").ok();
            }
        }
    }
    escaped
}

fn is_harmless(character: char) -> bool {
    !(character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"plain", "plain", 0)]
    #[case(b"a\xffb\xfe\xfec", "a\u{fffd}b\u{fffd}\u{fffd}c", 3)]
    #[case(b"\xe2\x82", "\u{fffd}", 1)]
    fn what_is_no_utf8_is_replaced_and_counted(
        #[case] bytes: &[u8],
        #[case] text: &str,
        #[case] invalid: u64,
    ) {
        assert_eq!(lossy(bytes), (text.to_owned(), invalid));
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({"a": "\u{1b}[2J\u{9b}x\u{202e}\u{e0041}\n\té"});
        let escaped = escape_json(&value.to_string());
        assert_eq!(
            escaped,
            "{\"a\":\"\\u001b[2J\\u009bx\\u202e\\udb40\\udc41\\n\\té\"}"
        );
        let back: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(back, value);
    }

    proptest! {
        #[test]
        fn a_text_that_is_cut_anywhere_joins_again(text in "\\PC{0,12}", cut in 0usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let (head, tail) = bytes.split_at(cut);
            let head = &head[..head.len() - unfinished(head)];
            let tail = &tail[left_over(tail)..];
            prop_assert!(std::str::from_utf8(head).is_ok());
            prop_assert!(std::str::from_utf8(tail).is_ok());
            prop_assert!(bytes.len() - head.len() - tail.len() <= 4);
        }

        #[test]
        fn nothing_but_the_unfinished_is_called_so(bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let count = unfinished(&bytes);
            prop_assert!(count <= 3 && left_over(&bytes) <= 3);
            let (_, before) = lossy(&bytes[..bytes.len() - count]);
            let (_, all) = lossy(&bytes);
            prop_assert_eq!(all, before + u64::from(count > 0));
        }
    }
}
