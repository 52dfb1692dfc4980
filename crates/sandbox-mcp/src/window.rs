//! The part of a file that was asked for, taken out of it as it comes.

use crate::text;

/// Which part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// From this byte on, so many.
    Bytes { offset: u64, length: u64 },
    /// From this line on (the first is 1), so many.
    Lines { first: u64, count: u64 },
}

/// A range while the file comes.
#[derive(Debug)]
pub(crate) struct Window {
    range: Range,
    most: usize,
    /// How many bytes of the file have come, and how many lines of it have ended.
    passed: u64,
    lines: u64,
    /// Where in the file the kept bytes begin.
    begin: Option<u64>,
    kept: Vec<u8>,
    /// Whether nothing more is kept.
    full: bool,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// Where in the file they begin.
    pub(crate) offset: u64,
}

impl Window {
    /// `most` bytes are kept at most.
    pub(crate) fn new(range: Range, most: usize) -> Self {
        Self {
            range,
            most,
            passed: 0,
            lines: 0,
            begin: None,
            kept: Vec::new(),
            full: false,
        }
    }

    /// Whether the rest of the file makes no difference.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// How many line feeds have come.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.range {
            Range::Bytes { offset, length } => self.push_bytes(bytes, offset, length),
            Range::Lines { first, count } => self.push_lines(bytes, first, count),
        }
        self.passed += bytes.len() as u64;
        self.lines += text::feeds(bytes);
    }

    fn push_bytes(&mut self, bytes: &[u8], offset: u64, length: u64) {
        let skip = offset.saturating_sub(self.passed);
        let Some(bytes) = usize::try_from(skip)
            .ok()
            .and_then(|skip| bytes.get(skip..))
        else {
            return;
        };
        let left = length.saturating_sub(self.kept.len() as u64);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        self.keep(self.passed + skip, bytes, wanted);
        self.full |= self.kept.len() as u64 >= length;
    }

    fn push_lines(&mut self, bytes: &[u8], first: u64, count: u64) {
        let first = first.max(1);
        let last = first.saturating_add(count);
        let mut line = self.lines + 1;
        let mut at = 0;
        while at < bytes.len() && !self.full {
            let feed = bytes[at..].iter().position(|byte| *byte == b'\n');
            let end = feed.map_or(bytes.len(), |feed| at + feed + 1);
            if line >= last {
                self.full = true;
            } else if line >= first {
                self.keep(self.passed + at as u64, &bytes[at..end], usize::MAX);
            }
            line += u64::from(feed.is_some());
            at = end;
        }
    }

    fn keep(&mut self, offset: u64, bytes: &[u8], wanted: usize) {
        if self.full || bytes.is_empty() || wanted == 0 {
            return;
        }
        self.begin.get_or_insert(offset);
        let room = (self.most - self.kept.len()).min(wanted).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.full |= room < bytes.len();
    }

    /// What was kept.
    pub(crate) fn finish(self) -> Part {
        Part {
            offset: self.begin.unwrap_or(self.passed),
            bytes: self.kept,
        }
    }
}

impl Part {
    /// Where the next part of the file begins.
    pub(crate) fn next(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Whether it is no text: it holds NUL bytes, or what is no UTF-8.
    pub(crate) fn is_binary(&self) -> bool {
        let bytes = &self.bytes[text::left_over(&self.bytes)..];
        let bytes = &bytes[..bytes.len() - text::unfinished(bytes)];
        bytes.contains(&0) || std::str::from_utf8(bytes).is_err()
    }

    /// Leaves out what does not end well, where the file goes on: a line, or a character.
    pub(crate) fn end_well(&mut self, size: u64, by_lines: bool) {
        if self.next() >= size {
            return;
        }
        let feed = self.bytes.iter().rposition(|byte| *byte == b'\n');
        match feed {
            Some(feed) if by_lines => self.bytes.truncate(feed + 1),
            _ => {
                let whole = self.bytes.len() - text::unfinished(&self.bytes);
                if whole > 0 {
                    self.bytes.truncate(whole);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const LINES: Range = Range::Lines {
        first: 1,
        count: u64::MAX,
    };

    fn window(range: Range, most: usize, pieces: &[&[u8]]) -> (Part, bool) {
        let mut window = Window::new(range, most);
        for piece in pieces {
            window.push(piece);
        }
        let full = window.is_full();
        (window.finish(), full)
    }

    #[rstest]
    #[case(Range::Bytes { offset: 2, length: 3 }, "cde", 2, true)]
    #[case(Range::Bytes { offset: 0, length: 99 }, "abcdefg", 0, false)]
    #[case(Range::Bytes { offset: 7, length: 1 }, "", 7, false)]
    #[case(Range::Bytes { offset: 70, length: 1 }, "", 7, false)]
    fn bytes_come_from_anywhere(
        #[case] range: Range,
        #[case] text: &str,
        #[case] offset: u64,
        #[case] full: bool,
    ) {
        for pieces in [&[&b"abcdefg"[..]][..], &[b"ab", b"c", b"", b"defg"]] {
            let (part, is_full) = window(range, 100, pieces);
            assert_eq!(
                part,
                Part {
                    bytes: text.into(),
                    offset
                }
            );
            assert_eq!(is_full, full);
        }
    }

    #[rstest]
    #[case(LINES, "one\ntwo\nthree", 0)]
    #[case(Range::Lines { first: 2, count: 1 }, "two\n", 4)]
    #[case(Range::Lines { first: 3, count: 9 }, "three", 8)]
    #[case(Range::Lines { first: 4, count: 9 }, "", 13)]
    fn lines_come_from_anywhere(#[case] range: Range, #[case] text: &str, #[case] offset: u64) {
        for pieces in [
            &[&b"one\ntwo\nthree"[..]][..],
            &[b"on", b"e\nt", b"wo", b"\n", b"three"],
        ] {
            let (part, _) = window(range, 100, pieces);
            assert_eq!(
                part,
                Part {
                    bytes: text.into(),
                    offset
                }
            );
        }
    }

    #[test]
    fn what_is_cut_ends_with_a_line_or_a_character() {
        let (mut part, full) = window(LINES, 6, &[b"one\ntwo\n"]);
        assert!(full);
        part.end_well(8, true);
        assert_eq!((part.bytes.as_slice(), part.next()), (&b"one\n"[..], 4));
        let (mut part, _) = window(LINES, 4, &["aaa€€".as_bytes()]);
        part.end_well(9, true);
        assert_eq!(part.bytes, b"aaa");
    }

    #[rstest]
    #[case(b"text\n", false)]
    #[case("€é".as_bytes(), false)]
    #[case(b"\x82\xac and \xe2\x82", false)]
    #[case(b"a\0b", true)]
    #[case(b"a\xffb", true)]
    fn what_is_no_text_is_binary(#[case] bytes: &[u8], #[case] binary: bool) {
        let part = Part {
            bytes: bytes.to_vec(),
            offset: 0,
        };
        assert_eq!(part.is_binary(), binary);
    }

    proptest! {
        #[test]
        fn parts_one_after_the_other_are_the_file(text in "[ab€\n]{0,40}", most in 4usize..16) {
            let bytes = text.as_bytes();
            let (mut at, mut all) = (0, Vec::new());
            while at < bytes.len() as u64 {
                let range = Range::Bytes { offset: at, length: u64::MAX };
                let (mut part, _) = window(range, most, &[bytes]);
                part.end_well(bytes.len() as u64, true);
                prop_assert!(!part.bytes.is_empty() && part.offset == at);
                at = part.next();
                all.extend(part.bytes);
            }
            prop_assert_eq!(all, bytes);
        }
    }
}
