//! One process for each user and engine that keeps connections to agents open, so that programs
//! that live for a moment need not pay for an exec.
//!
//! ```text
//! talaria sandbox exec ──socket──┐
//! talaria sandbox exec ──socket──┤ broker ──one attached exec──▶ agent of sandbox A
//! talaria mcp          ──socket──┘        └──one attached exec──▶ agent of sandbox B
//! ```
//!
//! A program connects to the socket in the user's runtime directory ([`Place`]), names a sandbox,
//! and from then on speaks the agent's protocol. Request ids are the broker's on the way to the
//! agent, so that clients cannot touch each other's requests; a client that goes away has its
//! requests cancelled, or left running where they were asked to. Credit goes through, so a client
//! that does not read holds up only itself.
//!
//! The broker starts by itself ([`connect`]), survives its starter, and ends when it has had no
//! client for a while. Two builds of a program do not share one: the older broker leaves its place
//! to the newer program's, and ends when its clients have.
//!
//! It believes no one but its own user: the directory and the socket are its user's alone, and
//! each side checks the user id of the other. What comes from a sandbox is decoded and bounded
//! before it is passed on, and an agent that breaks the protocol loses its connection, and nothing
//! more happens.

mod connect;
mod outbox;
mod place;
mod preface;
mod server;
mod upstream;

pub use connect::{BrokerError, connect, introduce, stop};
pub use place::{Place, PlaceError};
pub use preface::OpenFailure;
pub use server::{Opened, Opener, Served, serve};
