//! Variables of the container that we know, with values that make no sense.
//!
//! Values that may be secret are never shown.

use super::super::finding::{Finding, or_good};

/// What a variable may say.
#[derive(Clone, Copy)]
enum Kind {
    /// 1 to 65534.
    Id,
    /// A number, of milliseconds or steps.
    Number,
    /// 1, true, yes or their opposites.
    Flag,
    Port,
    AbsolutePath,
    /// One of these.
    Word(&'static [&'static str]),
    /// JSON, not shown.
    Json,
}

const KNOWN: &[(&str, Kind)] = &[
    ("HERMES_UID", Kind::Id),
    ("HERMES_GID", Kind::Id),
    ("PUID", Kind::Id),
    ("PGID", Kind::Id),
    ("HERMES_HOME", Kind::AbsolutePath),
    ("HERMES_DASHBOARD", Kind::Flag),
    ("HERMES_DASHBOARD_PORT", Kind::Port),
    ("HERMES_GATEWAY_NO_SUPERVISE", Kind::Flag),
    ("HERMES_DOCKER_EXEC_AS_ROOT", Kind::Flag),
    (
        "HERMES_GATEWAY_BOOTSTRAP_STATE",
        Kind::Word(&["running", "stopped"]),
    ),
    ("HERMES_AUTH_JSON_BOOTSTRAP", Kind::Json),
    ("API_SERVER_PORT", Kind::Port),
    ("S6_BEHAVIOUR_IF_STAGE2_FAILS", Kind::Word(&["0", "1", "2"])),
    ("S6_SERVICES_GRACETIME", Kind::Number),
    ("S6_KILL_GRACETIME", Kind::Number),
    ("S6_CMD_WAIT_FOR_SERVICES_MAXTIME", Kind::Number),
    ("S6_VERBOSITY", Kind::Number),
];

pub(super) fn look(variable: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut findings: Vec<_> = KNOWN
        .iter()
        .filter_map(|(name, kind)| odd(name, *kind, &set(name)?))
        .collect();
    for (name, alias) in [("HERMES_UID", "PUID"), ("HERMES_GID", "PGID")] {
        if let (Some(own), Some(other)) = (set(name), set(alias))
            && own.trim() != other.trim()
        {
            findings.push(Finding::note(
                "environment",
                format!("{name} and {alias} say different things, and {name} counts"),
                format!("set only {name}"),
            ));
        }
    }
    or_good(
        findings,
        "environment",
        "the variables that Talaria knows make sense",
    )
}

fn odd(name: &str, kind: Kind, value: &str) -> Option<Finding> {
    let word = value.trim();
    let number = || word.parse::<u64>().ok();
    let (fits, expected) = match kind {
        Kind::Id => (
            number().is_some_and(|id| (1..=65_534).contains(&id)),
            "a number from 1 to 65534".to_owned(),
        ),
        Kind::Number => (number().is_some(), "a number".to_owned()),
        Kind::Flag => (
            ["1", "true", "yes", "0", "false", "no"].contains(&&*word.to_ascii_lowercase()),
            "1, true or yes, or 0, false or no; all else counts as no".to_owned(),
        ),
        Kind::Port => (
            number().is_some_and(|port| (1..=65_535).contains(&port)),
            "a port, 1 to 65535".to_owned(),
        ),
        Kind::AbsolutePath => (
            word.starts_with('/'),
            "an absolute path; /opt/data is used instead".to_owned(),
        ),
        Kind::Word(words) => (
            words.contains(&word),
            format!("one of {}", words.join(", ")),
        ),
        Kind::Json => (
            serde_json::from_str::<serde_json::Value>(value).is_ok(),
            "JSON".to_owned(),
        ),
    };
    if fits {
        return None;
    }
    let shown = match kind {
        Kind::Json => format!("{name} is set, and is no JSON"),
        _ => format!("{name}={}", value.escape_debug()),
    };
    Some(Finding::note(
        "environment",
        shown,
        format!("it should be {expected}"),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::super::finding::State;
    use super::*;

    fn states(variables: &[(&str, &str)]) -> Vec<State> {
        let of = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        look(of).into_iter().map(|one| one.state).collect()
    }

    #[rstest]
    #[case("HERMES_UID", "1000", State::Good)]
    #[case("HERMES_UID", "0", State::Note)]
    #[case("HERMES_UID", "me", State::Note)]
    #[case("PGID", "65535", State::Note)]
    #[case("HERMES_DASHBOARD", "Yes", State::Good)]
    #[case("HERMES_DASHBOARD", "0", State::Good)]
    #[case("HERMES_DASHBOARD", "on", State::Note)]
    #[case("HERMES_DASHBOARD_PORT", "0", State::Note)]
    #[case("HERMES_HOME", "data", State::Note)]
    #[case("S6_VERBOSITY", "", State::Good)]
    #[case("S6_KILL_GRACETIME", "3s", State::Note)]
    #[case("HERMES_GATEWAY_BOOTSTRAP_STATE", "up", State::Note)]
    fn a_value_that_makes_no_sense_is_told(
        #[case] name: &str,
        #[case] value: &str,
        #[case] state: State,
    ) {
        assert_eq!(states(&[(name, value)]), [state]);
    }

    #[test]
    fn an_alias_that_says_something_else_is_told() {
        assert_eq!(states(&[("HERMES_UID", "5"), ("PUID", "5")]), [State::Good]);
        assert_eq!(states(&[("HERMES_UID", "5"), ("PUID", "6")]), [State::Note]);
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let of = |name: &str| (name == "HERMES_AUTH_JSON_BOOTSTRAP").then(|| "canary".to_owned());
        let findings = look(of);
        assert_eq!(findings[0].state, State::Note);
        assert!(!format!("{findings:?}").contains("canary"));
    }
}
