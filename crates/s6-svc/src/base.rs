//! Directories held open for what is found in them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::dir::Dir;

/// A scandir that is held open, or none. From there it is one step to a service, where its path may
/// be many; it makes no other service of it.
#[derive(Clone, Default)]
pub(crate) struct Base(Option<Arc<Dir>>);

impl Base {
    pub(crate) fn dir(&self) -> Option<&Dir> {
        self.0.as_deref()
    }
}

impl From<Arc<Dir>> for Base {
    fn from(dir: Arc<Dir>) -> Self {
        Self(Some(dir))
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "open" } else { "none" })
    }
}

impl PartialEq for Base {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Base {}

impl PartialOrd for Base {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Base {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl Hash for Base {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
