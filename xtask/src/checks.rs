//! `cargo xtask test`, `cargo xtask soak` and `cargo xtask ci`.

use std::env;
use std::process::Command;

use crate::cli::build_images;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::paths::Checkout;
use crate::process;

/// Cargo, in the checkout.
pub(crate) fn cargo(checkout: &Checkout) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout.root());
    // `cargo run` says which package runs; that is not for the commands below it.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        cargo.env_remove(name);
    }
    cargo
}

fn step(name: &str, command: &mut Command) -> Result<(), Error> {
    anstream::eprintln!("=== {name}");
    process::run_here(command).map_err(|source| Error::Step {
        step: name.to_owned(),
        source,
    })
}

/// More failures than this are no matter of a loaded machine.
const UNSTEADY: usize = 5;

/// Builds both images, then runs the workspace's tests, examples in documentation included;
/// without an engine they fail.
///
/// Hundreds of these tests wait for what real containers do on a machine that does other things
/// as well. A few that fail are therefore run once more, by themselves: they have to pass then,
/// and are named at the end as unsteady. With `args` nothing is run twice.
pub(crate) fn test(checkout: &Checkout, args: &[String]) -> Result<(), Error> {
    build_images(checkout)?;
    let mut first = Outcome::default();
    let name = "cargo test --workspace";
    let failure = match run_tests(checkout, name, args, &mut first) {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    let few = first.is_whole() && (1..=UNSTEADY).contains(&first.failed().len());
    if !args.is_empty() || !few {
        return Err(failure);
    }
    let again: Vec<String> = ["--", "--exact"]
        .into_iter()
        .chain(first.failed())
        .map(str::to_owned)
        .collect();
    let mut second = Outcome::default();
    run_tests(checkout, "once more, what failed", &again, &mut second)?;
    if !second.clears(&first) {
        return Err(failure);
    }
    for test in first.failed() {
        anstream::eprintln!("unsteady: {test} failed beside the others, and passed by itself");
    }
    Ok(())
}

fn run_tests(
    checkout: &Checkout,
    name: &str,
    args: &[String],
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let mut command = cargo(checkout);
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(args);
    if env::var_os("TALARIA_REQUIRE_ENGINE").is_none() {
        command.env("TALARIA_REQUIRE_ENGINE", "1");
    }
    anstream::eprintln!("=== {name}");
    process::run_reading(&mut command, |line| outcome.read(line)).map_err(|source| Error::Step {
        step: name.to_owned(),
        source,
    })
}

/// Runs the tests that shorten themselves in `test` at their full length: every version of s6,
/// every minute of load, every kill.
pub(crate) fn soak(checkout: &Checkout, args: &[String]) -> Result<(), Error> {
    build_images(checkout)?;
    let mut command = cargo(checkout);
    command
        .args(["test", "--package", "docker-harness"])
        .args(args)
        .env("TALARIA_SOAK", "1")
        .env("TALARIA_REQUIRE_ENGINE", "1");
    step(
        "cargo test --package docker-harness, at full length",
        &mut command,
    )
}

/// Formatting, lints and documentation, then everything that `test` does.
pub(crate) fn ci(checkout: &Checkout) -> Result<(), Error> {
    step(
        "cargo fmt --check",
        cargo(checkout).args(["fmt", "--all", "--check"]),
    )?;
    step(
        "cargo clippy",
        cargo(checkout).args(["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]),
    )?;
    step(
        "cargo doc",
        cargo(checkout)
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    test(checkout, &[])
}
