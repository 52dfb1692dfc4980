//! The crate `s6-svc` against real versions of s6: its tests with the feature `live`, carried into
//! containers as one static program. They start their own `s6-svscan`, as root and as `hermes`.
//!
//! Trixie's s6 (2.13) is in the image under test and is asked in every run; bookworm's (2.11) and
//! forky's (2.15) are bootstrapped and asked where `TALARIA_SOAK=1`, which also makes the long
//! tests run in full.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what cannot be built ends the test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use docker_harness::engine::skip;
use docker_harness::image;
use docker_harness::tree::Tree;
use docker_harness::{Failure, Lab, Level, TestResult, on_image, wait_for};
use rstest::rstest;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn soak() -> bool {
    std::env::var_os("TALARIA_SOAK").is_some_and(|value| value == "1")
}

fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command
}

/// The static test program, built once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let arguments = [
            "test",
            "-p",
            "s6-svc",
            "--features",
            "live",
            "--test",
            "live",
            "--no-run",
        ];
        build(&arguments, "live")
    })
}

/// Builds a static program and finds it.
fn build(arguments: &[&str], name: &str) -> PathBuf {
    let output = cargo()
        .args(arguments)
        .args(["--target", TARGET, "--message-format", "json"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo {arguments:?} failed");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let executable = messages
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo tells where the program is")
}

/// Runs the tests whose names begin with `module` in a container.
async fn run(lab: &Lab, module: &str) -> TestResult {
    let program = std::fs::read(program())?;
    let spec = lab
        .container()
        .files(Tree::new().file("/live", 0o755, program))
        .entrypoint(["/live", module])
        // s6's logs and the tests' scandirs; they run scripts there.
        .tmpfs("/run", "rw,exec,mode=755")
        .env("TALARIA_SOAK", if soak() { "1" } else { "0" });
    let ended = lab.run(spec, Duration::from_mins(10)).await?;
    let told = ended.output.out() + &ended.output.err();
    if ended.code != 0 {
        return Err(Failure::from(told));
    }
    assert!(
        !told.contains("running 0 tests"),
        "no test is called {module}: {told}"
    );
    Ok(())
}

#[rstest]
#[case::lifecycle("lifecycle::")]
#[case::unprivileged("unprivileged::")]
#[case::crash("crash::")]
#[case::differential("differential::")]
#[case::commands("commands::")]
#[case::waits("waits::")]
#[case::golden("golden::")]
#[case::forgotten("forgotten::")]
#[case::storm("storm::")]
#[case::scale("scale::")]
fn s6_svc_holds_against_trixies_s6_as_root_and_hermes(#[case] module: &str) {
    on_image(image::base, |_| None, async |lab| run(lab, module).await);
}

#[test]
fn talaria_svc_serves_hermes_in_its_own_tree() {
    on_image(
        image::base,
        |_| None,
        async |lab| {
            let program = std::fs::read(build(&["build", "-p", "talaria"], "talaria"))?;
            let run = "echo >&3; exec sleep 100000";
            let files = Tree::new()
                .file("/talaria", 0o755, program)
                .script("/svc-run", run);
            let container = lab.container().files(files).command(["sleep", "infinity"]);
            let container = lab.start(container).await?;
            let ready = wait_for(
                "the scandir is scanned",
                Duration::from_secs(30),
                async || {
                    let list = container
                        .exec(["/command/s6-svscanctl", "-z", "/run/service"])
                        .await?;
                    Ok::<_, Failure>(Level::when(list.code == 0, list.stderr))
                },
            );
            ready.await?;
            let said = async |words: &str| {
                let command = ["/talaria", "svc"].into_iter().chain(words.split(' '));
                let done = container.exec(command).await?;
                Ok::<_, Failure>((done.code, done.stdout, done.stderr))
            };
            let register = "register web --run /svc-run --notification-fd 3";
            assert_eq!(
                (0, "web: registered\n".into(), String::new()),
                said(register).await?
            );
            assert_eq!(
                (0, "web: registered already\n".into(), String::new()),
                said(register).await?
            );
            let silent = (0, String::new(), String::new());
            assert_eq!(silent, said("wait ready web --timeout 20s").await?);
            let restart = "control web restart --wait restarted-ready --timeout 20s";
            assert_eq!(silent, said(restart).await?);
            let (code, fields, _) = said("stat -o up,ready,wantedup web").await?;
            assert_eq!((0, "true true true\n"), (code, fields.as_str()));
            assert_eq!(
                silent,
                said("control web down --wait finished --timeout 20s").await?
            );
            let (code, fields, _) = said("stat -o up,signal web").await?;
            assert_eq!((0, "false SIGTERM\n"), (code, fields.as_str()));
            let (code, _, errors) = said("wait up web --timeout 50ms").await?;
            assert_eq!(
                (
                    99,
                    "talaria: timed out before being up; /run/service/web: down\n"
                ),
                (code, errors.as_str())
            );
            let gone = (0, "web: unregistered\n".into(), String::new());
            assert_eq!(gone, said("unregister web").await?);
            let (code, _, _) = said("stat web").await?;
            assert_eq!(1, code);
            Ok(())
        },
    );
}

#[rstest]
#[case::bookworm("bookworm", "2.11")]
#[case::forky("forky", "2.15")]
fn s6_svc_holds_against_other_versions_of_s6_as_root_and_hermes(
    #[case] suite: &str,
    #[case] version: &str,
) {
    if !soak() {
        let why = format!("s6 {version} of {suite} is asked only where TALARIA_SOAK=1");
        return skip("s6_svc_holds_against_other_versions_of_s6", &why);
    }
    on_image(
        || image::with_s6(suite),
        |_| None,
        async |lab| {
            for module in [
                "lifecycle::",
                "unprivileged::",
                "crash::",
                "differential::",
                "commands::",
                "waits::",
                "golden::",
                "forgotten::",
                "storm::",
                "scale::",
            ] {
                run(lab, module).await?;
            }
            Ok(())
        },
    );
}
