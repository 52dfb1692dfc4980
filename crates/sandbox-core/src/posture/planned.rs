//! What a plan says of a sandbox's walls.

use std::collections::BTreeSet;

use super::{Network, Posture, Tmpfs};
use crate::mount::Role;
use crate::plan::{Masks, Seccomp};
use crate::{AgentDelivery, ContainerPlan, Init, InitKind, MaskedPaths, Size, plan};

impl Posture {
    /// The walls of a planned container. Limits that were left out are not expected: the plan's
    /// `unenforced` names them.
    #[must_use]
    pub fn of(plan: &ContainerPlan) -> Self {
        let (uid, gid) = ids(plan);
        let limits = &plan.limits;
        let bytes = |size: Option<Size>| size.map(Size::bytes);
        let hidden = match &plan.masks {
            Masks::EngineDefault => {
                let known = plan.known.host.masks.clone();
                known.unwrap_or_else(MaskedPaths::docker_20_10)
            }
            Masks::Explicit(paths) => paths.clone(),
        };
        let names = plan
            .capabilities
            .iter()
            .map(|capability| capability.name().to_owned());
        Self {
            uid,
            gid,
            capabilities: names.collect(),
            seccomp: plan.seccomp != Seccomp::Unconfined,
            own_profile: matches!(plan.seccomp, Seccomp::Talaria { .. }),
            agent: plan.init == Init::Ours && plan.agent != AgentDelivery::None,
            pids: limits.pids.map(u64::from),
            memory: bytes(limits.memory),
            memory_and_swap: bytes(limits.memory_swap),
            cpus: limits.cpus.map(|cpus| cpus.nanos().div_ceil(1_000_000)),
            shm: Some(limits.shm.bytes()),
            tmpfs: plan.tmpfs.iter().map(temporary).collect(),
            network: match plan.network {
                crate::Network::None => Network::None,
                crate::Network::Isolated => Network::Isolated,
                crate::Network::Named(_) => Network::Named,
            },
            masked: hidden.masked.into_iter().collect(),
            read_only: hidden.readonly.into_iter().collect(),
            read_only_root: false,
            sockets: sockets(plan),
            devices: BTreeSet::new(),
        }
    }
}

/// A user that the plan names by number; the gid of one without is the engine's to find.
fn ids(plan: &ContainerPlan) -> (Option<u32>, Option<u32>) {
    // Such an init may run its program, our agent, as another user than its own.
    let drops = match plan.init {
        Init::Image { kind } => kind == InitKind::S6,
        Init::Kept => true,
        Init::Ours => false,
    };
    if drops {
        return (None, None);
    }
    let Some(user) = &plan.user else {
        return (plan.starts_as_root.then_some(0), None);
    };
    let (uid, gid) = user
        .split_once(':')
        .map_or((&**user, None), |(uid, gid)| (uid, Some(gid)));
    (uid.parse().ok(), gid.and_then(|gid| gid.parse().ok()))
}

fn temporary(planned: &plan::Tmpfs) -> (String, Tmpfs) {
    tmpfs_of(planned.target.as_str(), &planned.options)
}

pub(super) fn tmpfs_of(target: &str, options: &str) -> (String, Tmpfs) {
    (target.to_owned(), parsed(options))
}

/// `rw,nosuid,size=64m`.
pub(super) fn parsed(options: &str) -> Tmpfs {
    let words = || options.split(',');
    let seen = ["ro", "nosuid", "nodev", "noexec"];
    Tmpfs {
        size: words()
            .find_map(|word| word.strip_prefix("size="))
            .and_then(size),
        options: words()
            .filter(|word| seen.contains(word))
            .map(str::to_owned)
            .collect(),
    }
}

/// A number with the kernel's letters; what is none is not bounded.
fn size(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()?.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        _ => 0,
    };
    let number = if shift > 0 {
        &text[..text.len() - 1]
    } else {
        text
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The engine's socket where the spec asks for it, also by the name that a link of `/var/run` gives.
fn sockets(plan: &ContainerPlan) -> BTreeSet<String> {
    let mounts = plan
        .mounts
        .iter()
        .filter(|mount| mount.role == Role::EngineSocket);
    let both = mounts.flat_map(|mount| {
        let target = mount.target.as_str();
        let linked = target
            .strip_prefix("/var")
            .filter(|rest| rest.starts_with("/run/"));
        [Some(target), linked]
            .into_iter()
            .flatten()
            .map(str::to_owned)
    });
    both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::ImageConfig;
    use crate::posture::Probe;
    use crate::{Caller, HostFacts, Owner, SandboxSpec, SpecFile};

    fn of(toml: &str) -> Posture {
        let file = SpecFile::from_toml(toml).expect("it is a spec");
        let caller = Caller::new(Owner::new("0f3a:1000").expect("an owner"));
        let spec = SandboxSpec::try_from(file, &caller).expect("it is right");
        let planned = plan::plan(&spec, &ImageConfig::default(), &HostFacts::default());
        Posture::of(&planned.expect("it can be had"))
    }

    #[test]
    fn a_bare_spec_has_all_walls() {
        let posture = of("image = \"debian:trixie\"");
        assert_eq!((Some(256), Some(2000)), (posture.pids, posture.cpus));
        assert_eq!(
            (Some(4 << 30), Some(64 << 20)),
            (posture.memory, posture.shm)
        );
        assert_eq!(Some(512 << 20), posture.tmpfs["/tmp"].size);
        assert!(posture.tmpfs["/run"].options.contains("noexec"));
        assert!(posture.seccomp && posture.sockets.is_empty());
        assert_eq!((6, Some(0)), (posture.capabilities.len(), posture.uid));
    }

    #[test]
    fn a_user_and_no_network_are_expected() {
        let posture = of("image = \"debian:trixie\"\nuser = \"1000:1001\"\nnetwork = \"none\"\n");
        assert_eq!((Some(1000), Some(1001)), (posture.uid, posture.gid));
        assert_eq!(
            (Network::None, 3),
            (posture.network, posture.capabilities.len())
        );
    }

    #[test]
    fn another_filter_than_ours_is_not_asked_for_what_ours_does() {
        let posture = of("image = \"debian:trixie\"\nseccomp = \"unconfined\"\n");
        let expected = crate::posture::expected(&posture);
        assert!(
            !expected
                .iter()
                .any(|expectation| expectation.probe == Probe::CallClone3)
        );
        assert!(!posture.own_profile);
    }
}
