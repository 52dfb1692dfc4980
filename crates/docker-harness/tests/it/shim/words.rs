//! The words of docker's command line, one by one: answered as docker answers them, refused, or
//! left to it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use docker_harness::labels::Run;
use docker_harness::{Failure, TestResult};
use rstest::rstest;

use super::{container, docker, expect, link, real};
use crate::fast::{DEBIAN, Desk, at_desk, program, text};

/// What a sandbox is told to be is asked of both programs: they say the same, to the byte.
#[test]
fn what_the_backend_reads_is_what_docker_says() {
    at_desk(|desk| {
        let id = container(desk, "words")?;
        let labels = format!("label=talaria.identity={}", identity(desk, &id)?);
        let short = &id[..12];
        for state in ["running", "exited"] {
            if state == "exited" {
                expect(
                    &docker(desk, &["stop", "-t", "1", short])?,
                    0,
                    &format!("{short}\n"),
                    "",
                )?;
            }
            let status = format!("status={state}");
            for words in [
                &[
                    "ps",
                    "-a",
                    "--filter",
                    "label=hermes-agent=1",
                    "--filter",
                    &labels,
                    "--format",
                    "{{.ID}}\t{{.State}}",
                ][..],
                &[
                    "ps",
                    "-a",
                    "--filter",
                    "label=hermes-agent=1",
                    "--filter",
                    &labels,
                    "--filter",
                    &status,
                    "--format",
                    "{{.ID}}",
                ],
                &[
                    "ps",
                    "-a",
                    "--filter",
                    "label=hermes-agent=1",
                    "--filter",
                    &labels,
                    "--filter",
                    "status=paused",
                    "--format",
                    "{{.ID}}",
                ],
                &["inspect", "--format", "{{.State.FinishedAt}}", short],
                &["inspect", "--format", "{{.HostConfig.NetworkMode}}", short],
                &["inspect", "--format", "{{.Id}}", short],
                &["info", "--format", "{{.Driver}}"],
                &[
                    "image",
                    "inspect",
                    DEBIAN,
                    "--format",
                    "{{json .Config.Entrypoint}}",
                ],
                &["images", "--quiet", DEBIAN],
                &["--version"],
                &[
                    "inspect",
                    "--format",
                    "{{.State.FinishedAt}}",
                    "0123456789ab",
                ],
                &["start", "0123456789ab"],
                &["rm", "0123456789ab"],
                &["create", "--storage-opt", "size=none", DEBIAN],
            ] {
                let theirs = real(desk, words)?;
                let code = theirs.status.code().unwrap_or(-1);
                let ours = docker(desk, words)?;
                expect(&ours, code, &text(&theirs.stdout), &text(&theirs.stderr))
                    .map_err(|error| format!("{words:?}: {error}"))?;
            }
        }
        // Docker has said that differently over the years, and nobody reads it.
        let missing = [
            "image",
            "inspect",
            "talaria-none:none",
            "--format",
            "{{json .Config.Entrypoint}}",
        ];
        let missing = docker(desk, &missing)?;
        assert_eq!(
            (missing.status.code(), &missing.stdout[..]),
            (Some(1), &b"\n"[..])
        );
        Ok(())
    });
}

fn identity(desk: &Desk, id: &str) -> Result<String, Failure> {
    let what = "{{index .Config.Labels \"talaria.identity\"}}";
    let told = real(desk, &["inspect", "--format", what, id])?;
    Ok(text(&told.stdout).trim().to_owned())
}

#[test]
fn a_container_lives_and_ends_as_docker_has_it() {
    at_desk(|desk| {
        let id = container(desk, "life")?;
        let short = &id[..12];
        assert_eq!(id.len(), 64);
        let taken = container(desk, "life").unwrap_err().to_string();
        assert!(taken.contains("\"/life\" is already in use"), "{taken}");
        let said = |words: &[&str], code, stdout: &str, stderr: &str| {
            expect(&docker(desk, words)?, code, stdout, stderr)
        };
        said(
            &[
                "exec",
                short,
                "bash",
                "-c",
                "echo out; echo err >&2; exit 3",
            ],
            3,
            "out\n",
            "err\n",
        )?;
        said(
            &[
                "exec",
                "-e",
                "A=b c",
                "-w",
                "/usr",
                "-u",
                "1:2",
                &id,
                "bash",
                "-c",
                "echo $A; pwd; id -u; id -g",
            ],
            0,
            "b c\n/usr\n1\n2\n",
            "",
        )?;
        said(&["exec", "life", "bash", "-lc", "cat"], 0, "", "")?;
        said(
            &["rm", short],
            1,
            "",
            &format!(
                "Error response from daemon: You cannot remove a running container {short}. Stop the container before attempting removal or force remove\n"
            ),
        )?;
        said(&["stop", short], 0, &format!("{short}\n"), "")?;
        let down = format!("Error response from daemon: Container {short} is not running\n");
        said(&["exec", short, "true"], 1, "", &down)?;
        said(&["start", short], 0, &format!("{short}\n"), "")?;
        said(&["start", short], 0, &format!("{short}\n"), "")?;
        said(&["exec", short, "true"], 0, "", "")?;
        // As after a start that failed, by the name.
        said(&["rm", "-f", "life"], 0, "life\n", "")?;
        said(
            &["exec", short, "true"],
            1,
            "",
            &format!("Error: No such container: {short}\n"),
        )?;
        // What is gone is the real program's to say.
        let theirs = real(desk, &["rm", "-f", short])?;
        let code = theirs.status.code().unwrap_or(-1);
        said(
            &["rm", "-f", short],
            code,
            &text(&theirs.stdout),
            &text(&theirs.stderr),
        )
    });
}

#[test]
fn limits_are_tried_and_nothing_is_run() {
    at_desk(|desk| {
        let tried = |cpus: &str| {
            let words = [
                "run",
                "--rm",
                "--cpus",
                cpus,
                "--memory",
                "64m",
                "--pids-limit",
                "32",
            ];
            docker(desk, &[&words[..], &[DEBIAN, "sleep", "0"]].concat())
        };
        expect(&tried("0.5")?, 0, "", "")?;
        let refused = tried("4096")?;
        assert_eq!(refused.status.code(), Some(125));
        assert!(text(&refused.stderr).contains("4096 is more than the host's"));
        assert_eq!(desk.says(&["ls", "--json"])?, "[]");
        Ok(())
    });
}

#[rstest]
#[case(&["run", "-d", "--name", "x", "--privileged", DEBIAN, "sleep", "infinity"], "--privileged is not understood")]
#[case(&["run", "--rm", DEBIAN, "true"], "what is understood is: run -d …")]
#[case(&["exec", "-it", "x", "bash"], "-t is not understood")]
#[case(&["create", DEBIAN], "what is understood is: create --storage-opt size=SIZE IMAGE")]
#[case(&["compose", "up"], "docker compose would run programs that are in no sandbox")]
fn what_is_not_understood_is_refused(#[case] words: &[&str], #[case] why: &str) {
    at_desk(|desk| {
        let hint =
            "hint: docs/hermes.md tells what is; talaria sandbox, or the real docker, does more";
        expect(
            &docker(desk, words)?,
            125,
            "",
            &format!("talaria: docker-shim: {why}\n{hint}\n"),
        )
    });
}

#[test]
fn a_container_that_is_no_sandbox_gets_no_commands() {
    at_desk(|desk| {
        let labels = Run::this().labels("foreign");
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        let words: Vec<_> = ["run", "-d", "--label", "hermes-agent=1"]
            .into_iter()
            .chain(labels)
            .chain([DEBIAN, "sleep", "infinity"])
            .collect();
        let made = real(desk, &words)?;
        let id = text(&made.stdout).trim().to_owned();
        let tried = (|| -> TestResult {
            expect(
                &docker(desk, &["exec", &id, "true"])?,
                125,
                "",
                &format!(
                    "talaria: docker-shim: container {id} is no sandbox\n\
                     hint: the real docker runs commands in it; the agent can have it removed\n"
                ),
            )?;
            let listed = [
                "ps",
                "-a",
                "--filter",
                "label=hermes-agent=1",
                "--format",
                "{{.ID}}",
            ];
            expect(&docker(desk, &listed)?, 0, "", "")?;
            // It is the real docker's to remove.
            expect(
                &docker(desk, &["rm", "-f", &id])?,
                0,
                &format!("{id}\n"),
                "",
            )
        })();
        drop(real(desk, &["rm", "-f", &id])?);
        tried
    });
}

#[test]
fn the_subcommand_does_as_the_link_and_a_script_is_no_loop() {
    at_desk(|desk| {
        let mut command = Command::new(program());
        desk.dress(command.args(["docker-shim", "info", "--format", "{{.Driver}}"]));
        let theirs = real(desk, &["info", "--format", "{{.Driver}}"])?;
        expect(&command.output()?, 0, &text(&theirs.stdout), "")?;
        // A script under docker's name that PATH has first.
        let directory = desk.home().join("bin");
        std::fs::create_dir(&directory)?;
        let script = directory.join("docker");
        std::fs::write(
            &script,
            format!(
                "#!/bin/sh\nexec '{}' docker-shim \"$@\"\n",
                program().display()
            ),
        )?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new(&script);
        desk.dress(command.arg("images"));
        let done = command
            .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
            .output()?;
        expect(
            &done,
            125,
            "",
            "talaria: docker-shim: the docker command that was found is this shim again\n\
             hint: put a link to talaria in the script's place\n",
        )
    });
}

#[test]
fn without_an_engine_there_is_no_version() {
    at_desk(|desk| {
        let mut command = Command::new(link(desk)?);
        desk.dress(command.arg("version"));
        let done = command
            .env("DOCKER_HOST", "unix:///nonexistent.sock")
            .output()?;
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains("no container engine answers"));
        let said = docker(desk, &["version"])?;
        assert!(said.status.success() && text(&said.stdout).contains("\nServer: Docker\n"));
        Ok(())
    });
}
