//! The init and the run programs of a Talaria agent container.
//!
//! One static binary under many names: [`applet::Applet`] says which name
//! means what, and each applet is a module here.
#![deny(unsafe_code)]

mod agent_tree;
mod applet;
mod boot_commands;
mod containment;
mod dashboard;
mod environment;
mod error;
mod exec;
mod gateway;
mod identity;
mod init;
mod main_wrapper;
mod owner_record;
mod ownership;
mod paths;
mod process_table;
mod reconcile;
mod remap;
mod report;
mod routing;
mod settings;
mod setup;
mod shim;
mod signals;
mod supervise_perms;
mod svscanctl;
mod sys;
mod with_contenv;

use std::convert::Infallible;
use std::ffi::OsString;

use applet::Applet;
use error::BootError;

fn main() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let Err(error) = dispatch(&args);
    report::error(&error);
    std::process::exit(error.exit_code());
}

/// Runs the applet that the name stands for. Applets end by becoming another
/// program or by ending the process; they come back only to fail.
fn dispatch(args: &[OsString]) -> Result<Infallible, BootError> {
    let (applet, args) = Applet::of(args)?;
    match applet {
        Applet::AgentTree => agent_tree::run(),
        Applet::DashboardFinish => dashboard::finish::run(),
        Applet::DashboardLog => dashboard::log::run(),
        Applet::DashboardRun => dashboard::run::run(),
        Applet::Entrypoint => main_wrapper::entrypoint(args),
        Applet::GatewayFinish => gateway::finish::run(args),
        Applet::GatewayLog => gateway::log::run(args),
        Applet::GatewayRun => gateway::run::run(args),
        Applet::HermesShim => shim::run(args),
        Applet::Init => init::run(args),
        Applet::MainWrapper => main_wrapper::run(args),
        Applet::Reconcile => reconcile::run(),
        Applet::Setup => setup::run(),
        Applet::SupervisePerms => supervise_perms::run(),
        Applet::SvscanFinish => init::shutdown::run(),
        Applet::SvscanSignal(signal) => init::on_signal::run(signal),
        Applet::Svscanctl => svscanctl::run(args),
        Applet::Tini => main_wrapper::tini(args),
        Applet::WithContenv => with_contenv::run(args),
    }
}
