//! The protocol between a client and the agent of a sandbox: frames, and nothing that reads or
//! writes a descriptor.
//!
//! A connection is two byte streams. On each of them frames follow one another:
//!
//! ```text
//! u32 length of the payload | u8 kind | u32 request id | payload
//! ```
//!
//! All numbers are big-endian. The client chooses the request ids; id 0 is for the connection
//! itself. [`ToAgent`] is what a client sends, [`ToClient`] what the agent answers. Each side's
//! first frame is its `Hello`, sent without waiting for the other's.
//!
//! A [`Decoder`] takes bytes as they come and gives frames. It never holds more than one frame of
//! at most [`MAX_PAYLOAD`] bytes and one piece of input; frames of a kind that it does not know are
//! skipped, and anything malformed is a [`WireError`], after which the connection is over.
//!
//! `docs/agent-protocol.md` describes the bytes, credit and order of frames.
//!
//! ```
//! use sandbox_agent::wire::{Decoder, ToAgent};
//! let mut bytes = Vec::new();
//! ToAgent::Ping.encode(7, &mut bytes);
//! let mut decoder = Decoder::<ToAgent>::new();
//! decoder.push(&bytes);
//! assert_eq!(decoder.next_frame()?, Some((7, ToAgent::Ping)));
//! # Ok::<(), sandbox_agent::wire::WireError>(())
//! ```

mod decoder;
mod error;
mod field;
mod frames;
mod offer;
mod reply;
mod request;

pub use decoder::{Decoder, FrameSet, HEADER, Piece};
pub use error::WireError;
pub use frames::{ToAgent, ToClient};
pub use offer::{COME, KEY, Offer, STAY, is_same_key};
pub use reply::{
    AgentHello, Counts, End, Ended, Failed, Failure, JobInfo, JobState, Metrics, SessionEffect,
    SessionInfo, Status,
};
pub use request::{
    Bytes, Channel, ClientHello, Credit, Entry, EntryKind, Follow, Get, Input, OnDisconnect,
    Output, Overwrite, Program, Put, RunSpec, SessionSpec, Variable, Window,
};

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;

/// The longest payload of any frame, in bytes.
pub const MAX_PAYLOAD: usize = 4 << 20;

/// The most bytes that one data frame carries.
pub const MAX_DATA: usize = 64 << 10;

/// The most items in a list: arguments, variables, jobs.
pub const MAX_ITEMS: usize = 65_536;

/// The credit, in bytes, that every channel of a request begins with.
pub const INITIAL_CREDIT: u32 = 256 << 10;

/// The most requests that one connection may have open.
pub const MAX_REQUESTS: usize = 1024;
