//! The result of a command in a sandbox, whichever way it was run.

use std::time::Duration;

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
    /// How many of its processes were killed.
    pub killed: u32,
    /// How many of its processes could not be killed. The agent leaves none; the engine's exec
    /// API cannot tell, and then this counts what was still seen.
    pub survivors: u32,
    /// From its start to its end.
    pub duration: Duration,
    /// The working directory that it left behind, for the next command of its session.
    pub cwd: Option<String>,
    /// Who ran it.
    pub via: Via,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It exited with this code.
    Exited(u8),
    /// It was ended by the signal of this number.
    Signalled(u8),
}

impl End {
    /// The exit code that a shell would give it: its own, or 128 plus the signal's number.
    ///
    /// ```
    /// use sandbox_core::End;
    /// assert_eq!(End::Exited(3).code(), 3);
    /// assert_eq!(End::Signalled(9).code(), 137);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128_u8.saturating_add(signal),
        }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

/// Who ran a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The agent inside the sandbox.
    Agent,
    /// The engine's exec API, because no agent runs there. Its processes are not all accounted for.
    EngineExec,
}

/// What was kept of one stream of output: its first and its last bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, where not all were kept; they follow `dropped` bytes that were not.
    pub tail: Vec<u8>,
    /// How many bytes were written in all.
    pub seen: u64,
    /// How many bytes between `head` and `tail` were not kept.
    pub dropped: u64,
    /// The file in the sandbox that holds all of it, if there is one. The sandbox can write it.
    pub spill: Option<String>,
}

impl Captured {
    /// A stream of which every byte was kept.
    #[must_use]
    pub fn whole(bytes: Vec<u8>) -> Self {
        Self {
            seen: bytes.len() as u64,
            head: bytes,
            ..Self::default()
        }
    }

    /// Whether bytes are missing between `head` and `tail`.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.dropped > 0
    }

    /// What was kept, `head` and `tail` together. Where bytes are missing, a line between the two
    /// says how many.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend_from_slice(format!("\n[… {} bytes dropped …]\n", self.dropped).as_bytes());
        }
        bytes.extend_from_slice(&self.tail);
        bytes
    }

    /// The same as text; what is not UTF-8 becomes U+FFFD. Not escaped: see [`text`](crate::text).
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_beyond_all_does_not_wrap() {
        assert_eq!(End::Signalled(64).code(), 192);
        assert_eq!(End::Signalled(200).code(), 255);
    }

    #[test]
    fn truncated_output_says_what_is_missing() {
        let captured = Captured {
            head: b"begin".to_vec(),
            tail: b"end".to_vec(),
            seen: 108,
            dropped: 100,
            spill: None,
        };
        assert!(captured.is_truncated());
        assert_eq!(captured.text(), "begin\n[… 100 bytes dropped …]\nend");
        let whole = Captured::whole(b"all\xff".to_vec());
        assert!(!whole.is_truncated());
        assert_eq!((whole.bytes(), whole.seen), (b"all\xff".to_vec(), 4));
    }
}
