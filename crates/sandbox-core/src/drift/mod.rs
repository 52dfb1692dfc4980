//! How what is there differs from what is wanted.
//!
//! What is found can hold secrets that the plan knows nothing of: it may have been made from an
//! older spec, or by somebody else. So of what people fill with what they like – variables, the words
//! of a command, labels – a difference names the place and never shows what is there.

mod env;
mod limits;
mod mounts;
mod program;
mod security;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::host::Flavour;
use crate::inspect::Inspected;
use crate::labels;
use crate::plan::ContainerPlan;
use crate::podman;

/// One field in which a container is not what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field, by the plan's names: `limits.memory`, `env.PATH`, `mounts./workspace`.
    pub field: String,
    /// What is wanted. `(secret)` for a secret.
    pub wanted: String,
    /// What is there; in brackets where it is not shown: `(a different value)`. Not escaped for
    /// terminals.
    pub found: String,
}

impl Difference {
    /// Whether this is a reason to recreate or refuse. The version of our agent is none: the
    /// handshake with it decides whether it can be spoken to.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.field != "agent"
    }
}

/// Compares a container with a plan, field by field. What the image itself brings is no difference,
/// nor is what engines set by themselves: `PATH`, `HOME`, `HOSTNAME`, `TERM` and `container` where the
/// plan leaves them alone.
///
/// Where the plan leaves the user or the entrypoint to the image, or the runtime or the hidden paths
/// to the engine, what is there is compared with what those are [known](crate::plan::Known) to bring.
///
/// Of a plan or a container with extra arguments nothing can be told field by field, for what they
/// mean is not known: there the digest on the label decides alone.
#[must_use]
pub fn drift(plan: &ContainerPlan, found: &Inspected) -> Vec<Difference> {
    let mut compare = Compare(Vec::new());
    if plan.is_modified() || found.label(labels::MODIFIED) == Some("extra-args") {
        compare.label(
            "plan (modified by extra args)",
            &plan.digest(),
            found.label(labels::PLAN),
        );
        return compare.0;
    }
    let (flavour, found) = if podman::tells(found) {
        (Flavour::Podman, &podman::as_docker_tells(found))
    } else {
        (Flavour::Docker, found)
    };
    program::identity(&mut compare, plan, found);
    program::program(&mut compare, plan, found);
    env::environment(&mut compare, plan, found);
    mounts::mounts(&mut compare, plan, found, flavour);
    security::security(&mut compare, plan, found, flavour);
    limits::limits(&mut compare, plan, found);
    compare.0
}

struct Compare(Vec<Difference>);

impl Compare {
    fn add(&mut self, field: impl Into<String>, wanted: &str, found: &str) {
        self.0.push(Difference {
            field: field.into(),
            wanted: wanted.into(),
            found: found.into(),
        });
    }

    fn text(&mut self, field: &str, wanted: &str, found: &str) {
        if wanted != found {
            self.add(field, wanted, found);
        }
    }

    /// A label. It is shown only where it has a form that we write.
    fn label(&mut self, field: &str, wanted: &str, found: Option<&str>) {
        let ours = |text: &str| {
            let digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            let version = text.strip_prefix("talaria-").unwrap_or(text);
            let number = version.len() < 12 && version.bytes().all(|b| b.is_ascii_digit());
            digest || number || ["yes", "no", "engine-default", "unconfined"].contains(&text)
        };
        match found {
            None => self.text(field, wanted, "(no label)"),
            Some(found) if found == wanted || ours(found) => self.text(field, wanted, found),
            Some(_) => self.text(field, wanted, "(a label that is none of ours)"),
        }
    }

    /// The same in any order.
    fn set<'a>(
        &mut self,
        field: &str,
        wanted: impl IntoIterator<Item = &'a str>,
        found: impl IntoIterator<Item = &'a str>,
    ) {
        let join = |items: BTreeSet<&str>| items.into_iter().collect::<Vec<_>>().join(", ");
        self.text(
            field,
            &join(wanted.into_iter().collect()),
            &join(found.into_iter().collect()),
        );
    }
}
