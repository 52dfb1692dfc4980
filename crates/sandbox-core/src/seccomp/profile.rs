//! Docker's seccomp JSON as data.

use serde::{Deserialize, Serialize};

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is made.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// It fails with the rule's error number.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// All 64 bits are `value`.
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// The bits of `value`, a mask, are `valueTwo`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Which one, from 0.
    pub index: u32,
    /// What it is compared with, or the mask.
    pub value: u64,
    /// With a mask: what it is compared with. Otherwise 0.
    pub value_two: u64,
    /// How.
    pub op: Comparison,
}

impl Argument {
    pub(crate) const fn equal(index: u32, value: u64) -> Self {
        Self {
            index,
            value,
            value_two: 0,
            op: Comparison::Equal,
        }
    }

    pub(crate) const fn masked(index: u32, mask: u64, value: u64) -> Self {
        Self {
            index,
            value: mask,
            value_two: value,
            op: Comparison::MaskedEqual,
        }
    }
}

/// When a rule applies. Our own rules apply always: what depends on capabilities has been decided
/// before, so that the profile means the same to every engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Includes {
    /// Capabilities that the container must have, as `CAP_SYS_PTRACE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Machines, in Go's words: `amd64`, `arm64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// The oldest kernel, as `4.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_kernel: Option<String>,
}

impl Includes {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What happens to some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Their names, sorted.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// The error number of [`Action::Errno`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Includes::is_empty")]
    pub includes: Includes,
}

/// A machine and the others that it can run programs of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchMap {
    /// In libseccomp's words: `SCMP_ARCH_X86_64`.
    pub architecture: String,
    /// Others whose system calls are let in.
    pub sub_architectures: Vec<String>,
}

impl ArchMap {
    /// The machines that the profile is for, each alone.
    pub(crate) fn native() -> Vec<Self> {
        let native = |name: &str| Self {
            architecture: name.to_owned(),
            sub_architectures: Vec::new(),
        };
        vec![native("SCMP_ARCH_X86_64"), native("SCMP_ARCH_AARCH64")]
    }
}

/// A seccomp profile in the form that Docker and Podman read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What happens to a call that no rule speaks of.
    pub default_action: Action,
    /// The error number for those; engines before 23 answer `EPERM` whatever it says.
    pub default_errno_ret: u32,
    /// The machines.
    pub arch_map: Vec<ArchMap>,
    /// The rules. At most one applies to a call.
    pub syscalls: Vec<Rule>,
}

impl Profile {
    /// The profile as the engines read it, on one line. The same profile gives the same text.
    ///
    /// # Panics
    ///
    /// Never: the type has no value that JSON has no form for.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "every key is text and every number is whole"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a profile has a JSON form")
    }

    /// Whether the call is made whatever its arguments are.
    #[must_use]
    pub fn allows(&self, syscall: &str) -> bool {
        self.allowing(syscall).any(|rule| rule.args.is_empty())
    }

    /// Whether the call is made with some arguments.
    #[must_use]
    pub fn allows_some(&self, syscall: &str) -> bool {
        self.allowing(syscall).next().is_some()
    }

    fn allowing<'a>(&'a self, syscall: &'a str) -> impl Iterator<Item = &'a Rule> {
        let of = move |rule: &&Rule| rule.names.iter().any(|name| name == syscall);
        let allowing = self
            .syscalls
            .iter()
            .filter(|rule| rule.action == Action::Allow);
        allowing.filter(of)
    }
}
