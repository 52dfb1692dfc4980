//! SHA-256 sums, and the `sha256sum` file format.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256 sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sum([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 sum of 64 hexadecimal digits")]
pub(crate) struct BadSum(String);

impl Sum {
    /// The sum of one run of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The sum of several fields, each with its length before it so that no two lists collide.
    pub(crate) fn of_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for field in fields {
            hasher.update((field.len() as u64).to_be_bytes());
            hasher.update(field);
        }
        Self(hasher.finalize().into())
    }

    /// The first 16 digits: enough to name a folder of a cache.
    pub(crate) fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({self})")
    }
}

impl FromStr for Sum {
    type Err = BadSum;

    fn from_str(text: &str) -> Result<Self, BadSum> {
        let bad = || BadSum(text.to_owned());
        let digits: Vec<u8> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[pair.len() - 1])
            .collect();
        if digits.len() == 64 {
            bytes.try_into().map(Self).map_err(|_| bad())
        } else {
            Err(bad())
        }
    }
}

/// Why a file of sums cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SumsError {
    /// A line that is not a sum, white space and a name.
    #[error("line {line} is not a sum and a file name")]
    Shape {
        /// Counted from one.
        line: usize,
    },
    /// The first word of a line is no sum.
    #[error("line {line}")]
    Sum {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        source: BadSum,
    },
}

/// Reads what `sha256sum` writes: a sum, two spaces (or a space and `*`), a name.
pub(crate) fn parse_sums(text: &str) -> Result<BTreeMap<String, Sum>, SumsError> {
    let mut sums = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (sum, name) = line
            .split_once(char::is_whitespace)
            .ok_or(SumsError::Shape { line: line_number })?;
        let name = name.trim_start();
        let name = name.strip_prefix('*').unwrap_or(name);
        let name = name.rsplit('/').next().unwrap_or(name);
        let sum = sum.parse().map_err(|source| SumsError::Sum {
            line: line_number,
            source,
        })?;
        sums.insert(name.to_owned(), sum);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_sum_of_nothing_is_the_published_one() {
        assert_eq!(Sum::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Sum::of(b"")));
        assert_eq!(EMPTY.to_uppercase().parse(), Ok(Sum::of(b"")));
    }

    #[rstest]
    #[case::short("e3b0")]
    #[case::odd(&EMPTY[1..])]
    #[case::long("00e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    #[case::not_hexadecimal("g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    #[case::empty("")]
    fn anything_but_64_digits_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Sum>(), Err(BadSum(text.to_owned())));
    }

    #[test]
    fn fields_that_join_to_the_same_text_have_different_sums() {
        let a = Sum::of_fields([b"ab".as_slice(), b"c"]);
        let b = Sum::of_fields([b"a".as_slice(), b"bc"]);
        assert_ne!(a, b);
    }

    #[test]
    fn a_file_of_sums_may_hold_comments_binary_marks_and_folders() {
        let text = format!("# ours\n\n{EMPTY}  a.tar.xz\n{EMPTY} *dir/b.tar.xz\n");
        let sums = parse_sums(&text).unwrap();
        assert_eq!(sums.keys().collect::<Vec<_>>(), ["a.tar.xz", "b.tar.xz"]);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        assert_eq!(parse_sums("\nabc"), Err(SumsError::Shape { line: 2 }));
        let bad = parse_sums("abc  file");
        assert_eq!(
            bad,
            Err(SumsError::Sum {
                line: 1,
                source: BadSum("abc".to_owned())
            })
        );
    }
}
