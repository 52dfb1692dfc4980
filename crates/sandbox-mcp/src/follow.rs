//! A job's stream from some byte on.

use rmcp::schemars;
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::{Ends, is_zero};
use crate::text;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the first byte that is kept; the middle is left out where it is too long.
    Start,
    /// With this byte, and without a gap.
    Offset(u64),
}

/// A part of a job's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Part {
    /// What was written. Where bytes are missing in between, a line says how many.
    pub(crate) text: String,
    /// Where the part begins in the stream, in bytes.
    pub(crate) offset: u64,
    /// Where the next part begins.
    pub(crate) next_offset: u64,
    /// How many bytes between the two are missing in the text.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    pub(crate) dropped: u64,
    /// How many bytes before the part had been asked for and are not kept any more.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    pub(crate) lost: u64,
    /// Whether more is there already.
    pub(crate) more: bool,
    /// How many byte sequences in the text were not UTF-8 and stand there as U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    pub(crate) invalid_utf8: u64,
}

/// A stream while it comes.
#[derive(Debug)]
pub(crate) struct Followed {
    begin: Begin,
    /// Where the next byte to come is in the stream.
    at: u64,
    /// Where the part begins.
    offset: u64,
    lost: u64,
    ends: Ends,
    kept: Vec<u8>,
    most: usize,
    more: bool,
}

impl Followed {
    /// The bytes come from `first` on. `most` are the sizes of beginning and end.
    pub(crate) fn new(begin: Begin, first: u64, most: (usize, usize)) -> Self {
        let (offset, lost) = match begin {
            Begin::Start => (first, first),
            Begin::Offset(offset) => (offset.max(first), first.saturating_sub(offset)),
        };
        Self {
            begin,
            at: first,
            offset,
            lost,
            ends: Ends::new(most),
            kept: Vec::new(),
            most: most.0 + most.1,
            more: false,
        }
    }

    /// Whether anything of it was asked for.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let skip = self.offset.saturating_sub(self.at);
        self.at += bytes.len() as u64;
        let Some(bytes) = usize::try_from(skip)
            .ok()
            .and_then(|skip| bytes.get(skip..))
        else {
            return false;
        };
        if bytes.is_empty() {
            return false;
        }
        match self.begin {
            Begin::Start => self.ends.push(bytes),
            Begin::Offset(_) => {
                let room = (self.most - self.kept.len()).min(bytes.len());
                self.kept.extend_from_slice(&bytes[..room]);
                self.more |= room < bytes.len();
            }
        }
        true
    }

    /// Whether what comes now makes no difference.
    pub(crate) fn is_full(&self) -> bool {
        self.more
    }

    /// The part. Where the stream goes on, the beginning of a character is left for the next one.
    pub(crate) fn finish(self, goes_on: bool) -> Part {
        match self.begin {
            Begin::Start => {
                let next_offset = self.offset + self.ends.seen();
                let stream = self.ends.finish(None);
                Part {
                    text: stream.text,
                    offset: self.offset,
                    next_offset,
                    dropped: stream.dropped,
                    lost: self.lost,
                    more: false,
                    invalid_utf8: stream.invalid_utf8,
                }
            }
            Begin::Offset(_) => {
                let mut kept = self.kept;
                let whole = kept.len() - text::unfinished(&kept);
                if whole > 0 && (goes_on || self.more) {
                    kept.truncate(whole);
                }
                let (text, invalid_utf8) = text::lossy(&kept);
                Part {
                    text,
                    offset: self.offset,
                    next_offset: self.offset + kept.len() as u64,
                    dropped: 0,
                    lost: self.lost,
                    more: self.more,
                    invalid_utf8,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn follow(begin: Begin, first: u64, pieces: &[&[u8]]) -> Part {
        let mut followed = Followed::new(begin, first, (4, 4));
        for piece in pieces {
            followed.push(piece);
        }
        followed.finish(true)
    }

    #[test]
    fn from_the_start_the_middle_is_left_out() {
        let part = follow(Begin::Start, 100, &[b"abcdef", b"ghijkl"]);
        assert_eq!(part.text, "abcd\n[… 4 bytes dropped …]\nijkl");
        assert_eq!((part.offset, part.next_offset, part.lost), (100, 112, 100));
    }

    #[test]
    fn from_a_byte_on_there_is_no_gap() {
        let part = follow(Begin::Offset(3), 0, &[b"ab", b"cdef", b"ghijklmn"]);
        assert_eq!(
            (part.text.as_str(), part.offset, part.next_offset),
            ("defghijk", 3, 11)
        );
        assert!(part.more);
    }

    #[test]
    fn what_is_not_kept_any_more_is_told() {
        let part = follow(Begin::Offset(5), 10, &[b"ab"]);
        assert_eq!((part.text.as_str(), part.offset, part.lost), ("ab", 10, 5));
    }

    #[test]
    fn what_is_still_to_come_is_empty() {
        let part = follow(Begin::Offset(7), 0, &[b"ab"]);
        assert_eq!((part.text.as_str(), part.next_offset), ("", 7));
    }

    proptest! {
        #[test]
        fn parts_one_after_the_other_are_the_stream(text in "[ab€é]{0,30}") {
            let bytes = text.as_bytes();
            let (mut at, mut all) = (0, String::new());
            while at < bytes.len() as u64 {
                let part = follow(Begin::Offset(at), 0, &[bytes]);
                prop_assert!(part.next_offset > at && part.offset == at);
                at = part.next_offset;
                all.push_str(&part.text);
            }
            prop_assert_eq!(all, text);
        }
    }
}
