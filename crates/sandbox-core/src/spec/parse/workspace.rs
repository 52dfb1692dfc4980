//! What `/workspace` and `/root` are.

use crate::mount::{self, Mount, Role, Source};
use crate::name::Identity;
use crate::path::{AbsPath, HostPath};
use crate::problem::{Gather, Problem};
use crate::spec::{Caller, Workspace};

/// Decides what `/workspace` is: an explicit mount beats the caller's directory beats a persistent
/// directory beats a temporary file system. Adds the mounts that follow.
pub(super) fn workspace(
    gather: &mut Gather,
    mounts: &mut Vec<(String, Mount)>,
    mount_cwd: bool,
    persistent: Option<&Identity>,
    caller: &Caller,
) -> Workspace {
    let taken = |mounts: &[(String, Mount)], at: &str| {
        mounts.iter().any(|(_, mount)| mount.target.as_str() == at)
    };
    let mut directory = |mounts: &mut Vec<(String, Mount)>,
                         field: &str,
                         path: Result<HostPath, Problem>,
                         at: &str,
                         role: Role| {
        let target = AbsPath::new(at).map_err(|error| Problem::new(field, format!("{error}")));
        if let (Some(path), Some(target)) = (gather.take(path), gather.take(target)) {
            let why = (role == Role::HostCwd)
                .then(|| mount::brings_engine(&path, &caller.engine_sockets))
                .flatten();
            if let Some(why) = why {
                gather.add(Problem::new(field, why).hint("work in a directory of its own"));
            }
            let mount = Mount {
                source: Source::Bind(path),
                target,
                read_only: false,
                selinux: None,
                role,
            };
            mounts.insert(0, (field.to_owned(), mount));
        }
    };
    let mut workspace = Workspace::Tmpfs;
    if taken(mounts, "/workspace") {
        workspace = Workspace::Mount;
    } else if mount_cwd {
        workspace = Workspace::HostCwd;
        let path = caller.cwd.clone().ok_or_else(|| {
            Problem::new(
                "mount_cwd",
                "there is no working directory that could be mounted",
            )
            .hint("start in a directory that is there, or mount one at /workspace")
        });
        directory(mounts, "mount_cwd", path, "/workspace", Role::HostCwd);
    }
    if let Some(identity) = persistent {
        let base = caller
            .data_dir
            .as_ref()
            .map(|data| format!("{data}/sandboxes/{}", identity.container_name()));
        let path = |name: &str| match &base {
            Some(base) => HostPath::new(format!("{base}/{name}")).map_err(|error| {
                Problem::new("persistent_filesystem", format!("its directory {error}"))
                    .hint("choose another directory to keep it in")
            }),
            None => Err(Problem::new(
                "persistent_filesystem",
                "there is no directory to keep it in",
            )
            .hint("set a home directory, or mount directories at /root and /workspace")),
        };
        if !taken(mounts, "/root") {
            directory(
                mounts,
                "persistent_filesystem",
                path("home"),
                "/root",
                Role::Persistent,
            );
        }
        if workspace == Workspace::Tmpfs {
            workspace = Workspace::Persistent;
            directory(
                mounts,
                "persistent_filesystem",
                path("workspace"),
                "/workspace",
                Role::Persistent,
            );
        }
    }
    workspace
}
