//! What the engine itself says of a sandbox's walls, in the form of the probes' answers.
//!
//! The engine is outside, so where it knows it is believed before the sandbox. It tells only what
//! it set up: whether that holds inside is what the probes are for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::planned::{parsed, tmpfs_of};
use super::{Finding, Held, Network, Posture, Probe, Report, Tmpfs};
use crate::Network as Planned;
use crate::inspect::{HostConfig, Inspected};
use crate::labels;

/// What sockets of engines are called.
const SOCKETS: [&str; 4] = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];

impl Report {
    /// The answers that the engine's description of a container gives. What it does not say is left
    /// out.
    #[must_use]
    pub fn of_engine(found: &Inspected) -> Self {
        let host = &found.host_config;
        let mut report = Self::default();
        let mut say = |probe, answer: Option<Value>| {
            if let Some(answer) = answer {
                report = std::mem::take(&mut report).with(probe, answer);
            }
        };
        let (uid, gid) = found
            .config
            .user
            .split_once(':')
            .map_or((&*found.config.user, None), |(uid, gid)| (uid, Some(gid)));
        let number = |text: &str| text.parse::<u32>().ok().map(Value::from);
        // A name is for the image to explain, and an init may have become another since.
        say(Probe::IdentityUid, number(uid));
        say(Probe::IdentityGid, gid.and_then(number));
        say(Probe::CapabilitiesBounding, capabilities(host));
        say(Probe::NoNewPrivs, Some(no_new_privileges(host).into()));
        say(Probe::Seccomp, seccomp(host));
        say(Probe::NamespaceNet, Some(namespace(&host.network_mode)));
        say(Probe::NamespacePid, Some(namespace(&host.pid_mode)));
        say(Probe::NamespaceIpc, Some(namespace(&host.ipc_mode)));
        say(Probe::NamespaceUts, Some(namespace(&host.uts_mode)));
        say(
            Probe::PathsMasked,
            paths(host.masked_paths.as_ref(), "empty"),
        );
        // /sys is mounted so by every engine, and not listed.
        let read_only = host.readonly_paths.as_ref().map(|paths| {
            let sys = (!host.privileged).then(|| "/sys".to_owned());
            paths.iter().cloned().chain(sys).collect()
        });
        say(Probe::PathsReadOnly, paths(read_only.as_ref(), "read-only"));
        say(Probe::EngineSockets, Some(json!(sockets(host))));
        say(Probe::RootReadOnly, Some(host.readonly_rootfs.into()));
        say(Probe::LimitPids, Some(limit(host.pids_limit)));
        say(Probe::LimitMemory, Some(limit(host.memory)));
        // 0 leaves it to the engine.
        let swap = Some(host.memory_swap).filter(|swap| *swap != 0);
        say(Probe::LimitMemoryAndSwap, swap.map(limit));
        say(Probe::LimitCpus, Some(limit(host.nano_cpus / 1_000_000)));
        let shm = u64::try_from(host.shm_size).ok().filter(|size| *size > 0);
        say(Probe::LimitShm, shm.map(Value::from));
        let tmpfs = host.tmpfs.iter().map(|(target, options)| {
            let tmpfs = parsed(options);
            let answer = json!({"size": tmpfs.size, "options": tmpfs.options});
            (target.clone(), answer)
        });
        say(Probe::Tmpfs, Some(Value::Object(tmpfs.collect())));
        let alone = host.network_mode == "none";
        say(Probe::NetworkInterfaces, alone.then(|| json!(["lo"])));
        report
    }
}

impl Posture {
    /// The walls of a sandbox of which nothing is known but what the engine says: those that every
    /// sandbox has, and the limits and file systems that this one was given.
    #[must_use]
    pub fn of_engine(found: &Inspected) -> Self {
        let host = &found.host_config;
        let seccomp = found.label(labels::SECCOMP).unwrap_or_default();
        let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
        let tmpfs: BTreeMap<String, Tmpfs> = host
            .tmpfs
            .iter()
            .map(|(target, options)| tmpfs_of(target, options))
            .collect();
        let serves = found.config.entrypoint.0.first().map(String::as_str);
        Self {
            capabilities: [
                "CHOWN",
                "DAC_OVERRIDE",
                "FOWNER",
                "KILL",
                "SETGID",
                "SETUID",
            ]
            .map(str::to_owned)
            .into(),
            own_profile: seccomp.starts_with("talaria-"),
            agent: serves == Some(crate::plan::AGENT),
            pids: positive(host.pids_limit),
            memory: positive(host.memory),
            memory_and_swap: positive(host.memory_swap),
            cpus: positive(host.nano_cpus / 1_000_000),
            shm: positive(host.shm_size),
            tmpfs,
            network: match &*host.network_mode {
                "none" => Network::None,
                Planned::ISOLATED => Network::Isolated,
                _ => Network::Named,
            },
            ..Self::default()
        }
    }
}

/// Puts what the engine told beside what the sandbox claimed, both held against the same
/// expectations. What the engine denies is not held, whatever the sandbox says. What it affirms
/// stands where the sandbox is silent; where the sandbox says that it does not hold, it does not.
#[must_use]
pub fn settle(claimed: Vec<Finding>, told: &[Finding]) -> Vec<Finding> {
    let one = |claim: Finding| {
        let told = told.iter().find(|told| told.probe == claim.probe);
        match told.map(|told| (&told.held, &claim.held, told)) {
            Some((Held::No, _, told) | (Held::Yes, Held::Unknown { .. }, told)) => told.clone(),
            _ => claim,
        }
    };
    claimed.into_iter().map(one).collect()
}

fn capabilities(host: &HostConfig) -> Option<Value> {
    if host.privileged {
        return Some(json!(["ALL"]));
    }
    let all = host
        .cap_drop
        .iter()
        .any(|one| one.eq_ignore_ascii_case("ALL"));
    // Podman lists each one that it drops, and says in other places what is left.
    let name = |one: &String| one.trim_start_matches("CAP_").to_ascii_uppercase();
    all.then(|| host.cap_add.iter().map(name).collect())
}

fn no_new_privileges(host: &HostConfig) -> bool {
    let words = [
        "no-new-privileges",
        "no-new-privileges:true",
        "no-new-privileges=true",
    ];
    let mut options = host.security_opt.iter();
    options.any(|option| words.contains(&option.as_str()))
}

fn seccomp(host: &HostConfig) -> Option<Value> {
    let mut options = host.security_opt.iter();
    let profile = options.find_map(|one| one.strip_prefix("seccomp="));
    match profile {
        _ if host.privileged => Some("none".into()),
        Some("unconfined") => Some("none".into()),
        Some(_) => Some("filter".into()),
        None => None,
    }
}

/// `own`, `host`, or `shared` with another container.
fn namespace(mode: &str) -> Value {
    match mode {
        "host" => "host",
        mode if mode.starts_with("container:") || mode.starts_with("ns:") => "shared",
        _ => "own",
    }
    .into()
}

fn paths(paths: Option<&Vec<String>>, word: &str) -> Option<Value> {
    let paths = paths?.iter().map(|path| (path.clone(), word.into()));
    Some(Value::Object(paths.collect()))
}

/// Where sockets of engines are in the container.
fn sockets(host: &HostConfig) -> Vec<String> {
    let binds = host.binds.iter().filter_map(|bind| {
        let mut parts = bind.split(':');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    });
    let mounts = host
        .mounts
        .iter()
        .map(|mount| (mount.source.clone(), mount.target.clone()));
    binds
        .chain(mounts)
        .filter(|(source, _)| SOCKETS.iter().any(|name| source.ends_with(name)))
        .map(|(_, target)| target)
        .collect()
}

fn limit(number: i64) -> Value {
    match u64::try_from(number) {
        Ok(number) if number > 0 => number.into(),
        _ => "unlimited".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posture::{compare, expected};

    fn found(host: &Value) -> Inspected {
        serde_json::from_value(json!({"Config": {"User": "1000:1000"}, "HostConfig": host}))
            .expect("an answer")
    }

    fn held(findings: &[Finding], probe: Probe) -> Held {
        let found = findings.iter().find(|finding| finding.probe == probe);
        found.expect("it is expected").held.clone()
    }

    #[test]
    fn an_open_container_is_not_held_whatever_it_claims() {
        let open = found(&json!({
            "Privileged": true, "NetworkMode": "host", "PidMode": "container:x",
            "Binds": ["/var/run/docker.sock:/s:ro"], "PidsLimit": 0,
        }));
        let posture = Posture {
            pids: Some(256),
            ..Posture::default()
        };
        let expected = expected(&posture);
        let told = compare(&expected, &Report::of_engine(&open));
        let lie = r#"{"no_new_privs": true, "seccomp": "filter", "namespace.net": "own",
            "namespace.pid": "own", "engine_sockets": [], "limit.pids": 1,
            "capabilities.bounding": []}"#;
        let claimed = compare(&expected, &Report::parse(lie).expect("a report"));
        let settled = settle(claimed, &told);
        for probe in [
            Probe::NoNewPrivs,
            Probe::Seccomp,
            Probe::NamespaceNet,
            Probe::NamespacePid,
            Probe::EngineSockets,
            Probe::LimitPids,
            Probe::CapabilitiesBounding,
        ] {
            assert_eq!(held(&settled, probe), Held::No, "{probe}");
        }
    }

    #[test]
    fn the_engine_speaks_for_a_silent_sandbox_and_not_against_a_confession() {
        let closed = found(&json!({
            "SecurityOpt": ["no-new-privileges", "seccomp={}"], "CapDrop": ["ALL"],
            "CapAdd": ["CAP_CHOWN"], "PidsLimit": 256, "ShmSize": 1024,
        }));
        let posture = Posture {
            pids: Some(256),
            capabilities: ["CHOWN".to_owned()].into(),
            ..Posture::default()
        };
        let expected = expected(&posture);
        let told = compare(&expected, &Report::of_engine(&closed));
        let claimed = Report::parse(r#"{"seccomp": "none"}"#).expect("a report");
        let settled = settle(compare(&expected, &claimed), &told);
        assert_eq!(held(&settled, Probe::Seccomp), Held::No);
        for probe in [
            Probe::NoNewPrivs,
            Probe::LimitPids,
            Probe::CapabilitiesBounding,
        ] {
            assert_eq!(held(&settled, probe), Held::Yes, "{probe}");
        }
        let unknown = held(&settled, Probe::CallBpf);
        assert!(matches!(unknown, Held::Unknown { .. }), "{unknown:?}");
    }

    #[test]
    fn a_sandbox_without_a_plan_has_the_limits_that_the_engine_names() {
        let found = found(&json!({
            "NetworkMode": "none", "PidsLimit": 64, "NanoCpus": 500_000_000,
            "Tmpfs": {"/tmp": "rw,nosuid,size=1m"},
        }));
        let posture = Posture::of_engine(&found);
        assert_eq!((posture.pids, posture.cpus), (Some(64), Some(500)));
        assert_eq!((posture.network, posture.memory), (Network::None, None));
        assert_eq!(posture.tmpfs["/tmp"].size, Some(1 << 20));
    }
}
