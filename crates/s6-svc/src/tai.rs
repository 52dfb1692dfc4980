//! TAI64N: the time stamps of s6.
//!
//! A TAI64N label is 12 bytes, big-endian: 8 bytes of seconds (2^62 is the first second of 1970
//! TAI) and 4 bytes of nanoseconds. In text it is `@` and 24 lower-case hexadecimal digits. The
//! format is D. J. Bernstein's (<https://cr.yp.to/libtai/tai64.html>); the leap seconds between UTC
//! and TAI are those of skalibs, which s6 uses when it reads the system clock.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::DecodeError;

/// The label of the first second of 1970 TAI.
const EPOCH: u64 = 1 << 62;

/// TAI was this far ahead of UTC when UTC began to have leap seconds.
const OFFSET_1972: u64 = 10;

/// Unix times from which one more leap second lies between UTC and TAI.
const LEAPS: [u64; 27] = [
    78_796_800,
    94_694_400,
    126_230_400,
    157_766_400,
    189_302_400,
    220_924_800,
    252_460_800,
    283_996_800,
    315_532_800,
    362_793_600,
    394_329_600,
    425_865_600,
    489_024_000,
    567_993_600,
    631_152_000,
    662_688_000,
    709_948_800,
    741_484_800,
    773_020_800,
    820_454_400,
    867_715_200,
    915_148_800,
    1_136_073_600,
    1_230_768_000,
    1_341_100_800,
    1_435_708_800,
    1_483_228_800,
];

/// A point in time, as s6 writes it.
///
/// Ordered by time. [`Tai64n::from`] takes a [`SystemTime`], [`Tai64n::to_system_time`] gives it
/// back.
///
/// ```
/// use s6_svc::Tai64n;
/// let stamp: Tai64n = "@4000000068fcd9a20b532b80".parse()?;
/// assert_eq!(stamp.to_string(), "@4000000068fcd9a20b532b80");
/// assert_eq!(stamp.nanos(), 190_000_000);
/// # Ok::<(), s6_svc::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tai64n {
    secs: u64,
    nanos: u32,
}

impl Tai64n {
    /// Bytes in the binary form.
    pub const SIZE: usize = 12;

    /// Reads the 12-byte binary form.
    ///
    /// # Errors
    /// [`DecodeError::Nanoseconds`] where the second part is a billion or more.
    pub fn decode(bytes: [u8; Self::SIZE]) -> Result<Self, DecodeError> {
        let [label @ .., _, _, _, _] = bytes;
        let [_, _, _, _, _, _, _, _, rest @ ..] = bytes;
        let (secs, nanos) = (u64::from_be_bytes(label), u32::from_be_bytes(rest));
        if nanos >= 1_000_000_000 {
            return Err(DecodeError::Nanoseconds { nanos });
        }
        Ok(Self { secs, nanos })
    }

    /// The 12-byte binary form.
    #[must_use]
    pub fn encode(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&self.secs.to_be_bytes());
        out[8..].copy_from_slice(&self.nanos.to_be_bytes());
        out
    }

    /// Now, from the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// The seconds part: the TAI64 label itself.
    #[must_use]
    pub fn label(self) -> u64 {
        self.secs
    }

    /// The nanoseconds part, below a billion.
    #[must_use]
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// The time that has passed since `earlier`; zero where `earlier` is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        if self <= earlier {
            return Duration::ZERO;
        }
        let mut secs = self.secs - earlier.secs;
        let nanos = if self.nanos < earlier.nanos {
            secs -= 1;
            self.nanos + 1_000_000_000 - earlier.nanos
        } else {
            self.nanos - earlier.nanos
        };
        Duration::new(secs, nanos)
    }

    /// The same moment on the system's clock; `None` before 1970 and where the clock's type cannot
    /// hold it.
    ///
    /// A leap second itself is the second that follows it, as on a Unix clock.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let tai = self.secs.checked_sub(EPOCH)?.checked_sub(OFFSET_1972)?;
        let passed = (0..)
            .zip(LEAPS)
            .take_while(|(i, leap)| tai > leap + i)
            .count();
        let secs = tai - u64::try_from(passed).ok()?;
        UNIX_EPOCH.checked_add(Duration::new(secs, self.nanos))
    }
}

impl From<SystemTime> for Tai64n {
    /// Times before 1970 become the first second of 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let unix = since.as_secs();
        let leaps = LEAPS.iter().take_while(|leap| unix >= **leap).count() as u64;
        Self {
            secs: EPOCH + OFFSET_1972 + unix + leaps,
            nanos: since.subsec_nanos(),
        }
    }
}

impl fmt::Display for Tai64n {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:016x}{:08x}", self.secs, self.nanos)
    }
}

impl FromStr for Tai64n {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let digits = text.strip_prefix('@').unwrap_or_default();
        if digits.len() != 24 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(DecodeError::TimeStampText { length: text.len() });
        }
        let malformed = |_| DecodeError::TimeStampText { length: text.len() };
        let secs = u64::from_str_radix(&digits[..16], 16).map_err(malformed)?;
        let nanos = u32::from_str_radix(&digits[16..], 16).map_err(malformed)?;
        if nanos >= 1_000_000_000 {
            return Err(DecodeError::Nanoseconds { nanos });
        }
        Ok(Self { secs, nanos })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stamp_of_2017_has_37_seconds_between_utc_and_tai() {
        let noon = UNIX_EPOCH + Duration::new(1_500_000_000, 0);
        assert_eq!(Tai64n::from(noon).label() - EPOCH, 1_500_000_037);
    }

    #[test]
    fn a_leap_second_is_the_second_that_follows_it() {
        let after = UNIX_EPOCH + Duration::new(1_483_228_800, 0);
        let label = Tai64n::from(after).label();
        let leap = Tai64n {
            secs: label - 1,
            nanos: 0,
        };
        assert_eq!(leap.to_system_time(), Some(after));
    }

    proptest! {
        #[test]
        fn system_time_survives_the_round_trip(secs in 0_u64..1 << 40, nanos in 0_u32..1_000_000_000) {
            let time = UNIX_EPOCH + Duration::new(secs, nanos);
            prop_assert_eq!(Tai64n::from(time).to_system_time(), Some(time));
        }

        #[test]
        fn bytes_are_refused_or_survive_the_round_trip(bytes: [u8; 12]) {
            match Tai64n::decode(bytes) {
                Ok(stamp) => {
                    prop_assert_eq!(stamp.encode(), bytes);
                    prop_assert_eq!(stamp.to_string().parse::<Tai64n>(), Ok(stamp));
                }
                Err(error) => {
                    let is_nanoseconds = matches!(error, DecodeError::Nanoseconds { .. });
                    prop_assert!(is_nanoseconds);
                }
            }
        }

        #[test]
        fn text_is_refused_or_survives_the_round_trip(text in "@?[0-9a-fA-Fg]{0,26}|\\PC*") {
            if let Ok(stamp) = text.parse::<Tai64n>() {
                prop_assert_eq!(stamp.to_string(), text.to_ascii_lowercase());
            }
        }

        #[test]
        fn durations_never_overflow(a: [u8; 12], b: [u8; 12]) {
            if let (Ok(a), Ok(b)) = (Tai64n::decode(a), Tai64n::decode(b)) {
                let (early, late) = if a < b { (a, b) } else { (b, a) };
                prop_assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
                prop_assert_eq!(late.saturating_duration_since(early).is_zero(), early == late);
                prop_assert!(a.to_system_time().is_none_or(|time| time >= UNIX_EPOCH));
            }
        }
    }
}
