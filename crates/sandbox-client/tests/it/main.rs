//! Clients and brokers against agents that behave, and agents that do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod broker;
mod client;
