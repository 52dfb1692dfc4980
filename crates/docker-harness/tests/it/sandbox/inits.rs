//! Images with inits of their own, and with none.

use std::io::Write as _;
use std::process::{Command, Stdio};

use docker_harness::Failure;

use super::{DEBIAN, Rig, text, with_rig};

/// Builds an image with the engine's classic builder, which has a cache.
pub(super) fn build(tag: &str, lines: &str) -> Result<(), Failure> {
    let mut building = Command::new("docker")
        .args(["build", "--quiet", "--tag", tag, "-"])
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = building.stdin.take() {
        stdin.write_all(lines.as_bytes())?;
    }
    let built = building.wait_with_output()?;
    if built.status.success() {
        return Ok(());
    }
    Err(format!("cannot build {tag}: {}", text(&built.stderr)).into())
}

/// Writes a program to /run and goes on there, as s6-overlay does; s6 stays, and the command ends
/// it.
const S6: &str = r##"RUN printf '%s\n' '#!/bin/sh -e' 'mkdir -p /run/s6/scan' \
 'printf "%s\n" "#!/bin/sh" "(\"\$@\"; s6-svscanctl -t /run/s6/scan) &" "exec s6-svscan /run/s6/scan" > /run/s6/go' \
 'chmod 755 /run/s6/go' 'exec /run/s6/go "$@"' > /init && chmod 755 /init
ENTRYPOINT ["/init"]
"##;

/// Whoever is first there after a moment, and what runs commands.
async fn lives(rig: &Rig<'_>, image: &str, task: &str, first: &str) -> Result<(), Failure> {
    let words = |script: &'static str| {
        let words = [
            "run",
            "--image",
            image,
            "--pull",
            "never",
            "--task",
            task,
            "--persist",
        ];
        [&words[..], &["--", "sh", "-c", script]].concat()
    };
    let begun = rig.say(&words("echo up"))?;
    assert_eq!(
        text(&begun.stdout),
        "up\n",
        "{task}: {}",
        text(&begun.stderr)
    );
    let before = rig.containers().await?;
    let ended = rig.say(&words("cat /proc/1/comm; exit 7"))?;
    let said = text(&ended.stderr);
    assert_eq!(text(&ended.stdout).trim(), first, "{task}: {said}");
    assert_eq!(
        (ended.status.code(), said.as_str()),
        (Some(7), ""),
        "{task}"
    );
    // It stayed up: nothing was made anew.
    assert_eq!(rig.containers().await?, before, "{task}");
    let removed = rig.say(&["rm", "--force", task])?;
    assert!(
        removed.status.success(),
        "{task}: {}",
        text(&removed.stderr)
    );
    Ok(())
}

#[test]
fn sandboxes_of_images_with_inits_start_stay_up_and_run_commands() {
    with_rig(async |rig| {
        let inits = "talaria-test-inits:trixie";
        let install = "RUN apt-get update && apt-get install -y --no-install-recommends \
            tini dumb-init s6 && rm -rf /var/lib/apt/lists/*";
        build(inits, &format!("FROM {DEBIAN}\n{install}\n"))?;
        let tag = |name: &str| format!("talaria-test-{name}:{}", rig.owner.as_str().to_lowercase());
        let images = [
            (
                tag("tini"),
                "ENTRYPOINT [\"/usr/bin/tini\", \"--\"]\n",
                "tini",
            ),
            (
                tag("dumb"),
                "ENTRYPOINT [\"/usr/bin/dumb-init\", \"--\"]\n",
                "dumb-init",
            ),
            (tag("s6"), S6, "s6-svscan"),
            (
                tag("script"),
                "ENTRYPOINT [\"/bin/false\"]\n",
                "sandbox-agent",
            ),
        ];
        let mut done = Ok(());
        for (image, lines, first) in &images {
            // Nothing is known of an image that is not there; it is judged once it is.
            let absent = [
                "run", "--image", image, "--pull", "never", "--task", first, "--", "true",
            ];
            let absent = rig.say(&absent)?;
            assert_eq!(absent.status.code(), Some(3), "{}", text(&absent.stderr));
            build(image, &format!("FROM {inits}\n{lines}"))?;
            done = lives(rig, image, first, first).await;
            let removed = Command::new("docker")
                .args(["rmi", "--no-prune", image])
                .output()?;
            assert!(removed.status.success(), "{}", text(&removed.stderr));
            if done.is_err() {
                break;
            }
        }
        done?;
        lives(rig, DEBIAN, "plain", "sandbox-agent").await?;
        let base = docker_harness::image::base()?;
        lives(rig, &base, "base", "s6-svscan").await
    });
}
