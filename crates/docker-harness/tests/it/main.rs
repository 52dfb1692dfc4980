//! What the images promise, on real containers.
//!
//! Every probe inside a container runs as uid 10000, unless the test's name says root.

mod agent;
mod attack;
mod boot_commands;
mod common;
mod compose;
mod confined;
mod dashboard;
mod doctor;
mod env;
mod errors;
mod exhaustion;
mod fast;
mod first_boot;
mod fixtures;
mod gateway;
mod guides;
mod heal;
mod health;
mod home;
mod hooks;
mod hostile;
mod ids;
mod image;
mod life;
mod mcp;
mod migrate;
mod path;
mod posture;
mod profile;
mod python;
mod remap;
mod restart;
mod root_tree;
mod s6_svc;
mod sandbox;
mod sandbox_agent;
mod shim;
mod start;
mod stop;
mod survival;
mod tree;
mod zombies;
