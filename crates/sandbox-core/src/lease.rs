//! How long a sandbox outlives the last use of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// How long a sandbox keeps running without a command, a live job, or a client that talks. The
/// agent inside counts it, so it lapses even where every client was killed.
///
/// Written `2h`, `90m`, `1h30m`, `45s`, `7d`, or `none`; a bare number is seconds, and `0` is `none`.
///
/// ```
/// use sandbox_core::Lease;
/// assert_eq!("2h".parse::<Lease>()?.seconds(), 7200);
/// assert_eq!("none".parse::<Lease>()?, Lease::None);
/// assert_eq!(Lease::default().to_string(), "1h");
/// # Ok::<(), sandbox_core::LeaseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lease {
    /// It runs until somebody stops it.
    None,
    /// It runs for this long after its last use. Whole seconds, at least one.
    For(Duration),
}

impl Lease {
    /// The longest lease: a hundred years of 365 days.
    pub const MAX: Duration = Duration::from_hours(100 * 365 * 24);

    /// A lease of so many seconds; 0 is [`Lease::None`].
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        if seconds == 0 {
            Self::None
        } else {
            Self::For(Duration::from_secs(seconds))
        }
    }

    /// The lease in seconds, as `sandbox-agent serve --lease` takes it: 0 is none.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::None => 0,
            Self::For(time) => time.as_secs(),
        }
    }
}

impl Default for Lease {
    /// One hour.
    fn default() -> Self {
        Self::from_secs(3600)
    }
}

/// Why a text is not a lease.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// It is not of the form `1h30m`.
    #[error("`{text}` is not a time such as `2h`, `90m` or `1h30m`")]
    Form {
        /// The text.
        text: String,
    },
    /// It is longer than [`Lease::MAX`].
    #[error("`{text}` is longer than a hundred years")]
    TooLong {
        /// The text.
        text: String,
    },
}

impl FromStr for Lease {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Self, LeaseError> {
        let form = || LeaseError::Form { text: text.into() };
        let long = || LeaseError::TooLong { text: text.into() };
        if text == "none" {
            return Ok(Self::None);
        }
        let mut seconds = 0_u64;
        let mut rest = text;
        let mut last = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            if number.is_empty() {
                return Err(form());
            }
            let number: u64 = number.parse().map_err(|_| long())?;
            let unit = match tail.chars().next() {
                None if digits == text.len() => 1,
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 86_400,
                _ => return Err(form()),
            };
            // Larger units come first and none comes twice.
            if unit >= last {
                return Err(form());
            }
            last = unit;
            seconds = number
                .checked_mul(unit)
                .and_then(|part| seconds.checked_add(part))
                .filter(|&seconds| seconds <= Self::MAX.as_secs())
                .ok_or_else(long)?;
            rest = tail.get(1..).unwrap_or_default();
        }
        if text.is_empty() {
            return Err(form());
        }
        Ok(Self::from_secs(seconds))
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.seconds();
        if seconds == 0 {
            return f.pad("none");
        }
        let mut text = String::new();
        for (unit, letter) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
            if seconds >= unit {
                text.push_str(&(seconds / unit).to_string());
                text.push(letter);
                seconds %= unit;
            }
        }
        f.pad(&text)
    }
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2h", 7200)]
    #[case("90m", 5400)]
    #[case("1h30m", 5400)]
    #[case("1d1s", 86_401)]
    #[case("45", 45)]
    #[case("0", 0)]
    #[case("0s", 0)]
    #[case("none", 0)]
    fn a_lease_is_read(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(text.parse(), Ok(Lease::from_secs(seconds)));
    }

    #[rstest]
    #[case("")]
    #[case("h")]
    #[case("1h30")]
    #[case("30m1h")]
    #[case("1h1h")]
    #[case("-1h")]
    #[case("1.5h")]
    #[case("1 h")]
    #[case("1é")]
    #[case("forever")]
    fn what_is_no_lease_is_refused(#[case] text: &str) {
        assert_eq!(
            text.parse::<Lease>(),
            Err(LeaseError::Form { text: text.into() })
        );
    }

    #[rstest]
    #[case("36501d")]
    #[case("99999999999999999999s")]
    fn a_lease_has_an_end(#[case] text: &str) {
        assert_eq!(
            text.parse::<Lease>(),
            Err(LeaseError::TooLong { text: text.into() })
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(seconds in 0..=Lease::MAX.as_secs()) {
            let lease = Lease::from_secs(seconds);
            prop_assert_eq!(lease.to_string().parse(), Ok(lease));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(text.parse::<Lease>());
        }
    }
}
