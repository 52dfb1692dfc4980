//! From bytes, in whatever pieces they come, to frames.

use std::fmt;
use std::marker::PhantomData;

use super::error::WireError;

/// The size of a frame's header, in bytes.
pub const HEADER: usize = 9;

/// The frames of one direction.
pub trait FrameSet: Sized + fmt::Debug {
    /// The longest payload of a frame of `kind`, in bytes; that of kinds that are not known too.
    fn most(kind: u8) -> usize;

    /// The frame, or nothing if the kind is not known.
    ///
    /// # Errors
    ///
    /// [`WireError`] where the payload is not one of its kind.
    fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, WireError>;
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
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let bytes = &bytes[skipped..];
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        // A long frame grows the buffer to what it needs; a spent one is given back.
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * super::MAX_DATA {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
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
        loop {
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
            let Some(payload) = rest.get(..size) else {
                if matches!(F::decode(kind, &[]), Ok(None)) {
                    self.skip = size - rest.len();
                    self.start = 0;
                    self.buffer.clear();
                    return Ok(None);
                }
                return Ok(None);
            };
            let frame = F::decode(kind, payload)?;
            self.start += HEADER + size;
            if let Some(frame) = frame {
                return Ok(Some((id, frame)));
            }
        }
    }
}
