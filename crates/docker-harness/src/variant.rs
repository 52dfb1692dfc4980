//! What an image with another init does differently, by design.
//!
//! The s6-overlay variant is the arrangement that users of the Hermes image know: root scans a
//! `hermes`-writable `/run/service`. Tests consult this table rather than the init's name.

use std::time::Duration;

/// The init of an image, told by its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Our own init over Debian's s6.
    Debian,
    /// The s6-overlay tarballs.
    S6Overlay,
}

/// Something that one init does and the other does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// Nothing that `hermes` can write or signal is root's to run or to lose.
    RootIsOutOfReach,
    /// The agent's tree is of the drawn shape, and comes back after `kill -9 -1`.
    AgentTree,
    /// The container ends with its main program, and every message of ours is as documented.
    OwnInit,
    /// It boots with `/run` mounted `noexec`.
    NoexecRun,
    /// It boots with `--read-only`.
    ReadOnlyRoot,
    /// It boots under `--user`.
    AnyUser,
    /// It boots with CHOWN, SETUID and SETGID alone.
    FewCapabilities,
    /// It boots where it is not PID 1.
    NotFirst,
}

/// What to expect of a [`Variant`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// The uid of a service that `hermes` dropped into `/run/service`.
    pub dropped_service_uid: u32,
    /// What stopping may add to the services' own time.
    pub stop_overhead: Duration,
    /// What it does.
    pub promises: &'static [Promise],
}

impl Expected {
    /// Whether the image's init does that.
    #[must_use]
    pub fn promises(&self, promise: Promise) -> bool {
        self.promises.contains(&promise)
    }
}

impl Variant {
    /// The image label that names the init.
    pub const LABEL: &str = "org.talaria.init";

    /// The variant that a label's value names; an image without one is ours.
    #[must_use]
    pub fn from_label(value: Option<&str>) -> Self {
        match value {
            Some(value) if value.starts_with("s6-overlay") => Self::S6Overlay,
            _ => Self::Debian,
        }
    }

    /// The table.
    #[must_use]
    pub const fn expected(self) -> Expected {
        match self {
            Self::Debian => Expected {
                dropped_service_uid: 10_000,
                stop_overhead: Duration::from_millis(200),
                promises: &[
                    Promise::RootIsOutOfReach,
                    Promise::AgentTree,
                    Promise::OwnInit,
                    Promise::NoexecRun,
                    Promise::ReadOnlyRoot,
                    Promise::AnyUser,
                    Promise::FewCapabilities,
                    Promise::NotFirst,
                ],
            },
            Self::S6Overlay => Expected {
                dropped_service_uid: 0,
                // It waits out S6_KILL_GRACETIME, 3 s, whatever is left to kill.
                stop_overhead: Duration::from_millis(3_500),
                promises: &[],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlabelled_image_is_ours() {
        assert_eq!(Variant::Debian, Variant::from_label(None));
        assert_eq!(Variant::Debian, Variant::from_label(Some("debian")));
        assert_eq!(
            Variant::S6Overlay,
            Variant::from_label(Some("s6-overlay 3.2.3.0"))
        );
    }

    #[test]
    fn every_promise_is_kept_by_ours_and_none_by_the_other() {
        assert!(Variant::Debian.expected().promises(Promise::AgentTree));
        assert!(!Variant::S6Overlay.expected().promises(Promise::AgentTree));
    }
}
