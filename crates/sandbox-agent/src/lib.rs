//! The agent of a sandbox: the static program that is a sandbox's main process, and the protocol
//! that it speaks.
//!
//! - [`wire`] is the protocol, pure, for both sides; it is all there is with `default-features =
//!   false`.
//! - `client` (feature `client`) is a small blocking client, as a reference.
//! - `serve`, `connect` (feature `agent`) are what runs inside the sandbox: the main process, and
//!   what an attached exec runs to reach it.
#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(feature = "agent")]
mod child;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "agent")]
pub mod connect;
#[cfg(feature = "agent")]
mod direct;
#[cfg(feature = "agent")]
mod failure;
#[cfg(feature = "agent")]
mod identity;
#[cfg(feature = "agent")]
mod keeper;
#[cfg(feature = "agent")]
mod lease;
#[cfg(feature = "agent")]
mod massacre;
#[cfg(feature = "agent")]
mod message;
#[cfg(feature = "agent")]
mod metrics;
#[cfg(feature = "agent")]
pub mod probe;
#[cfg(feature = "agent")]
mod process;
#[cfg(feature = "agent")]
mod scratch;
#[cfg(feature = "agent")]
pub mod serve;
#[cfg(feature = "agent")]
mod sys;
#[cfg(feature = "agent")]
mod transfer;
#[cfg(feature = "agent")]
mod user;
pub mod wire;
