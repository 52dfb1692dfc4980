//! Agent profiles in a container: what each of them wants, and the s6 service
//! slots that follow from it.
//!
//! An agent's *home* (`$HERMES_HOME`) holds the default profile at its root and
//! named profiles in `profiles/NAME/`. Each has a *gateway*, which runs as the
//! s6 service `gateway-NAME` in a scandir on a tmpfs, so that every start of
//! the container has to lay the slots out again: up where the operator wanted
//! the gateway up, down everywhere else. [`reconcile`] does that in two steps,
//! a pure [`reconcile::plan`] and a short [`reconcile::execute`].
//!
//! Everything here runs as the agent's own user. The home is written by the
//! agent, which is not to be trusted with more than it has, so nothing in this
//! crate may be called with more privileges than the agent's.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod agent;
mod atomic;
pub mod boot_log;
pub mod dotenv;
pub mod environment;
mod folder;
pub mod gateway_state;
pub mod identity;
pub mod lifecycle;
pub mod port;
pub mod profile;
pub mod provision;
mod read;
pub mod reconcile;
pub mod slot;
pub mod supervisors;

pub use read::Odd;
