//! The agent's program, linked statically, so that it runs in any image.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Builds it, at most once in a process.
pub(crate) fn built() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    built.as_deref().map_err(Clone::clone)
}

fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    let target = target.join("boot");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--profile",
            "boot",
            "--package",
            "sandbox-agent",
        ])
        .args(["--target", &triple, "--target-dir"])
        .arg(&target)
        .current_dir(workspace)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env_remove("RUSTFLAGS")
        .status();
    match built {
        Ok(status) if status.success() => Ok(target.join(triple).join("boot/sandbox-agent")),
        Ok(status) => Err(format!("cargo build of the agent ended with {status}")),
        Err(error) => Err(format!("cargo build of the agent: {error}")),
    }
}
