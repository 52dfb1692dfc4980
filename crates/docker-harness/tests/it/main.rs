//! What the images promise, on real containers.
//!
//! Every probe inside a container runs as uid 10000, unless the test's name says root.

mod agent;
mod attack;
mod common;
mod confined;
mod env;
mod exhaustion;
mod fixtures;
mod gateway;
mod heal;
mod home;
mod hooks;
mod ids;
mod image;
mod profile;
mod restart;
mod s6_svc;
mod start;
mod stop;
mod tree;
mod zombies;
