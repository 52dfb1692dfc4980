//! Builds the program that runs inside sandboxes, so that it can be carried along.
//!
//! Only with the feature `embedded-agent`, and only in a checkout of the workspace: a static
//! program for the same architecture, in a target folder of its own that all profiles share.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EMBEDDED_AGENT").is_none() {
        return;
    }
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let agent = manifest.join("../sandbox-agent");
    for watched in ["src", "Cargo.toml", "../../Cargo.lock", "../../Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", agent.join(watched).display());
    }
    let architecture = var("CARGO_CFG_TARGET_ARCH");
    let triple = format!("{architecture}-unknown-linux-gnu");
    let target = shared_target();
    // What this build is told is not what that one needs: its flags, its wrapper that lints.
    let built = Command::new(var("CARGO"))
        .current_dir(manifest.join("../.."))
        .args(["build", "--quiet", "--package", "sandbox-agent"])
        .args(["--bin", "sandbox-agent", "--profile", "agent", "--target"])
        .arg(&triple)
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&manifest))
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status();
    match built {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building sandbox-agent failed: {status}")),
        Err(error) => fail(&format!("cargo cannot be run: {error}")),
    }
    // Copied, so that another build's later program is not taken for this one's.
    let program = target.join(triple).join("agent/sandbox-agent");
    let carried = Path::new(&var("OUT_DIR")).join("sandbox-agent");
    let copied = std::fs::read(&program).and_then(|bytes| {
        std::fs::write(&carried, &bytes)?;
        Ok(bytes)
    });
    match copied {
        Ok(bytes) => println!("cargo::rustc-env=SANDBOX_AGENT_SHA256={}", sha256(&bytes)),
        Err(error) => fail(&format!("cannot copy {}: {error}", program.display())),
    }
}

/// 64 hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// A folder beside those of the profiles: `target/DIR/build/PACKAGE/out` is where this one writes.
fn shared_target() -> PathBuf {
    let out = PathBuf::from(var("OUT_DIR"));
    let profile = out.ancestors().nth(3).unwrap_or(&out);
    profile.parent().unwrap_or(profile).join("sandbox-agent")
}

/// A static program in which no path of this machine is left.
fn flags(manifest: &Path) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if let Some(root) = manifest.ancestors().nth(2) {
        flags.push(format!("--remap-path-prefix={}=/talaria", root.display()));
    }
    let cargo_home = env::var("CARGO_HOME").ok();
    let home = || Some(format!("{}/.cargo", env::var("HOME").ok()?));
    if let Some(home) = cargo_home.or_else(home) {
        flags.push(format!("--remap-path-prefix={home}=/cargo"));
    }
    flags.join("\u{1f}")
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo has not set {name}")))
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    std::process::exit(1)
}
