//! What becomes of the bytes that a command writes.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::scratch::Scratch;
use crate::sys;
use crate::user::Identity;
use crate::wire::{Channel, Counts};

/// One of a command's streams.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Where it is read; nothing once it has ended.
    pub(crate) fd: Option<OwnedFd>,
    /// How much is still read, once the command has ended.
    pub(crate) limit: Option<u64>,
    pub(crate) counts: Counts,
    pub(crate) sink: Sink,
    /// How many bytes the client still takes.
    pub(crate) credit: u64,
    /// Whether the pipe has been made to hold more.
    wide: bool,
}

/// Where the bytes go.
#[derive(Debug)]
pub(crate) enum Sink {
    Client,
    Nobody,
    Capture(Box<Capture>),
    Ring(Ring),
}

/// The beginning and the end of a stream, and perhaps a file with all of it.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    head_most: usize,
    tail: VecDeque<u8>,
    tail_most: usize,
    spill_most: u64,
    spill: Option<OwnedFd>,
    spill_name: String,
    owner: Identity,
}

impl Capture {
    pub(crate) fn new(sizes: (u32, u32, u64), spill_name: String, owner: Identity) -> Self {
        let most = |size: u32| usize::try_from(size).unwrap_or(0).min(1 << 20);
        Self {
            head: Vec::new(),
            head_most: most(sizes.0),
            tail: VecDeque::new(),
            tail_most: most(sizes.1),
            spill_most: sizes.2,
            spill: None,
            spill_name,
            owner,
        }
    }

    fn take(&mut self, bytes: &[u8], counts: &mut Counts, scratch: &mut Option<Scratch>) {
        let fits =
            self.head.len() + self.tail.len() + bytes.len() <= self.head_most + self.tail_most;
        if !fits && counts.dropped == 0 && self.spill_most > 0 && self.spill.is_none() {
            self.begin_spill(counts, scratch);
        }
        self.write_spill(bytes, counts);
        let room = (self.head_most - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let rest = &bytes[room..];
        let rest = if rest.len() > self.tail_most {
            let (gone, kept) = rest.split_at(rest.len() - self.tail_most);
            counts.dropped += gone.len() as u64;
            kept
        } else {
            rest
        };
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_most);
        self.tail.drain(..over);
        counts.dropped += over as u64;
        self.tail.extend(rest);
    }

    /// Where the bounds are first exceeded, head and tail are all there has been so far.
    fn begin_spill(&mut self, counts: &mut Counts, scratch: &mut Option<Scratch>) {
        if scratch.is_none() {
            *scratch = Scratch::large().ok();
        }
        let Some(scratch) = scratch else {
            self.spill_most = 0;
            return;
        };
        match scratch.file(&self.spill_name, &self.owner) {
            Ok(fd) => {
                self.spill = Some(fd);
                let path = scratch.path(&self.spill_name);
                counts.spill = Some(path.as_os_str().as_bytes().to_vec().into());
                let (head, tail) = (
                    std::mem::take(&mut self.head),
                    self.tail.make_contiguous().to_vec(),
                );
                self.write_spill(&head, counts);
                self.write_spill(&tail, counts);
                self.head = head;
            }
            Err(_) => self.spill_most = 0,
        }
    }

    fn write_spill(&mut self, bytes: &[u8], counts: &mut Counts) {
        let Some(fd) = &self.spill else {
            return;
        };
        let left = usize::try_from(self.spill_most - counts.spilled).unwrap_or(usize::MAX);
        let mut bytes = &bytes[..bytes.len().min(left)];
        while !bytes.is_empty() {
            match nix::unistd::write(fd, bytes) {
                Ok(count) => {
                    counts.spilled += count as u64;
                    bytes = &bytes[count..];
                }
                Err(Errno::EINTR) => {}
                Err(_) => {
                    // The file system is full: what is there stays, and its length is told.
                    self.spill_most = counts.spilled;
                    return;
                }
            }
        }
    }

    fn parts(self, head: Channel, tail: Channel) -> Vec<(Channel, Vec<u8>)> {
        vec![(head, self.head), (tail, self.tail.into())]
    }
}

/// The last bytes of a job's stream, in memory that is a file's.
#[derive(Debug)]
pub(crate) struct Ring {
    fd: OwnedFd,
    size: u64,
    /// How many bytes have ever been written.
    pub(crate) end: u64,
}

impl Ring {
    pub(crate) fn new(size: u32) -> Result<Self, Errno> {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let fd = memfd_create(c"job", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self {
            fd,
            size: size.into(),
            end: 0,
        })
    }

    /// The oldest byte that is still there.
    pub(crate) fn begin(&self) -> u64 {
        self.end.saturating_sub(self.size)
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let at = self.end % self.size;
            let room = usize::try_from(self.size - at)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let offset = at.cast_signed();
            let count = nix::sys::uio::pwrite(&self.fd, &bytes[..room], offset)?;
            self.end += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Up to `most` bytes from `position` on, or from the oldest one that is there.
    pub(crate) fn read(&self, position: &mut u64, most: usize) -> Vec<u8> {
        *position = (*position).max(self.begin());
        let at = *position % self.size;
        let there = (self.end - *position).min(self.size - at).min(most as u64);
        let mut bytes = vec![0; usize::try_from(there).unwrap_or(0)];
        let got = nix::sys::uio::pread(&self.fd, &mut bytes, at.cast_signed()).unwrap_or(0);
        bytes.truncate(got);
        *position += got as u64;
        bytes
    }
}

/// What came of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// As many, for the client.
    Bytes(usize),
    /// There will be no more, which is for the client to know.
    End,
    Nothing,
}

impl Stream {
    pub(crate) fn new(fd: Option<OwnedFd>, sink: Sink) -> Self {
        Self {
            fd,
            limit: None,
            counts: Counts::default(),
            sink,
            credit: crate::wire::INITIAL_CREDIT.into(),
            wide: false,
        }
    }

    /// Whether it should be read now, as far as the client's credit goes.
    pub(crate) fn wants(&self) -> bool {
        self.fd.is_some()
            && self.limit != Some(0)
            && (!matches!(self.sink, Sink::Client) || self.credit > 0)
    }

    /// Whether all there is to read has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.fd.is_none() || self.limit == Some(0)
    }

    /// The command has ended: what it wrote is in the pipe, and nothing after that is its.
    pub(crate) fn settle(&mut self, terminal: bool) {
        if let Some(fd) = &self.fd
            && !terminal
        {
            self.limit = Some(sys::readable(fd.as_fd()));
        }
    }

    /// Reads once.
    pub(crate) fn read(&mut self, buffer: &mut [u8], scratch: &mut Option<Scratch>) -> Got {
        let Some(fd) = &self.fd else {
            return Got::Nothing;
        };
        let mut most = buffer.len() as u64;
        if let Some(limit) = self.limit {
            most = most.min(limit);
        }
        if matches!(self.sink, Sink::Client) {
            most = most.min(self.credit);
        }
        let most = usize::try_from(most).unwrap_or(buffer.len());
        if most == 0 {
            return Got::Nothing;
        }
        let count = match nix::unistd::read(fd, &mut buffer[..most]) {
            Ok(0) => return self.end(),
            Ok(count) => count,
            Err(Errno::EAGAIN | Errno::EINTR) => {
                // Somebody else has read what the command left.
                if self.limit.is_some() {
                    self.limit = Some(0);
                }
                return Got::Nothing;
            }
            Err(_) => return self.end(),
        };
        if count == buffer.len() && !std::mem::replace(&mut self.wide, true) {
            // It was full: this is a long one.
            sys::widen(fd);
        }
        if let Some(limit) = &mut self.limit {
            *limit -= count as u64;
        }
        self.counts.seen += count as u64;
        let bytes = &buffer[..count];
        match &mut self.sink {
            Sink::Client => {
                self.credit -= count as u64;
                return Got::Bytes(count);
            }
            Sink::Nobody => self.counts.dropped += count as u64,
            Sink::Capture(capture) => capture.take(bytes, &mut self.counts, scratch),
            Sink::Ring(ring) => {
                // Memory that is full loses the job's output, not the job.
                let kept = ring.take(bytes).is_ok();
                self.counts.dropped = if kept { ring.begin() } else { self.counts.seen };
            }
        }
        Got::Nothing
    }

    /// Forgets what came after all there was to read, and notices where nothing will come any more.
    pub(crate) fn drain(&mut self, buffer: &mut [u8]) {
        if let Some(fd) = &self.fd
            && let Ok(0) | Err(Errno::EIO) = nix::unistd::read(fd, buffer)
        {
            self.fd = None;
        }
    }

    fn end(&mut self) -> Got {
        self.fd = None;
        if matches!(self.sink, Sink::Client) {
            Got::End
        } else {
            Got::Nothing
        }
    }

    /// What was captured, for the client.
    pub(crate) fn captured(&mut self, head: Channel, tail: Channel) -> Vec<(Channel, Vec<u8>)> {
        match std::mem::replace(&mut self.sink, Sink::Nobody) {
            Sink::Capture(capture) => capture.parts(head, tail),
            other => {
                self.sink = other;
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let mut capture = Capture::new((3, 4, 0), String::new(), Identity::own());
        let mut counts = Counts::default();
        for piece in [&b"ab"[..], b"cdefgh", b"i", b"jk"] {
            capture.take(piece, &mut counts, &mut None);
        }
        let parts = capture.parts(Channel::Stdout, Channel::StdoutTail);
        assert_eq!(parts[0].1, b"abc");
        assert_eq!(parts[1].1, b"hijk");
        assert_eq!(counts.dropped, 4);
    }

    #[test]
    fn a_ring_gives_the_last_bytes() {
        let mut ring = Ring::new(4096).unwrap();
        for byte in 0..5u8 {
            ring.take(&[byte; 1000]).unwrap();
        }
        let mut position = 0;
        let mut all = Vec::new();
        loop {
            let bytes = ring.read(&mut position, 700);
            if bytes.is_empty() {
                break;
            }
            all.extend(bytes);
        }
        assert_eq!(
            (all.len(), all[0], all[95], all[96], position),
            (4096, 0, 0, 1, 5000)
        );
    }
}
