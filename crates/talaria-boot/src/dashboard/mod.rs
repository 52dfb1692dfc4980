//! The programs of the dashboard's slot.

pub(crate) mod finish;
pub(crate) mod log;
pub(crate) mod run;

use std::ffi::{OsStr, OsString};

use profile_boot::environment::is_truthy;

use crate::environment::Variable;

/// Where the dashboard listens unless it is told otherwise: nobody outside the
/// container reaches that.
pub(crate) const LOOPBACK: &str = "127.0.0.1";
pub(crate) const PORT: &str = "9119";

/// Whether the container's environment asks for a dashboard.
pub(crate) fn is_wanted(environment: &[Variable]) -> bool {
    value(environment, "HERMES_DASHBOARD").is_some_and(|value| is_truthy(&value.to_string_lossy()))
}

/// A variable of the container's environment that says something.
fn value<'a>(environment: &'a [Variable], name: &str) -> Option<&'a OsString> {
    let found = environment
        .iter()
        .find(|(known, _)| known == OsStr::new(name));
    found
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}
