//! Hardened sandboxes on a Docker or Podman engine.
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod agent;
pub mod blocking;
mod capture;
mod command_line;
mod connect;
pub mod copy;
mod error;
mod events;
mod exec;
mod failure;
pub mod find;
mod greet;
mod image;
mod inside;
mod kill;
mod limits;
mod network;
mod sandbox;
mod time;

pub use agent::{Agent, AgentBinary};
pub use capture::Keep;
pub use command_line::{CommandLineError, Tools};
pub use connect::{ConnectError, Engine, Miss, OLDEST_API, Tried};
pub use error::{Fault, RequestError, Retry};
pub use events::Event;
pub use exec::{Channel, Exec, ExecError, Ran, Stdin};
pub use failure::Error;
pub use image::{ImageError, Progress, Pull};
pub use inside::{AgentError, AgentReader, AgentWriter, Doorway, exec_over, run_over};
pub use network::{NETWORK, NetworkState};
pub use sandbox::{
    Ask, Attached, Listed, Reaped, Reaping, Run, Sandbox, SandboxError, Verified, Why,
};
/// What is said to an agent, and what it answers.
pub use sandbox_client as client;
pub use sandbox_core::Flavour;
