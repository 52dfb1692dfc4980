//! The `S6_*` variables, with the meanings that s6-overlay gave them.

use std::time::Duration;

/// What the operator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `S6_BEHAVIOUR_IF_STAGE2_FAILS` is 2: a failing hook ends the container.
    pub(crate) stop_if_stage2_fails: bool,
    /// `S6_SERVICES_GRACETIME`: how long services may take to stop.
    pub(crate) services_grace: Duration,
    /// `S6_KILL_GRACETIME`: how long everything may take to end after SIGTERM.
    pub(crate) kill_grace: Duration,
    /// `S6_CMD_WAIT_FOR_SERVICES_MAXTIME`: how long the main program waits for
    /// supervision to stand; `None` is for ever.
    pub(crate) services_wait: Option<Duration>,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let millis = |name: &str, default: u64| {
            variable(name)
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(default)
        };
        let services_wait = millis("S6_CMD_WAIT_FOR_SERVICES_MAXTIME", 5000);
        Self {
            stop_if_stage2_fails: variable("S6_BEHAVIOUR_IF_STAGE2_FAILS")
                .is_some_and(|value| value.trim() == "2"),
            services_grace: Duration::from_millis(millis("S6_SERVICES_GRACETIME", 3000)),
            kill_grace: Duration::from_millis(millis("S6_KILL_GRACETIME", 3000)),
            services_wait: (services_wait > 0).then(|| Duration::from_millis(services_wait)),
        }
    }

    /// `S6_VERBOSITY`: 0 is errors alone, 1 warnings as well, 2 and more every step.
    pub(crate) fn verbosity() -> u32 {
        std::env::var("S6_VERBOSITY")
            .ok()
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unset_or_nonsense_is_the_default() {
        let settings =
            Settings::read(|name| (name == "S6_KILL_GRACETIME").then(|| "soon".to_owned()));
        assert_eq!(settings.kill_grace, Duration::from_secs(3));
        assert_eq!(settings.services_wait, Some(Duration::from_secs(5)));
        assert!(!settings.stop_if_stage2_fails);
    }

    #[test]
    fn what_is_set_counts() {
        let settings = Settings::read(|name| match name {
            "S6_SERVICES_GRACETIME" => Some("250".to_owned()),
            "S6_CMD_WAIT_FOR_SERVICES_MAXTIME" => Some("0".to_owned()),
            "S6_BEHAVIOUR_IF_STAGE2_FAILS" => Some("2".to_owned()),
            _ => None,
        });
        assert_eq!(settings.services_grace, Duration::from_millis(250));
        assert_eq!(settings.services_wait, None);
        assert!(settings.stop_if_stage2_fails);
    }
}
