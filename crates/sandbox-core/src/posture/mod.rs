//! Whether a sandbox is as closed as its plan says: what to expect of the probes, and what their
//! answers mean.
//!
//! The probes run inside the sandbox (`sandbox-agent probe`), so what they say is a claim. A
//! sandbox that wants to lie can; what it cannot do is pass by silence: a probe without an answer is
//! [`Held::Unknown`], never held. For [`Probe::engine_knows`] the engine's own description of the
//! container tells the same, from outside ([`Report::of_engine`]), and [`settle`] puts both together.
//!
//! ```
//! use sandbox_core::posture::{Held, Posture, Probe, Report, compare, expected};
//! let report = Report::parse(r#"{"no_new_privs": false, "call.bpf": "ENOSYS"}"#)?;
//! let findings = compare(&expected(&Posture::default()), &report);
//! let held = |probe| findings.iter().find(|finding| finding.probe == probe).map(|f| f.held.clone());
//! assert_eq!(Some(Held::No), held(Probe::NoNewPrivs));
//! assert_eq!(Some(Held::Yes), held(Probe::CallBpf));
//! assert!(matches!(held(Probe::CallMount), Some(Held::Unknown { .. })));
//! # Ok::<(), sandbox_core::posture::ReportError>(())
//! ```

mod advice;
mod check;
mod engine;
mod expectation;
mod finding;
mod planned;
mod probe;
mod report;
#[cfg(test)]
mod tests;

pub use check::{Check, Tmpfs};
pub use engine::settle;
pub use expectation::{Expectation, MASKED_PATHS, Network, Posture, READ_ONLY_PATHS, expected};
pub use finding::{Finding, Held, compare, table};
pub use probe::{Probe, UnknownProbe};
pub use report::{Report, ReportError};
