//! What only a real s6 can prove. These tests run inside a container that has s6 and the `s6-*`
//! programs on its PATH, as root; what is to run as somebody else, they start themselves.
//!
//! They are built with the feature `live`, statically, and carried into the container.
//! `TALARIA_SOAK=1` makes the long ones run in full.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be made ends the test"
)]

mod child;
mod commands;
mod crash;
mod differential;
mod forgotten;
mod golden;
mod lifecycle;
mod rig;
mod scale;
mod storm;
mod support;
mod unprivileged;
mod waits;
