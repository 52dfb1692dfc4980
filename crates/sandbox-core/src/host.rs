//! What an engine and its host can do, as somebody else found out.

use serde::{Deserialize, Serialize};

/// What an engine says about itself and its host.
///
/// Its JSON form, of what the engine says of its host alone, is what a sandbox's label
/// [`HOST`](crate::labels::HOST) holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "an engine answers each by itself, as a truth value"
)]
pub struct HostFacts {
    /// The storage driver, such as `overlay2`.
    pub storage_driver: String,
    /// Whether a container's writable layer can be limited; `None` if nobody tried.
    pub quota_works: Option<bool>,
    /// Whether memory can be limited.
    pub memory_limit: bool,
    /// Whether swap can be limited.
    pub swap_limit: bool,
    /// Whether processors can be limited.
    pub cpu_limit: bool,
    /// Whether processes can be limited.
    pub pids_limit: bool,
    /// How many processors there are, if that is known. Engines refuse a limit above it.
    pub cpus: Option<u32>,
    /// The runtimes that the engine knows; empty if that is not known.
    pub runtimes: Vec<String>,
    /// The runtime that the engine takes where none is named, if that is known.
    pub default_runtime: Option<String>,
    /// Whether the engine applies seccomp profiles.
    pub seccomp: bool,
    /// Whether the engine runs without root.
    pub rootless: bool,
    /// Which paths the engine hides by itself, if that is known. Where it is not, or is less than
    /// [ours](MaskedPaths::talaria), containers that are made through the Engine API get our list in
    /// full; so never name more here than the engine is known to hide.
    #[serde(skip)]
    pub masks: Option<MaskedPaths>,
    /// How our agent gets into a container.
    #[serde(skip)]
    pub agent: AgentDelivery,
}

impl HostFacts {
    /// What the label of a sandbox holds, so that whoever attaches to it later need not ask the engine
    /// again: some engines start other programs to answer that.
    #[must_use]
    pub fn to_label(&self) -> String {
        // Only strings, numbers and truth values: this cannot fail.
        serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("facts have a JSON form: {error}"))
    }

    /// What such a label tells, with what the engine at hand is known to hide and how the agent comes.
    /// Nothing where it was written by a version that knew other facts.
    #[must_use]
    pub fn from_label(
        label: &str,
        masks: Option<MaskedPaths>,
        agent: AgentDelivery,
    ) -> Option<Self> {
        let facts: Self = serde_json::from_str(label).ok()?;
        Some(Self {
            masks,
            agent,
            ..facts
        })
    }
}

impl Default for HostFacts {
    /// A host that can do all but limit disks, with an engine of which nothing more is known and no
    /// agent: what is assumed where there is no engine to ask.
    fn default() -> Self {
        Self {
            storage_driver: String::new(),
            quota_works: None,
            memory_limit: true,
            swap_limit: true,
            cpu_limit: true,
            pids_limit: true,
            cpus: None,
            runtimes: Vec::new(),
            default_runtime: None,
            seccomp: true,
            rootless: false,
            masks: None,
            agent: AgentDelivery::None,
        }
    }
}

/// Whose engine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Docker, or something that calls itself so.
    Docker,
    /// Podman's service.
    Podman,
}

/// How our agent gets into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum AgentDelivery {
    /// On a read-only volume.
    Volume {
        /// Its name: `talaria-agent-` and the first 16 digits of the program's SHA-256.
        name: String,
    },
    /// Copied into each container before it starts.
    Upload,
    /// Not at all: commands go over the engine's exec API.
    #[default]
    None,
}

/// Paths of `/proc` and `/sys` that a container does not see, or cannot write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskedPaths {
    /// Hidden.
    pub masked: Vec<String>,
    /// Read-only.
    pub readonly: Vec<String>,
}

impl MaskedPaths {
    /// What Docker 20.10 hides, as its 20.10.24 shows it on a container that was created without a
    /// word about it. Later versions hide this and more.
    ///
    /// It is less than [`talaria`](Self::talaria), so where it is taken for what an engine hides, the
    /// Engine API is given our whole list, whatever that engine hides in truth.
    #[must_use]
    pub fn docker_20_10() -> Self {
        Self {
            masked: [
                "/proc/asound",
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
            ]
            .map(str::to_owned)
            .to_vec(),
            readonly: [
                "/proc/bus",
                "/proc/fs",
                "/proc/irq",
                "/proc/sys",
                "/proc/sysrq-trigger",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }

    /// What we hide: the same, and what tells of power, heat and interrupts, from which secrets of
    /// other programs have been read.
    #[must_use]
    pub fn talaria() -> Self {
        let mut paths = Self::docker_20_10();
        paths
            .masked
            .extend(["/proc/interrupts", "/sys/devices/virtual/powercap"].map(str::to_owned));
        paths
    }

    /// Whether this hides everything that `other` hides.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let hides = |path: &String| self.masked.contains(path);
        other.masked.iter().all(hides)
            && other
                .readonly
                .iter()
                .all(|path| self.readonly.contains(path) || hides(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_what_the_engine_said_and_no_more() {
        let agent = || AgentDelivery::Upload;
        let facts = HostFacts {
            storage_driver: "overlay2".to_owned(),
            quota_works: Some(false),
            swap_limit: false,
            cpus: Some(3),
            runtimes: vec!["runc".to_owned()],
            default_runtime: Some("runc".to_owned()),
            rootless: true,
            masks: Some(MaskedPaths::docker_20_10()),
            agent: agent(),
            ..HostFacts::default()
        };
        let label = facts.to_label();
        let masks = facts.masks.clone();
        assert_eq!(
            HostFacts::from_label(&label, masks, agent()),
            Some(facts.clone())
        );
        let expected = HostFacts {
            masks: None,
            agent: AgentDelivery::None,
            ..facts
        };
        let told = HostFacts::from_label(&label, None, AgentDelivery::None);
        assert_eq!(told, Some(expected));
    }

    #[test]
    fn a_label_of_another_version_tells_nothing() {
        let label = HostFacts::default().to_label();
        let more = label.replace('{', r#"{"later":1,"#);
        let less = label.replace(r#""seccomp":true,"#, "");
        assert_ne!(less, label);
        for label in [&more, &less, "", "{}"] {
            assert_eq!(
                HostFacts::from_label(label, None, AgentDelivery::None),
                None
            );
        }
    }
}
