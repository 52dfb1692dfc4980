//! The tools, a group in each file.

mod command;
mod directory;
mod file;
mod job;
mod read;
mod session;
mod status;
mod write;
