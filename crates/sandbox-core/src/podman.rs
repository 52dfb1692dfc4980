//! Podman's own ways with what its API shares with Docker's, as version 4.3.1 has them.

use crate::inspect::{Inspected, MountPoint};

/// A container of Podman's says so of its runtime, whichever that is.
const RUNTIME: &str = "oci";

/// Options that Podman adds to every mount.
const ADDED: [&str; 4] = ["rprivate", "rbind", "nosuid", "nodev"];

/// What Docker's containers may do where nobody says anything. Debian's Podman takes the same.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What of these Podman itself leaves out.
const NOT_UPSTREAM: [&str; 3] = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

/// Whether it is Podman that tells of this container.
pub(crate) fn tells(found: &Inspected) -> bool {
    found.host_config.runtime == RUNTIME
}

/// The options of a tmpfs as Podman takes them. It knows no owner; where there should be one, everybody
/// may write, and remove what is their own, as in `/tmp`.
pub(crate) fn tmpfs_options(options: &str) -> String {
    let is_owner = |word: &&str| word.starts_with("uid=") || word.starts_with("gid=");
    let mut words: Vec<&str> = options.split(',').filter(|word| !is_owner(word)).collect();
    if options.split(',').any(|word| is_owner(&word)) {
        words.push("mode=1777");
    }
    words.join(",")
}

/// What Podman tells of a container, as Docker would.
///
/// The cgroup namespace is not told at all, and that others may share the one for IPC is told of each
/// container: both are taken for what was asked.
pub(crate) fn as_docker_tells(found: &Inspected) -> Inspected {
    let mut told = found.clone();
    let networks = &found.network_settings.networks;
    let host = &mut told.host_config;
    for bind in std::mem::take(&mut host.binds) {
        match mount_point(&bind) {
            Some(mount) => host.mounts.push(mount),
            None => host.binds.push(bind),
        }
    }
    for options in host.tmpfs.values_mut() {
        let kept = options.split(',');
        let kept = kept.filter(|word| !["rprivate", "tmpcopyup"].contains(word));
        *options = kept.collect::<Vec<_>>().join(",");
    }
    if let (Some(name), 1, "bridge") = (
        networks.keys().next(),
        networks.len(),
        host.network_mode.as_str(),
    ) {
        host.network_mode.clone_from(name);
    }
    if host.ipc_mode == "shareable" {
        "private".clone_into(&mut host.ipc_mode);
    }
    if host.cgroupns_mode.is_empty() {
        "private".clone_into(&mut host.cgroupns_mode);
    }
    // It tells what was added to its own default, and what was taken from it.
    if host.cap_add.is_empty()
        && let Some(kept) = kept_of_default(&host.cap_drop)
    {
        host.cap_add = kept;
        host.cap_drop = vec!["ALL".to_owned()];
    }
    told
}

/// `SOURCE:TARGET:OPTIONS`, where the options say nothing more than whether it can be written.
fn mount_point(bind: &str) -> Option<MountPoint> {
    let (rest, options) = bind.rsplit_once(':')?;
    let (source, target) = rest.rsplit_once(':')?;
    let mut words = options.split(',').filter(|word| !ADDED.contains(word));
    let read_only = match (words.next(), words.next()) {
        (Some("ro"), None) => true,
        (Some("rw"), None) => false,
        _ => return None,
    };
    let is_path = source.starts_with('/');
    Some(MountPoint {
        kind: if is_path { "bind" } else { "volume" }.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        read_only,
    })
}

/// What is left of a default of which this was taken; nothing where that is no default that is known.
fn kept_of_default(dropped: &[String]) -> Option<Vec<String>> {
    let bare = |name: &String| name.strip_prefix("CAP_").unwrap_or(name).to_owned();
    let dropped: Vec<String> = dropped.iter().map(bare).collect();
    if dropped.is_empty() || dropped.iter().any(|name| !DEFAULT.contains(&name.as_str())) {
        return None;
    }
    let is_dropped = |name: &&str| dropped.iter().any(|one| one == name);
    // Podman's own default has none of these, Debian's has all. Whoever was left all three of
    // Debian's cannot be told from whoever was left nothing of Podman's; we drop everything.
    let upstream = !NOT_UPSTREAM.iter().any(is_dropped);
    let kept = DEFAULT.iter().filter(|name| !is_dropped(name));
    let kept = kept.filter(|name| !(upstream && NOT_UPSTREAM.contains(name)));
    Some(kept.map(|&name| name.to_owned()).collect())
}
