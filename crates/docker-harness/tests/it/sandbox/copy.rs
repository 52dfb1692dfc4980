//! Files in and out.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use sandbox_engine::Error;
use sandbox_engine::copy::{Bounds, CopyError, UnpackError};

use super::{says, shell, text, with_rig};

#[test]
fn a_tree_goes_in_and_comes_out_by_tmpfs_and_by_layer() {
    with_rig(async |rig| {
        let sandbox = rig.get(rig.file("tree")).await?;
        let tree = rig.lab.scratch().join("tree");
        fs::create_dir_all(tree.join("deep/er"))?;
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        fs::write(tree.join("deep/er/-big"), &bytes)?;
        fs::write(tree.join("empty"), "")?;
        // Two tmpfs, one of them the engine's own, and the container's own layer.
        for place in ["/workspace", "/dev/shm", "/opt"] {
            let at = sandbox.copy_in(&tree, place).await?;
            assert_eq!(at, format!("{place}/tree"));
            let sum = says(&sandbox, &format!("stat -c '%u %s' {at}/deep/er/-big")).await?;
            assert_eq!(sum, "0 1000000");
            let out = rig
                .lab
                .scratch()
                .join(format!("out{}", place.replace('/', "-")));
            let done = sandbox.copy_out(&at, &out, Bounds::default()).await?;
            assert_eq!((done.unpacked.files, done.unpacked.bytes), (2, 1_000_000));
            assert_eq!(fs::read(out.join("deep/er/-big"))?, bytes);
        }
        Ok(())
    });
}

#[test]
fn what_an_enemy_prepares_does_not_leave_the_destination() {
    with_rig(async |rig| {
        let sandbox = rig.get(rig.file("enemy")).await?;
        let script = "for d in /workspace/bad /opt/bad; do mkdir $d; cd $d; ln -s /etc/passwd link; \
            mkfifo fifo; cp /bin/true suid; chmod 6755 suid; ln suid hard; echo x > \"$(printf 'e\\033[2Jvil')\"; done; \
            ln -s /etc/shadow /opt/single";
        assert_eq!(shell(&sandbox, script).await?.outcome.end.code(), 0);
        for from in ["/workspace/bad", "/opt/bad"] {
            let to = rig.lab.scratch().join(from.replace('/', "-"));
            let done = sandbox.copy_out(from, &to, Bounds::default()).await?;
            let mut what: Vec<_> = done.unpacked.skipped.iter().map(|one| one.what).collect();
            what.sort_unstable();
            assert_eq!(what, ["a FIFO", "a hard link", "a symbolic link"]);
            for entry in fs::read_dir(&to)? {
                let found = entry?.path().symlink_metadata()?;
                assert!(found.is_file() && found.permissions().mode() & 0o7000 == 0);
                assert_eq!(found.nlink(), 1);
            }
        }
        let to = rig.lab.scratch().join("single");
        let linked = sandbox
            .copy_out("/opt/single", &to, Bounds::default())
            .await;
        assert!(
            matches!(linked, Err(Error::Copy(CopyError::NothingCame { .. }))),
            "{linked:?}"
        );
        assert!(!to.exists());
        Ok(())
    });
}

#[test]
fn more_than_is_allowed_leaves_nothing() {
    with_rig(async |rig| {
        let sandbox = rig.get(rig.file("much")).await?;
        shell(
            &sandbox,
            "head -c 3000000 /dev/zero | tee /opt/big > /workspace/big",
        )
        .await?;
        let bounds = Bounds {
            bytes: 1_000_000,
            ..Bounds::default()
        };
        for from in ["/workspace/big", "/opt/big"] {
            let to = rig.lab.scratch().join("big");
            let done = sandbox.copy_out(from, &to, bounds).await;
            assert!(
                matches!(
                    &done,
                    Err(Error::Copy(CopyError::Unpack {
                        source: UnpackError::TooMuch { .. },
                        ..
                    }))
                ),
                "{done:?}"
            );
        }
        let left: Vec<_> = fs::read_dir(rig.lab.scratch())?.collect();
        assert_eq!(left.len(), 0, "{left:?}");
        // An engine answers no question about a container that it is still sending from. The connection
        // of the copy that was given up closes when the runtime gets to it, which is while this waits.
        sandbox.inspect().await?;
        let none = rig.say(&["cp", "much:/opt/none", "x"])?;
        assert_eq!(none.status.code(), Some(3), "{}", text(&none.stderr));
        Ok(())
    });
}
