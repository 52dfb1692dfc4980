//! Temporary file systems.

use super::Tmpfs;
use crate::init::{Init, InitKind};
use crate::path::AbsPath;
use crate::spec::{SandboxSpec, User, Workspace};

/// The temporary file systems, less those where something else is mounted.
pub(super) fn tmpfs(spec: &SandboxSpec, init: Init) -> Vec<Tmpfs> {
    let run = match init {
        // It writes programs there and runs them.
        Init::Image { kind: InitKind::S6 } => "rw,exec,nosuid,nodev,size=64m",
        _ => "rw,noexec,nosuid,nodev,size=64m",
    };
    let mut all = vec![
        ("/run", run.to_owned()),
        ("/tmp", "rw,exec,nosuid,nodev,size=512m".to_owned()),
        ("/var/tmp", "rw,noexec,nosuid,nodev,size=256m".to_owned()),
    ];
    // A numeric user finds no directory of its own in an image.
    let owner = match spec.user {
        User::Ids { uid, gid } if uid != 0 => format!(",uid={uid},gid={}", gid.unwrap_or(0)),
        _ => String::new(),
    };
    let big = |size: &str| format!("rw,exec,nosuid,nodev,size={size}{owner}");
    if spec.workspace == Workspace::Tmpfs {
        all.push(("/workspace", big("10g")));
    }
    if !spec.persistent_filesystem {
        all.extend([("/home", big("1g")), ("/root", big("1g"))]);
    }
    all.into_iter()
        .filter(|(target, _)| {
            !spec
                .mounts
                .iter()
                .any(|mount| mount.target.as_str() == *target)
        })
        .map(|(target, options)| Tmpfs {
            target: AbsPath::new(target).unwrap_or_else(|_| unreachable!("these are paths")),
            options,
        })
        .collect()
}
