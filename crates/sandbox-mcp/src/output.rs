//! The beginning and the end of a stream of output.

use std::collections::VecDeque;
use std::fmt::Write as _;

use rmcp::schemars;
use schemars::JsonSchema;
use serde::Serialize;

use crate::text;

/// One output stream, as a result tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Stream {
    /// What was written. Where bytes are missing, a line in between says how many.
    pub(crate) text: String,
    /// How many bytes were written in all.
    pub(crate) bytes: u64,
    /// How many bytes of them are missing in the text.
    pub(crate) dropped: u64,
    /// How many byte sequences in the text were not UTF-8 and stand there as U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    pub(crate) invalid_utf8: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Takes a stream as it comes and holds its two ends.
#[derive(Debug)]
pub(crate) struct Ends {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    most: (usize, usize),
    seen: u64,
}

impl Ends {
    /// `most` are the sizes of the beginning and of the end.
    pub(crate) fn new(most: (usize, usize)) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            most,
            seen: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let room = (self.most.0 - self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(self.most.1)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.most.1);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// How many bytes have come.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The result; of `written` bytes, where more were written than came.
    pub(crate) fn finish(self, written: Option<u64>) -> Stream {
        let tail: Vec<u8> = self.tail.into();
        let bytes = written.unwrap_or(self.seen).max(self.seen);
        let kept = (self.head.len() + tail.len()) as u64;
        if bytes == kept {
            let mut whole = self.head;
            whole.extend(tail);
            let (text, invalid_utf8) = text::lossy(&whole);
            return Stream {
                text,
                bytes,
                dropped: 0,
                invalid_utf8,
            };
        }
        // A character that the gap cuts counts as missing.
        let head = &self.head[..self.head.len() - text::unfinished(&self.head)];
        let tail = &tail[text::left_over(&tail)..];
        let dropped = bytes.saturating_sub((head.len() + tail.len()) as u64);
        let (mut text, before) = text::lossy(head);
        let (rest, after) = text::lossy(tail);
        // Writing to a string does not fail.
        write!(text, "\n[… {dropped} bytes dropped …]\n").ok();
        text.push_str(&rest);
        Stream {
            text,
            bytes,
            dropped,
            invalid_utf8: before + after,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(most: (usize, usize), pieces: &[&[u8]]) -> Stream {
        let mut ends = Ends::new(most);
        for piece in pieces {
            ends.push(piece);
        }
        ends.finish(None)
    }

    #[test]
    fn what_fits_is_whole() {
        let stream = ends((4, 4), &[b"abc", b"defgh"]);
        assert_eq!((stream.text.as_str(), stream.dropped), ("abcdefgh", 0));
    }

    #[test]
    fn a_gap_says_how_much_is_missing() {
        let stream = ends((2, 2), &[b"abcdefgh"]);
        assert_eq!(stream.text, "ab\n[… 4 bytes dropped …]\ngh");
        assert_eq!((stream.bytes, stream.dropped), (8, 4));
    }

    #[test]
    fn a_gap_cuts_no_character() {
        let stream = ends((4, 4), &["aaé€bbbbbb€é".as_bytes()]);
        assert_eq!((stream.invalid_utf8, stream.bytes), (0, 18));
        assert!(stream.text.starts_with("aaé\n[…"), "{}", stream.text);
        assert!(stream.text.ends_with("]\né"), "{}", stream.text);
        assert_eq!(stream.dropped, 18 - 4 - 2);
    }

    #[test]
    fn what_was_dropped_elsewhere_counts() {
        let mut both = Ends::new((2, 2));
        both.push(b"ab");
        both.push(b"yz");
        let stream = both.finish(Some(1000));
        assert_eq!(stream.text, "ab\n[… 996 bytes dropped …]\nyz");
        assert_eq!(stream.bytes, 1000);
    }

    proptest! {
        #[test]
        fn in_pieces_or_at_once_it_is_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            cuts in proptest::collection::vec(0usize..64, 0..4),
            head in 1usize..16, tail in 1usize..16,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            let whole = ends((head, tail), &[&bytes]);
            prop_assert_eq!(&ends((head, tail), &pieces), &whole);
            prop_assert_eq!(whole.bytes, bytes.len() as u64);
            prop_assert_eq!(whole.dropped > 0, bytes.len() > head + tail);
        }
    }
}
