//! The state of a service, as `s6-supervise` writes it in `supervise/status`.
//!
//! The file is 35 bytes in s6 up to 2.12 and from 2.14 on, and 43 in 2.13, big-endian: the TAI64N
//! stamp of the last change (12), that of the last readiness (12), the process id (8), in the
//! longer form the process group (8), the low 16 bits of what `waitpid` gave (2), flags (1).

use std::fmt;

use crate::error::DecodeError;
use crate::tai::Tai64n;

const SHORT: usize = 35;
const LONG: usize = 43;

const PAUSED: u8 = 1;
const FINISHING: u8 = 2;
const WANT_UP: u8 = 4;
const READY: u8 = 8;

/// The fields of a status file, one by one, as they are written.
///
/// What they mean together is [`Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the file has four flags, and this is the file"
)]
pub struct RawStatus {
    /// When the service last went up or down.
    pub stamp: Tai64n,
    /// When it was last ready, or entirely down.
    pub ready_stamp: Tai64n,
    /// The process id of `run`, or of `finish`; 0 where neither runs.
    pub pid: u32,
    /// The process group; only in the 43-byte form.
    pub process_group: Option<i64>,
    /// How `run` last ended: the low 16 bits of the wait status.
    pub wait_status: u16,
    /// Stopped by a signal; set on a service that never ran by s6 2.14 and later.
    pub paused: bool,
    /// It is `finish` that runs.
    pub finishing: bool,
    /// The supervisor keeps it up.
    pub want_up: bool,
    /// Ready if it is up, entirely down if it is down.
    pub ready: bool,
}

impl RawStatus {
    /// Reads a whole status file; its form is chosen by its exact length.
    ///
    /// # Errors
    /// [`DecodeError`]: another length, a process id that is none, a stamp that is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let length = DecodeError::StatusLength { found: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<32>().ok_or(length.clone())?;
        let (process_group, rest) = match bytes.len() {
            SHORT => (None, rest),
            LONG => {
                let (group, rest) = rest.split_first_chunk::<8>().ok_or(length.clone())?;
                (Some(i64::from_be_bytes(*group)), rest)
            }
            _ => return Err(length),
        };
        let &[wait_high, wait_low, flags] = rest else {
            return Err(length);
        };
        let mut stamp = [0; Tai64n::SIZE];
        let mut ready_stamp = [0; Tai64n::SIZE];
        let mut pid = [0; 8];
        stamp.copy_from_slice(&head[..12]);
        ready_stamp.copy_from_slice(&head[12..24]);
        pid.copy_from_slice(&head[24..]);
        let pid = u64::from_be_bytes(pid);
        Ok(Self {
            stamp: Tai64n::decode(stamp)?,
            ready_stamp: Tai64n::decode(ready_stamp)?,
            pid: i32::try_from(pid)
                .map(i32::unsigned_abs)
                .map_err(|_| DecodeError::ProcessId { value: pid })?,
            process_group,
            wait_status: u16::from_be_bytes([wait_high, wait_low]),
            paused: flags & PAUSED != 0,
            finishing: flags & FINISHING != 0,
            want_up: flags & WANT_UP != 0,
            ready: flags & READY != 0,
        })
    }

    /// The bytes of the file: 43 with a process group, 35 without.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LONG);
        out.extend(self.stamp.encode());
        out.extend(self.ready_stamp.encode());
        out.extend(u64::from(self.pid).to_be_bytes());
        out.extend(self.process_group.into_iter().flat_map(i64::to_be_bytes));
        out.extend(self.wait_status.to_be_bytes());
        let flag = |set, bit| if set { bit } else { 0 };
        out.push(
            flag(self.paused, PAUSED)
                | flag(self.finishing, FINISHING)
                | flag(self.want_up, WANT_UP)
                | flag(self.ready, READY),
        );
        out
    }
}

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Its supervisor has not started it since the supervisor itself began.
    NeverStarted,
    /// Neither `run` nor `finish` runs.
    Down,
    /// `run` runs.
    Up {
        /// Its process id, in the supervisor's pid namespace.
        pid: u32,
        /// It has said so on its `notification-fd`.
        ready: bool,
    },
    /// `run` has ended and `finish` runs.
    Finishing {
        /// The process id of `finish`.
        pid: u32,
    },
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverStarted => f.write_str("not started yet"),
            Self::Down => f.write_str("down"),
            Self::Up { pid, ready: false } => write!(f, "up (pid {pid})"),
            Self::Up { pid, ready: true } => write!(f, "up and ready (pid {pid})"),
            Self::Finishing { pid } => write!(f, "finishing (pid {pid})"),
        }
    }
}

/// What the supervisor is told to do when the service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// Start it again.
    Up,
    /// Leave it down.
    Down,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// It was killed by this signal.
    Signal(u8),
}

impl Exit {
    pub(crate) fn from_wait_status(status: u16) -> Option<Self> {
        let [code, low] = status.to_be_bytes();
        match low & 0x7f {
            0 => Some(Self::Code(code)),
            0x7f => None,
            signal => Some(Self::Signal(signal)),
        }
    }
}

/// The state of a service.
///
/// ```no_run
/// use s6_svc::{Phase, ServiceDir};
/// let service = ServiceDir::new("/run/service/gateway-coder")?;
/// match service.status()?.phase() {
///     Phase::Up { pid, ready: true } => println!("ready, process {pid}"),
///     Phase::Up { pid, .. } => println!("starting, process {pid}"),
///     phase => println!("not up: {phase:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    raw: RawStatus,
}

impl Status {
    /// Reads a whole status file.
    ///
    /// # Errors
    /// As [`RawStatus::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        RawStatus::decode(bytes).map(Self::from)
    }

    /// Where the service is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let RawStatus { pid, ready, .. } = self.raw;
        if pid == 0 {
            // Before 2.14 nothing marks a service that never ran but that both stamps are the
            // supervisor's own start.
            let untouched = self.raw.wait_status == 0 && self.raw.stamp == self.raw.ready_stamp;
            if self.raw.paused || untouched {
                Phase::NeverStarted
            } else {
                Phase::Down
            }
        } else if self.raw.finishing {
            Phase::Finishing { pid }
        } else {
            Phase::Up { pid, ready }
        }
    }

    /// Whether `run` runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.phase(), Phase::Up { .. })
    }

    /// Whether it is up and has said that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase(), Phase::Up { ready: true, .. })
    }

    /// Whether it is entirely down: neither `run` nor `finish` runs.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase(), Phase::NeverStarted | Phase::Down)
    }

    /// What its supervisor is told to do.
    #[must_use]
    pub fn want(&self) -> Want {
        if self.raw.want_up {
            Want::Up
        } else {
            Want::Down
        }
    }

    /// Whether it was stopped with [`Command::Pause`](crate::Command::Pause).
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.raw.paused && self.raw.pid != 0
    }

    /// The process id of `run`, while it is up.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.phase() {
            Phase::Up { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// The process group of what runs.
    ///
    /// s6 starts a service in a group of its own, so where the file does not say, it is the process
    /// id of `run`.
    #[must_use]
    pub fn process_group(&self) -> Option<u32> {
        match self.raw.process_group {
            Some(group) => u32::try_from(group).ok().filter(|group| *group > 0),
            None => self.pid(),
        }
    }

    /// How `run` last ended; `None` while it is up and where it never ran.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        match self.phase() {
            Phase::Down | Phase::Finishing { .. } => Exit::from_wait_status(self.raw.wait_status),
            Phase::Up { .. } | Phase::NeverStarted => None,
        }
    }

    /// When it last went up or down.
    #[must_use]
    pub fn since(&self) -> Tai64n {
        self.raw.stamp
    }

    /// When it was last ready, or last entirely down.
    #[must_use]
    pub fn ready_since(&self) -> Tai64n {
        self.raw.ready_stamp
    }

    /// The fields as the file holds them.
    #[must_use]
    pub fn raw(&self) -> &RawStatus {
        &self.raw
    }
}

impl From<RawStatus> for Status {
    fn from(raw: RawStatus) -> Self {
        Self { raw }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn stamp(nanos: u32) -> Tai64n {
        let mut bytes = [0; 12];
        bytes[0] = 0x40;
        bytes[8..].copy_from_slice(&nanos.to_be_bytes());
        Tai64n::decode(bytes).unwrap()
    }

    #[rstest]
    #[case(0x0000, Some(Exit::Code(0)))]
    #[case(0x0100, Some(Exit::Code(1)))]
    #[case(0xff00, Some(Exit::Code(255)))]
    #[case(0x0009, Some(Exit::Signal(9)))]
    #[case(0x008b, Some(Exit::Signal(11)))]
    #[case(0x137f, None)]
    fn a_wait_status_is_a_code_or_a_signal(#[case] status: u16, #[case] exit: Option<Exit>) {
        assert_eq!(Exit::from_wait_status(status), exit);
    }

    #[test]
    fn a_leftover_pause_flag_on_a_service_without_a_process_means_that_it_never_ran() {
        let raw = RawStatus {
            paused: true,
            stamp: stamp(1),
            ready_stamp: stamp(2),
            ..RawStatus::default()
        };
        let status = Status::from(raw);
        assert_eq!(status.phase(), Phase::NeverStarted);
        assert!(!status.is_paused());
        assert_eq!(status.exit(), None);
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let whole = RawStatus {
            process_group: Some(7),
            ..RawStatus::default()
        }
        .encode();
        for length in (0..whole.len()).filter(|length| *length != SHORT) {
            let error = Status::decode(&whole[..length]).unwrap_err();
            assert_eq!(error, DecodeError::StatusLength { found: length });
        }
        let longer = [whole, vec![0]].concat();
        assert_eq!(
            Status::decode(&longer),
            Err(DecodeError::StatusLength { found: 44 })
        );
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), SHORT),
            proptest::collection::vec(any::<u8>(), LONG),
            proptest::collection::vec(any::<u8>(), 0..64),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_decode_to_a_state_without_contradiction(mut bytes in bytes(), tame: bool) {
            if tame && bytes.len() >= SHORT {
                // Most random bytes are refused for their stamps: clear what is refused, to reach
                // the rest.
                for index in [8, 20, 24, 25, 26, 27, 28] {
                    bytes[index] = 0;
                }
            }
            if let Ok(raw) = RawStatus::decode(&bytes) {
                let mut again = raw.encode();
                let last = again.len() - 1;
                again[last] |= bytes[last] & 0xf0;
                prop_assert_eq!(&again, &bytes);
                let status = Status::from(raw);
                prop_assert_eq!(status.pid().is_some(), status.is_up());
                prop_assert!(!(status.is_up() && status.exit().is_some()));
                prop_assert!(!(status.is_up() && status.is_finished()));
                prop_assert!(!status.is_ready() || status.is_up());
                prop_assert!(!status.is_paused() || !status.is_finished());
            }
        }
    }
}
