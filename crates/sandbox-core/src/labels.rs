//! The labels of sandboxes.
//!
//! Those that begin with `hermes-` are for people and for `docker ps --filter`; they are sanitised,
//! so different tasks can share one, and nothing is decided by them. The others are ours.

/// `1` on every sandbox, as its users know it.
pub const HERMES_AGENT: &str = "hermes-agent";
/// The task, sanitised.
pub const HERMES_TASK_ID: &str = "hermes-task-id";
/// The profile, sanitised.
pub const HERMES_PROFILE: &str = "hermes-profile";
/// How the names of our own labels begin.
pub const OURS: &str = "talaria.";
/// The version of these labels, [`VERSION`], on every sandbox.
pub const SANDBOX: &str = "talaria.sandbox";
/// The digest of the identity, [`IdentityDigest`](crate::IdentityDigest).
pub const IDENTITY: &str = "talaria.identity";
/// The digest of the owner, [`Owner::digest`](crate::Owner::digest).
pub const OWNER: &str = "talaria.owner";
/// The task, as it is.
pub const TASK: &str = "talaria.task";
/// The profile, as it is.
pub const PROFILE: &str = "talaria.profile";
/// The digest of the plan, [`ContainerPlan::digest`](crate::ContainerPlan::digest).
pub const PLAN: &str = "talaria.plan";
/// The lease in seconds; 0 is none.
pub const LEASE: &str = "talaria.lease";
/// `yes` where the sandbox outlives its client, else `no`.
pub const PERSIST: &str = "talaria.persist";
/// The seccomp profile: `talaria-1`, `engine-default` or `unconfined`.
pub const SECCOMP: &str = "talaria.seccomp";
/// `extra-args` where arguments that nobody parsed were added, else `no`.
pub const MODIFIED: &str = "talaria.modified";
/// What the engine said of its host at creation, [`HostFacts::to_label`](crate::HostFacts::to_label).
pub const HOST: &str = "talaria.host";

/// The version of the labels.
pub const VERSION: &str = "1";

/// A text as the `hermes-` labels hold it: all but `[A-Za-z0-9_.-]` becomes `_`, at most 63
/// characters, and nothing at all becomes `unknown`.
///
/// ```
/// use sandbox_core::labels::sanitise;
/// assert_eq!(sanitise("a:b/ü"), "a_b__");
/// assert_eq!(sanitise(""), "unknown");
/// ```
#[must_use]
pub fn sanitise(text: &str) -> String {
    if text.is_empty() {
        return "unknown".into();
    }
    text.chars()
        .take(63)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_.-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}
