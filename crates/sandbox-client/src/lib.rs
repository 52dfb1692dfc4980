//! The host's side of a sandbox: commands, sessions, jobs and files over one byte stream to the
//! agent inside, and a broker that keeps such streams warm for short-lived programs.
//!
//! A [`Client`] is made over any stream of bytes that leads to an agent ([`Client::over`]); clones
//! of it share the stream, and any number of requests run on it at once.
//!
//! What a sandbox says is a claim. Whatever the agent at the other end does, this side holds at
//! most a fixed amount of memory for each open request, and every call ends: a stream that has
//! gone silent is noticed by a ping ([`Lost::Silent`]), and a command that outlives its own
//! timeout by [`MARGIN`] is given up ([`CallError::Overdue`]).
//!
//! Starting an exec, over which a stream is had, costs an engine some 40 ms. The [`broker`] of a
//! user pays that once for each sandbox: other programs reach the agent through its socket.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod broker;
mod call;
mod client;
mod connection;
mod error;
mod file;
mod running;
mod slot;

pub use call::Call;
pub use client::Client;
pub use connection::Patience;
pub use error::{CallError, ConnectError, Lost};
pub use file::{Received, Receiving, Sending};
pub use running::{Collected, Control, Event, MARGIN, Running};
/// The protocol's own types.
pub use sandbox_agent::wire;
