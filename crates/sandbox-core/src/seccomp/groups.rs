//! Every known system call, with its verdict and the reason for it.

mod allowed;
mod conditional;
mod denied;
mod files;

use super::{Action, Argument, ENOSYS, Includes, Rule, SeccompInput};

/// What becomes of the system calls of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are made.
    Allow,
    /// They are made where the sandbox has this capability, given without `CAP_`; otherwise they
    /// would fail anyway, later and after more of the kernel's code.
    With(&'static str),
    /// They depend on an argument.
    ByArgument(&'static [Case]),
    /// They are answered with `ENOSYS`, whatever the capabilities are.
    Deny,
}

/// What becomes of a call with a certain argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The condition.
    pub argument: Argument,
    /// The error number that answers it, or none where the call is made.
    pub errno: Option<u32>,
}

/// System calls that are treated alike, for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// What becomes of them.
    pub verdict: Verdict,
    /// Why.
    pub why: &'static str,
    /// Their names.
    pub names: &'static [&'static str],
}

const fn allow(why: &'static str, names: &'static [&'static str]) -> Group {
    Group {
        verdict: Verdict::Allow,
        why,
        names,
    }
}

/// Every group.
pub fn groups() -> impl Iterator<Item = &'static Group> {
    let lists = [
        denied::GROUPS,
        conditional::GROUPS,
        files::GROUPS,
        allowed::GROUPS,
    ];
    lists.into_iter().flatten()
}

impl Group {
    pub(super) fn rules(&self, input: &SeccompInput, rules: &mut Vec<Rule>) {
        match self.verdict {
            Verdict::Allow => rules.push(self.rule(None, None)),
            Verdict::With(capability) if input.has(capability) => rules.push(self.rule(None, None)),
            Verdict::With(_) | Verdict::Deny => rules.push(self.rule(Some(ENOSYS), None)),
            Verdict::ByArgument(cases) => {
                let rule = |case: &Case| self.rule(case.errno, Some(case.argument));
                rules.extend(cases.iter().map(rule));
            }
        }
    }

    fn rule(&self, errno: Option<u32>, argument: Option<Argument>) -> Rule {
        let mut names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Rule {
            names,
            action: errno.map_or(Action::Allow, |_| Action::Errno),
            errno_ret: errno,
            args: argument.into_iter().collect(),
            comment: self.why.to_owned(),
            includes: Includes::default(),
        }
    }
}
