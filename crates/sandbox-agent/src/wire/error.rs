//! What can be wrong with bytes that claim to be frames.

/// Why bytes are not frames of this protocol. The connection that they came from is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The header announces more than a frame of its kind may have.
    #[error("a frame of kind {kind:#04x} announces {length} bytes, and may have {most}")]
    TooLong {
        /// The frame's kind.
        kind: u8,
        /// What the header announces.
        length: u32,
        /// What is allowed.
        most: usize,
    },
    /// The payload ends before its fields do.
    #[error("a frame of kind {kind:#04x} ends in the middle of a field")]
    Truncated {
        /// The frame's kind.
        kind: u8,
    },
    /// The payload goes on after its last field.
    #[error("a frame of kind {kind:#04x} has {left} bytes after its last field")]
    Trailing {
        /// The frame's kind.
        kind: u8,
        /// How many.
        left: usize,
    },
    /// A field has a value that it cannot have.
    #[error("a frame of kind {kind:#04x} has an impossible {what}")]
    Value {
        /// The frame's kind.
        kind: u8,
        /// Which field, or what it should have been.
        what: &'static str,
    },
}

/// The same, before the kind of the frame is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldError {
    Truncated,
    Value(&'static str),
}

impl FieldError {
    pub(crate) fn of(self, kind: u8) -> WireError {
        match self {
            Self::Truncated => WireError::Truncated { kind },
            Self::Value(what) => WireError::Value { kind, what },
        }
    }
}
