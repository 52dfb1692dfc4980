//! talaria-boot: the one program of ours in an image, linked statically.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::context::FileError;
use crate::paths::Checkout;
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// Why there is no program to put into the image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// Cargo failed.
    #[error("cannot build talaria-boot")]
    Cargo(#[from] ProcessError),
    /// The program cannot be read.
    #[error("cannot read talaria-boot")]
    File(#[from] FileError),
    /// `rustc -vV` did not name its host.
    #[error("rustc -vV names no host triple")]
    NoHost,
}

/// Flags for a static program in which no path of this machine is left.
fn rustflags(checkout: &Checkout, cargo_home: Option<String>) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!(
        "--remap-path-prefix={}=/talaria",
        checkout.root().display()
    ));
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={home}=/cargo")));
    flags.join("\u{1f}")
}

/// Builds the program and reads it.
pub(crate) fn build(checkout: &Checkout) -> Result<Vec<u8>, BootError> {
    let step = Step::begin("talaria-boot");
    let triple = host_triple()?;
    let target = checkout.target().join("boot");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout.root());
    cargo.args([
        "build",
        "--profile",
        "boot",
        "--package",
        "talaria-boot",
        "--target",
        &triple,
    ]);
    cargo.arg("--target-dir").arg(&target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags(checkout, cargo_home()));
    cargo.env_remove("RUSTFLAGS");
    process::run(&mut cargo, &step)?;

    let path: PathBuf = target.join(triple).join("boot/talaria-boot");
    let program = fs::read(&path).map_err(FileError::on(&path))?;
    let kib = program.len().div_ceil(1024);
    step.done(format!("static, {kib} KiB"));
    Ok(program)
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
