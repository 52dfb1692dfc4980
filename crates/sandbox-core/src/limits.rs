//! Sizes, processors, and what a sandbox may use of them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// Why a text is not a limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct LimitError {
    /// The text.
    pub text: String,
    /// What it should be.
    pub expected: &'static str,
}

/// A size in bytes, as Docker writes it: `512m`, `4g`, `1.5g`, `4096k`, with or without `b` or `ib`
/// after the letter. The letters are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many MiB.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let error = || LimitError {
            text: text.into(),
            expected: "a size such as `512m` or `4g`",
        };
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &lower[digits.len()..] {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(error()),
        };
        let bytes = decimal(digits, 1 << shift).ok_or_else(error)?;
        i64::try_from(bytes).map_err(|_| error())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, letter) in [(30, "g"), (20, "m"), (10, "k")] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return f.pad(&format!("{}{letter}", self.0 >> shift));
            }
        }
        f.pad(&self.0.to_string())
    }
}

/// A share of the processors, in billionths of one, as Docker counts it: `2`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Cpus(u64);

impl Cpus {
    /// So many whole processors.
    #[must_use]
    pub const fn whole(count: u32) -> Self {
        Self(count as u64 * 1_000_000_000)
    }

    /// Billionths of a processor.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

impl FromStr for Cpus {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        decimal(text.trim(), 1_000_000_000)
            .filter(|nanos| (10_000_000..=1_000_000_000_000_000).contains(nanos))
            .map(Self)
            .ok_or_else(|| LimitError {
                text: text.into(),
                expected: "a number of processors such as `2` or `0.5`, at least 0.01",
            })
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// `text` as a decimal number times `scale`, rounded down, with at most nine decimals.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?);
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = u128::from(fraction.parse::<u64>().ok()?);
    let scale = u128::from(scale);
    u64::try_from(whole * scale + fraction * scale / divisor).ok()
}

/// A limit as a spec gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit<T> {
    /// Nothing was said: the default, where there is one.
    #[default]
    Default,
    /// This much.
    Set(T),
    /// No limit, in so many words (`unlimited`).
    Unlimited,
}

/// The limits of a container. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Size>,
    /// Memory and swap together; equal to `memory`, so that there is no swap. `None` where the host
    /// cannot limit swap.
    pub memory_swap: Option<Size>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// `/dev/shm`.
    pub shm: Size,
    /// The writable layer of the root file system.
    pub disk: Option<Size>,
}

/// What is limited if nothing is said: 2 processors.
pub const DEFAULT_CPUS: Cpus = Cpus::whole(2);
/// What is limited if nothing is said: 4 GiB.
pub const DEFAULT_MEMORY: Size = Size::from_mib(4096);
/// What is limited if nothing is said: 256 processes and threads.
pub const DEFAULT_PIDS: u32 = 256;
/// What is limited if nothing is said: 64 MiB of `/dev/shm`.
pub const DEFAULT_SHM: Size = Size::from_mib(64);
/// The least memory that engines take.
pub const LEAST_MEMORY: Size = Size::from_mib(6);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("512m", 512 << 20)]
    #[case("4g", 4 << 30)]
    #[case("1.5g", 3 << 29)]
    #[case("4GiB", 4 << 30)]
    #[case("1kb", 1024)]
    #[case("100", 100)]
    fn a_size_is_read(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(text.parse(), Ok(Size::from_bytes(bytes)));
    }

    #[rstest]
    #[case("")]
    #[case("m")]
    #[case("-1m")]
    #[case("1.m")]
    #[case("1x")]
    #[case("1e3")]
    #[case("99999999999t")]
    #[case("8388608t")]
    fn what_is_no_size_is_refused(#[case] text: &str) {
        assert!(text.parse::<Size>().is_err());
    }

    #[rstest]
    #[case("2", 2_000_000_000)]
    #[case("0.5", 500_000_000)]
    #[case("1.000000001", 1_000_000_001)]
    fn processors_are_read(#[case] text: &str, #[case] nanos: u64) {
        let cpus: Cpus = text.parse().unwrap();
        assert_eq!((cpus.nanos(), cpus.to_string().as_str()), (nanos, text));
    }

    #[rstest]
    #[case("0")]
    #[case("0.001")]
    #[case("-1")]
    #[case("1e9")]
    #[case("nan")]
    fn what_is_no_share_is_refused(#[case] text: &str) {
        assert!(text.parse::<Cpus>().is_err());
    }

    proptest! {
        #[test]
        fn a_size_that_is_shown_is_read_back(bytes in 0..i64::MAX.cast_unsigned()) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
