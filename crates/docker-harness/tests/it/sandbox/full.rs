//! File systems that are full: the engine's, and the one that something is copied to.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use docker_harness::engine::skip;
use docker_harness::{Failure, TestResult};
use rustix::process::getuid;

use super::own::dockerd::{Dockerd, With};
use super::{DEBIAN, Rig, shell, text, with_rig};

/// A small file system, for as long as this lives.
struct Small {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Small {
    /// Nothing where none can be mounted, which is told.
    fn new(rig: &Rig<'_>, size: &str) -> Result<Option<Self>, Failure> {
        if !getuid().is_root() {
            skip(rig.lab.test(), "a small file system needs root");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("small");
        fs::create_dir(&path)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        let mounted = mount.arg(&path).output()?;
        if !mounted.status.success() {
            skip(rig.lab.test(), text(&mounted.stderr).trim());
            return Ok(None);
        }
        Ok(Some(Self {
            path,
            _directory: directory,
        }))
    }

    /// Takes all that is left but so many bytes.
    fn fill(&self, but: u64) -> TestResult {
        let filler = self.path.join("filler");
        let mut file = File::create(&filler)?;
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(but))?;
        Ok(())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: what an engine has mounted in it may be on its way out.
        let gone = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(
            gone.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "{} stays mounted",
            self.path.display()
        );
    }
}

fn names(path: &Path) -> Result<Vec<String>, Failure> {
    let all = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into()));
    all.collect()
}

#[test]
fn a_copy_to_a_full_file_system_is_told_and_leaves_nothing() {
    with_rig(async |rig| {
        let Some(small) = Small::new(rig, "1m")? else {
            return Ok(());
        };
        let sandbox = rig.get(rig.file("out")).await?;
        shell(
            &sandbox,
            "head -c 3000000 /dev/zero | tee /opt/big > /workspace/big",
        )
        .await?;
        let to = small.path.to_string_lossy();
        for from in ["out:/opt/big", "out:/workspace/big"] {
            let copied = rig.say(&["cp", from, &to])?;
            let said = text(&copied.stderr);
            assert_eq!(copied.status.code(), Some(1), "{said}");
            assert!(said.contains("No space left on device"), "{said}");
            assert!(said.contains("hint: "), "{said}");
            assert_eq!(names(&small.path)?, Vec::<String>::new());
        }
        Ok(())
    });
}

#[test]
fn an_engine_whose_disk_is_full_is_told_and_nothing_is_left() {
    with_rig(async |rig| {
        let Some(small) = Small::new(rig, "300m")? else {
            return Ok(());
        };
        let Some(mut dockerd) = Dockerd::start(rig, &small.path, With::Nothing).await? else {
            return Ok(());
        };
        small.fill(0)?;
        let words = [
            "run",
            "--image",
            DEBIAN,
            "--pull",
            "never",
            "--network",
            "none",
            "--",
            "true",
        ];
        let refused = rig.say(&words)?;
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("no space left on device"), "{said}");
        let hint = said.lines().find(|line| line.starts_with("hint: "));
        assert!(hint.is_some_and(|hint| hint.contains("full")), "{said}");
        let left = text(
            &dockerd
                .docker()
                .args(["ps", "--all", "--quiet"])
                .output()?
                .stdout,
        );
        assert_eq!(left, "", "what was begun is removed");

        // With room again, it works without more ado.
        fs::remove_file(small.path.join("filler"))?;
        let ran = rig.say(&words)?;
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        dockerd.end()?;
        rig.back().await
    });
}
