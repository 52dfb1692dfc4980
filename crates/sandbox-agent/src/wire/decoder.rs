//! From bytes, in whatever pieces they come, to frames.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::Channel;
use super::error::WireError;
use super::field::{Field as _, Reader};

/// The size of a frame's header, in bytes.
pub const HEADER: usize = 9;

/// The frames of one direction.
pub trait FrameSet: Sized + fmt::Debug {
    /// The kind of the frames that carry a channel's bytes.
    const DATA: u8;

    /// The longest payload of a frame of `kind`, in bytes; that of kinds that are not known too.
    fn most(kind: u8) -> usize;

    /// The frame, or nothing if the kind is not known.
    ///
    /// # Errors
    ///
    /// [`WireError`] where the payload is not one of its kind.
    fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, WireError>;
}

/// A frame whose bytes, if it carries a channel's, are where they came.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a, F> {
    /// Bytes of a channel.
    Data(Channel, &'a [u8]),
    /// Any other frame.
    Frame(F),
}

/// Takes bytes as they come and gives frames.
///
/// Give it pieces of bounded size and take all frames after each: it then never holds more than
/// [`MAX_PAYLOAD`](super::MAX_PAYLOAD) bytes, a header and one piece.
#[derive(Debug)]
pub struct Decoder<F> {
    buffer: Vec<u8>,
    /// Where the next frame begins in the buffer.
    start: usize,
    /// How much of a frame of unknown kind is still to come.
    skip: usize,
    frames: PhantomData<fn() -> F>,
}

impl<F: FrameSet> Default for Decoder<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: FrameSet> Decoder<F> {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            skip: 0,
            frames: PhantomData,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input().extend_from_slice(bytes);
    }

    /// Where the next bytes of the stream are to be appended, for those who can read to there.
    pub fn input(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        // A long frame grows the buffer to what it needs; a spent one is given back.
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * super::MAX_DATA {
            self.buffer = Vec::new();
        }
        &mut self.buffer
    }

    /// The bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The bytes of memory that are held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next frame that is there completely, with its request id.
    ///
    /// # Errors
    ///
    /// [`WireError`] where the bytes are no frame. The stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<(u32, F)>, WireError> {
        while let Some(found) = self.find()? {
            if let Some(frame) = F::decode(found.kind, &self.buffer[found.payload])? {
                return Ok(Some((found.id, frame)));
            }
        }
        Ok(None)
    }

    /// The same, for those who only pass a channel's bytes on.
    ///
    /// # Errors
    ///
    /// As for [`next_frame`](Self::next_frame).
    pub fn next_piece(&mut self) -> Result<Option<(u32, Piece<'_, F>)>, WireError> {
        while let Some(found) = self.find()? {
            let Found { kind, id, payload } = found;
            if kind == F::DATA {
                let mut reader = Reader(&self.buffer[payload]);
                let channel = Channel::take(&mut reader).map_err(|error| error.of(kind))?;
                return Ok(Some((id, Piece::Data(channel, reader.0))));
            }
            if let Some(frame) = F::decode(kind, &self.buffer[payload])? {
                return Ok(Some((id, Piece::Frame(frame))));
            }
        }
        Ok(None)
    }

    /// Goes past the next frame that is there completely, if there is one.
    fn find(&mut self) -> Result<Option<Found>, WireError> {
        let skipped = self.skip.min(self.held());
        self.skip -= skipped;
        self.start += skipped;
        let pending = self.buffer.get(self.start..).unwrap_or_default();
        let Some((header, rest)) = pending.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, kind, i0, i1, i2, i3] = *header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        let most = F::most(kind);
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > most {
            return Err(WireError::TooLong { kind, length, most });
        }
        if rest.len() < size {
            if matches!(F::decode(kind, &[]), Ok(None)) {
                self.skip = size - rest.len();
                self.start = self.buffer.len();
            }
            return Ok(None);
        }
        let begin = self.start + HEADER;
        self.start = begin + size;
        let payload = begin..self.start;
        Ok(Some(Found { kind, id, payload }))
    }
}

/// A frame that is there completely, and where.
struct Found {
    kind: u8,
    id: u32,
    payload: Range<usize>,
}
