//! A sandbox as a server of the Model Context Protocol.
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod call;
mod config;
mod edit;
mod failure;
mod follow;
mod limits;
mod link;
mod output;
mod reply;
mod run;
mod serve;
mod server;
mod text;
mod tools;
mod window;

pub use config::config;
pub use limits::Limits;
pub use link::{EngineAt, Wanted};
pub use serve::{ServeError, serve};
pub use server::Server;
