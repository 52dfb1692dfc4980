//! Keeping the beginning and the end of an output without keeping all of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use sandbox_core::Captured;

/// How much of each stream is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of the beginning.
    pub head: usize,
    /// Bytes of the end.
    pub tail: usize,
    /// A directory of this machine for a file that takes everything, up to `spill_limit` bytes.
    pub spill: Option<PathBuf>,
    /// The most bytes that the file takes.
    pub spill_limit: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            head: 1 << 20,
            tail: 1 << 20,
            spill: None,
            spill_limit: 1 << 30,
        }
    }
}

impl Keep {
    /// Keeps nothing: for output that is passed on as it comes.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            head: 0,
            tail: 0,
            ..Self::default()
        }
    }
}

/// One stream while it comes.
#[derive(Debug)]
pub(crate) struct Capture {
    keep: Keep,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    seen: u64,
    spill: Option<(PathBuf, File)>,
    spilled: u64,
}

impl Capture {
    pub(crate) fn new(keep: &Keep) -> Self {
        Self {
            keep: keep.clone(),
            head: Vec::new(),
            tail: VecDeque::new(),
            seen: 0,
            spill: None,
            spilled: 0,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// When the spill file cannot be written.
    pub(crate) fn push(&mut self, bytes: &[u8], name: &str) -> io::Result<()> {
        self.seen += bytes.len() as u64;
        let room = self.keep.head - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        let overflows = self.spill.is_none() && rest.len() + self.tail.len() > self.keep.tail;
        if overflows && let Some(directory) = &self.keep.spill {
            let path = directory.join(name);
            let mut file = File::options().write(true).create_new(true).open(&path)?;
            let (front, back) = self.tail.as_slices();
            for part in [&self.head[..], front, back] {
                file.write_all(part)?;
                self.spilled += part.len() as u64;
            }
            self.spill = Some((path, file));
        }
        if let Some((_, file)) = &mut self.spill {
            let room = self.keep.spill_limit.saturating_sub(self.spilled);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let part = &bytes[..room.min(bytes.len())];
            file.write_all(part)?;
            self.spilled += part.len() as u64;
        }
        self.head.extend_from_slice(first);
        let last = &rest[rest.len().saturating_sub(self.keep.tail)..];
        let surplus = (self.tail.len() + last.len()).saturating_sub(self.keep.tail);
        self.tail.drain(..surplus);
        self.tail.extend(last);
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    pub(crate) fn done(self) -> Captured {
        let kept = (self.head.len() + self.tail.len()) as u64;
        Captured {
            head: self.head,
            tail: self.tail.into(),
            seen: self.seen,
            dropped: self.seen - kept,
            spill: self
                .spill
                .map(|(path, _)| path.to_string_lossy().into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_are_those_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            head in 0_usize..40,
            tail in 0_usize..40,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let keep = Keep { head, tail, spill: Some(directory.path().into()), spill_limit: 100 };
            let mut capture = Capture::new(&keep);
            for piece in &pieces {
                capture.push(piece, "out").unwrap();
            }
            let whole = pieces.concat();
            let kept = capture.done();
            let split = head.min(whole.len());
            prop_assert_eq!(&kept.head, &whole[..split]);
            let rest = &whole[split..];
            prop_assert_eq!(&kept.tail, &rest[rest.len().saturating_sub(tail)..]);
            prop_assert_eq!(kept.seen, whole.len() as u64);
            prop_assert_eq!(kept.dropped, (whole.len() - kept.head.len() - kept.tail.len()) as u64);
            prop_assert_eq!(kept.spill.is_some(), kept.dropped > 0);
            if kept.spill.is_some() {
                let spilled = std::fs::read(directory.path().join("out")).unwrap();
                prop_assert_eq!(&spilled[..], &whole[..whole.len().min(spilled.len())]);
                prop_assert!(spilled.len() >= whole.len().min(100));
            }
        }
    }
}
