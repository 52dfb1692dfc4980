//! From what is written to what is meant.

mod env;
mod fields;
mod mount;
mod workspace;

use std::collections::BTreeMap;

use super::{Caller, SandboxSpec, SeccompChoice, SpecFile};
use crate::init::Entrypoint;
use crate::lease::Lease;
use crate::limits::{Cpus, LEAST_MEMORY, Limit, Size};
use crate::mount::{Mount, Role};
use crate::name::Identity;
use crate::problem::{Gather, Problem, Problems};
use crate::reuse::Policy;
use env::{env, extra_args, forward};
use fields::{choice, cwd, image, labels, limit, name, runtime, size, user, word};
use mount::{engine_socket, one_mount};
use workspace::workspace;

#[expect(
    clippy::too_many_lines,
    reason = "a line or two for each field, one after the other"
)]
pub(super) fn spec(
    file: SpecFile,
    mut gather: Gather,
    caller: &Caller,
) -> Result<SandboxSpec, Problems> {
    let mut mounts = mounts(&mut gather, &file, caller);
    let image = image(&mut gather, file.image);
    let task = name(&mut gather, "task", file.task);
    let profile = name(&mut gather, "profile", file.profile);
    let cwd = cwd(&mut gather, file.cwd.as_deref());
    let cpus = limit::<Cpus>(&mut gather, "cpus", file.cpus.as_ref());
    let memory = size(&mut gather, "memory", file.memory.as_ref(), LEAST_MEMORY);
    let disk = size(&mut gather, "disk", file.disk.as_ref(), Size::from_mib(1));
    let pids = limit::<u32>(&mut gather, "pids", file.pids.as_ref());
    let shm = size(&mut gather, "shm", file.shm.as_ref(), Size::from_bytes(1));
    if shm == Limit::Unlimited {
        gather.add(
            Problem::new("shm", "is always bounded, since it counts as memory")
                .hint("write a size such as `64m`"),
        );
    }
    let network = word(&mut gather, "network", file.network.as_deref());
    let user = user(&mut gather, file.user.as_ref(), caller);
    let env = env(&mut gather, file.env, caller);
    labels(&mut gather, &file.labels);
    let forward = forward(&mut gather, &file.forward);
    let entrypoint = choice(
        &mut gather,
        "entrypoint",
        file.entrypoint.as_deref(),
        &[("auto", Entrypoint::Auto), ("keep", Entrypoint::Keep)],
    );
    let seccomp = choice(
        &mut gather,
        "seccomp",
        file.seccomp.as_deref(),
        &[
            ("talaria", SeccompChoice::Talaria),
            ("engine-default", SeccompChoice::EngineDefault),
            ("unconfined", SeccompChoice::Unconfined),
        ],
    );
    let engine_masks = choice(
        &mut gather,
        "masks",
        file.masks.as_deref(),
        &[("talaria", false), ("engine-default", true)],
    );
    let on_drift = choice(
        &mut gather,
        "on_drift",
        file.on_drift.as_deref(),
        &[
            ("refuse", Policy::Refuse),
            ("recreate", Policy::Recreate),
            ("reuse", Policy::Reuse),
        ],
    );
    let runtime = runtime(&mut gather, file.runtime);
    let lease = match &file.lease {
        None => Lease::default(),
        Some(lease) => gather
            .take(lease.text().parse().map_err(|error| {
                Problem::new("lease", format!("{error}"))
                    .hint("write a time such as `2h`, or `none`")
            }))
            .unwrap_or_default(),
    };
    extra_args(&mut gather, &file.extra_args);

    let identity = task.zip(profile).map(|(task, profile)| Identity {
        owner: caller.owner.clone(),
        task,
        profile,
    });
    let persistent_filesystem = file.persistent_filesystem.unwrap_or(false);
    let workspace = workspace(
        &mut gather,
        &mut mounts,
        file.mount_cwd.unwrap_or(false),
        persistent_filesystem.then_some(identity.as_ref()).flatten(),
        caller,
    );
    no_two_at_one_place(&mut gather, &mounts);

    let spec = image.zip(identity).map(|(image, identity)| SandboxSpec {
        image,
        identity,
        cwd,
        cpus,
        memory,
        disk,
        pids,
        shm,
        network,
        user,
        mounts: mounts.into_iter().map(|(_, mount)| mount).collect(),
        workspace,
        persistent_filesystem,
        env,
        labels: file.labels,
        forward,
        persist: file.persist.unwrap_or(false),
        entrypoint,
        seccomp,
        engine_masks,
        extra_args: file.extra_args,
        runtime,
        lease,
        on_drift,
        allow_unenforced: file.allow_unenforced.unwrap_or(false),
        digest_key: caller.digest_key.clone(),
    });
    gather.sort(SpecFile::FIELDS);
    gather.finish(spec)
}

/// The mounts that are written down, each with its field.
fn mounts(gather: &mut Gather, file: &SpecFile, caller: &Caller) -> Vec<(String, Mount)> {
    let mut mounts = Vec::new();
    for (field, list, role) in [
        ("mounts", &file.mounts, Role::User),
        ("credentials", &file.credentials, Role::Credentials),
        ("skills", &file.skills, Role::Skills),
        ("caches", &file.caches, Role::Cache),
    ] {
        for (index, written) in list.iter().enumerate() {
            let field = format!("{field}[{index}]");
            if let Some(mount) = gather.take(one_mount(&field, written, role, caller)) {
                mounts.push((field, mount));
            }
        }
    }
    if let Some(path) = &file.engine_socket
        && let Some(mount) = gather.take(engine_socket(path))
    {
        mounts.push(("engine_socket".into(), mount));
    }
    mounts
}

fn no_two_at_one_place(gather: &mut Gather, mounts: &[(String, Mount)]) {
    let mut seen = BTreeMap::new();
    for (field, mount) in mounts {
        if let Some(other) = seen.insert(&mount.target, field) {
            gather.add(
                Problem::new(
                    field,
                    format!("{} is already taken by {other}", mount.target),
                )
                .hint("give each a path of its own in the container"),
            );
        }
    }
}
