//! Our static programs: talaria-boot and the command line in an image, the agent in a sandbox.

use std::fs;
use std::process::Command;

use super::context::FileError;
use crate::paths::Checkout;
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// Why there is no program to put into the image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// Cargo failed.
    #[error("cannot build our programs")]
    Cargo(#[from] ProcessError),
    /// A program cannot be read.
    #[error("cannot read our programs")]
    File(#[from] FileError),
    /// `rustc -vV` did not name its host.
    #[error("rustc -vV names no host triple")]
    NoHost,
}

/// Flags for a static program in which no path of this machine is left.
fn rustflags(checkout: &Checkout, cargo_home: Option<String>) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    // A static program that can lie anywhere relocates itself: packed, that takes 50 KiB less.
    // Nothing unwinds in a program that aborts on a panic, which saves 100 KiB of tables.
    let tables = checkout.root().join("xtask/src/image/static.ld");
    let tables = format!("-T,{}", tables.display());
    for option in [
        "-z,pack-relative-relocs",
        "--no-eh-frame-hdr",
        "--icf=all",
        &tables,
    ] {
        flags.push(format!("-Clink-arg=-Wl,{option}"));
    }
    flags.push(format!(
        "--remap-path-prefix={}=/talaria",
        checkout.root().display()
    ));
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={home}=/cargo")));
    flags.join("\u{1f}")
}

/// What goes into an image.
pub(crate) struct Programs {
    /// The init and everything beneath it.
    pub(crate) boot: Vec<u8>,
    /// The command line.
    pub(crate) talaria: Vec<u8>,
}

/// Builds the programs and reads them.
pub(crate) fn build(checkout: &Checkout) -> Result<Programs, BootError> {
    let step = Step::begin("talaria-boot, talaria");
    let triple = host_triple()?;
    let target = checkout.target().join("boot");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout.root());
    cargo.args(["build", "--profile", "boot", "--target", &triple]);
    cargo.args(["--package", "talaria-boot", "--package", "talaria"]);
    // What speaks to an engine has no place in an image.
    cargo.arg("--no-default-features");
    cargo.arg("--target-dir").arg(&target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(checkout, cargo_home()));
    cargo.env_remove("RUSTFLAGS");
    process::run(&mut cargo, &step)?;

    let folder = target.join(triple).join("boot");
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(FileError::on(&path))
    };
    let programs = Programs {
        boot: read("talaria-boot")?,
        talaria: read("talaria")?,
    };
    step.done(format!(
        "static, {} and {} KiB",
        programs.boot.len().div_ceil(1024),
        programs.talaria.len().div_ceil(1024)
    ));
    Ok(programs)
}

fn cargo_home() -> Option<String> {
    let home = || Some(format!("{}/.cargo", std::env::var("HOME").ok()?));
    std::env::var("CARGO_HOME").ok().or_else(home)
}

fn host_triple() -> Result<String, BootError> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or(BootError::NoHost)
}
