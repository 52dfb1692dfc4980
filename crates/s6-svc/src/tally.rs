//! The deaths of a service, as `s6-supervise` writes them in `supervise/death_tally`.
//!
//! The file is a sequence of 14-byte records, oldest first: a TAI64N stamp (12), the exit code (1),
//! the signal (1). A death by signal has 128 plus the signal as its exit code.

use crate::error::DecodeError;
use crate::status::Exit;
use crate::tai::Tai64n;

/// One death of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Death {
    /// When `run` ended.
    pub at: Tai64n,
    /// How it ended.
    pub exit: Exit,
}

impl Death {
    /// Bytes in a record.
    pub const SIZE: usize = 14;

    fn decode(record: &[u8; Self::SIZE]) -> Result<Self, DecodeError> {
        let [stamp @ .., code, signal] = record;
        let exit = if *signal == 0 {
            Exit::Code(*code)
        } else {
            Exit::Signal(*signal)
        };
        Ok(Self {
            at: Tai64n::decode(*stamp)?,
            exit,
        })
    }

    fn encode(self) -> [u8; Self::SIZE] {
        let (code, signal) = match self.exit {
            Exit::Code(code) => (code, 0),
            Exit::Signal(signal) => (signal.wrapping_add(128), signal),
        };
        let mut out = [0; Self::SIZE];
        out[..12].copy_from_slice(&self.at.encode());
        out[12] = code;
        out[13] = signal;
        out
    }
}

/// The recent deaths of a service, oldest first.
///
/// `s6-supervise` keeps as many as `max-death-tally` says: 100 by default, at most 4096. It forgets
/// them when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeathTally {
    deaths: Vec<Death>,
}

impl DeathTally {
    /// The most records in a file.
    pub const MAX_RECORDS: usize = 4096;

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`DecodeError::TallyLength`] where a record is cut, [`DecodeError::Nanoseconds`] where a
    /// stamp is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (records, rest) = bytes.as_chunks::<{ Death::SIZE }>();
        if !rest.is_empty() {
            return Err(DecodeError::TallyLength { found: bytes.len() });
        }
        let deaths = records
            .iter()
            .map(Death::decode)
            .collect::<Result<_, _>>()?;
        Ok(Self { deaths })
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.deaths
            .iter()
            .flat_map(|death| death.encode())
            .collect()
    }

    /// The deaths, oldest first.
    #[must_use]
    pub fn deaths(&self) -> &[Death] {
        &self.deaths
    }

    /// How many deaths there were from `since` on.
    #[must_use]
    pub fn count_since(&self, since: Tai64n) -> usize {
        self.deaths.iter().filter(|death| death.at >= since).count()
    }
}

impl FromIterator<Death> for DeathTally {
    fn from_iter<T: IntoIterator<Item = Death>>(deaths: T) -> Self {
        Self {
            deaths: deaths.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_record_is_refused_at_every_length() {
        let whole = [0; 28];
        for length in (0..28).filter(|length| length % 14 != 0) {
            let error = DeathTally::decode(&whole[..length]).unwrap_err();
            assert_eq!(error, DecodeError::TallyLength { found: length });
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_decode_to_as_many_deaths(bytes: Vec<u8>) {
            if let Ok(tally) = DeathTally::decode(&bytes) {
                prop_assert_eq!(tally.deaths().len() * Death::SIZE, bytes.len());
            }
        }

        #[test]
        fn deaths_survive_the_round_trip(records: Vec<([u8; 12], bool, u8)>) {
            let deaths = records.into_iter().filter_map(|(stamp, killed, value)| {
                let exit = if killed { Exit::Signal(value.max(1)) } else { Exit::Code(value) };
                Some(Death { at: Tai64n::decode(stamp).ok()?, exit })
            });
            let tally: DeathTally = deaths.collect();
            prop_assert_eq!(DeathTally::decode(&tally.encode()), Ok(tally));
        }
    }
}
