//! The environment of a gateway.

use std::ffi::OsString;

use crate::agent::Agent;
use crate::port::{self, Assigned};
use crate::profile::ProfileName;

/// One variable.
pub type Variable = (OsString, OsString);

/// The environment of one profile's gateway, from the container's.
///
/// A named profile does not get what belongs to the default profile: the
/// variables that match the agent's `credentials` patterns, and the default
/// profile's port. It gets its own port, and its own `.env` over all of it.
///
/// This keeps two gateways from using one bot token. It is no boundary: all
/// profiles are one user's.
#[must_use]
pub fn of_gateway(
    container: &[Variable],
    profile: &ProfileName,
    agent: &Agent,
    port: Option<Assigned>,
    dotenv: &[(String, String)],
) -> Vec<Variable> {
    if profile.is_default() {
        return container.to_vec();
    }
    let withheld = |name: &str| {
        name == port::VARIABLE
            || agent
                .credentials
                .iter()
                .any(|pattern| matches(pattern, name))
    };
    let mut variables: Vec<Variable> = container
        .iter()
        .filter(|(name, _)| !withheld(&name.to_string_lossy()))
        .cloned()
        .collect();
    if let Some(assigned) = port {
        variables.push((port::VARIABLE.into(), assigned.port.to_string().into()));
    }
    variables.extend(
        dotenv
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    variables
}

/// Whether a variable says yes, in the words that the agent takes for yes.
///
/// ```
/// use profile_boot::environment::is_truthy;
/// assert!(is_truthy("1") && is_truthy("True") && is_truthy("yes"));
/// assert!(!is_truthy("0") && !is_truthy("") && !is_truthy("on"));
/// ```
#[must_use]
pub fn is_truthy(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes"
    )
}

/// Whether a name matches a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    name.strip_prefix(head).is_some_and(|rest| {
        (0..=rest.len())
            .filter(|at| rest.is_char_boundary(*at))
            .any(|at| matches(tail, &rest[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*_BOT_TOKEN", "TELEGRAM_BOT_TOKEN", true)]
    #[case("*_BOT_TOKEN", "BOT_TOKEN", false)]
    #[case("SLACK_*", "SLACK_", true)]
    #[case("A*B*C", "AxxByyC", true)]
    #[case("A*B*C", "AxxCyyB", false)]
    #[case("EXACT", "EXACT", true)]
    #[case("EXACT", "EXACTLY", false)]
    #[case("*", "", true)]
    fn a_star_stands_for_anything(
        #[case] pattern: &str,
        #[case] name: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(matches(pattern, name), expected);
    }

    fn agent() -> Agent {
        Agent::parse("name = \"a\"\nprogram = \"/a\"\ncredentials = [\"*_BOT_TOKEN\"]").unwrap()
    }

    fn container() -> Vec<Variable> {
        [
            ("TELEGRAM_BOT_TOKEN", "t"),
            ("API_SERVER_PORT", "1"),
            ("LANG", "C"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    #[test]
    fn the_default_profile_has_all_of_it() {
        let profile = ProfileName::default_profile();
        assert_eq!(
            of_gateway(&container(), &profile, &agent(), None, &[]),
            container()
        );
    }

    #[test]
    fn a_named_profile_has_its_own_token_and_port() {
        let dotenv = [("TELEGRAM_BOT_TOKEN".to_owned(), "own".to_owned())];
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("profiles/coder")).unwrap();
        let profile: ProfileName = "coder".parse().unwrap();
        let port = port::assign(home.path(), &profile).unwrap();
        let expected: Vec<Variable> = [
            ("LANG", "C"),
            ("API_SERVER_PORT", "9653"),
            ("TELEGRAM_BOT_TOKEN", "own"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        assert_eq!(
            of_gateway(&container(), &profile, &agent(), Some(port), &dotenv),
            expected
        );
    }
}
