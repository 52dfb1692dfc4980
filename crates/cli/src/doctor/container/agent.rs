//! The agent's own programs, and the clock that its TLS needs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use profile_boot::agent::AGENT_TOML;
use profile_boot::profile::ProfileName;
use rustix::fs::{Access, access};

use super::super::finding::{Finding, or_good};
use crate::failure::Failure;
use crate::place;

/// No image is older than that: the first second of 2025.
const NO_IMAGE_BEFORE: Duration = Duration::from_hours(482_136);
const IMAGE: &str =
    "it belongs to the image: use talaria-hermes, or mend the image that was built on it";

pub(super) fn look() -> Vec<Finding> {
    let agent = match place::agent() {
        Ok(agent) => agent,
        Err(error @ Failure::Agent { .. }) => {
            let hint = format!("mend {AGENT_TOML} in the image");
            return vec![Finding::bad("agent", error.chain(), hint)];
        }
        Err(error) => return vec![Finding::bad("agent", error.chain(), IMAGE)],
    };
    let mut programs: Vec<PathBuf> = vec![agent.program.clone()];
    if let Some(gateway) = &agent.gateway {
        let words = gateway.command(&ProfileName::default_profile());
        programs.extend(words.first().map(PathBuf::from));
    }
    if let Some(dashboard) = &agent.dashboard {
        programs.extend(dashboard.command("", "").first().map(PathBuf::from));
    }
    programs.extend(
        agent
            .boot
            .iter()
            .filter_map(|one| one.command.first())
            .map(PathBuf::from),
    );
    programs.sort();
    programs.dedup();
    let unfit = programs.iter().filter_map(|program| {
        let why = unfit(program)?;
        Some(Finding::bad(
            "agent",
            format!("{}: {why}", program.display()),
            IMAGE,
        ))
    });
    let detail = format!("{}: {}", agent.name, agent.program.display());
    or_good(unfit.collect(), "agent", &detail)
}

fn unfit(program: &Path) -> Option<String> {
    match program.metadata() {
        Err(error) => Some(error.to_string()),
        Ok(found) if !found.is_file() => Some("not a file".to_owned()),
        Ok(_) => access(program, Access::EXEC_OK)
            .err()
            .map(|error| format!("cannot be executed: {error}")),
    }
}

pub(super) fn clock() -> Option<Finding> {
    // A clock before 1970 is as wrong as one at its first second.
    clock_at(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// What is wrong with a clock that shows this much since 1970.
fn clock_at(now: Duration) -> Option<Finding> {
    (now < NO_IMAGE_BEFORE).then(|| {
        Finding::bad(
            "clock",
            format!(
                "{} s since 1970: before any image was made, so no certificate is valid yet",
                now.as_secs()
            ),
            "set the clock of the host",
        )
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::super::finding::State;
    use super::*;

    #[rstest]
    #[case::never_set(0, Some("0 s since 1970"))]
    #[case::the_last_second_of_2024(1_735_689_599, Some("1735689599 s since 1970"))]
    #[case::the_first_second_of_2025(1_735_689_600, None)]
    #[case::later(1_795_280_000, None)]
    fn a_clock_from_before_any_image_is_bad(#[case] seconds: u64, #[case] detail: Option<&str>) {
        let found = clock_at(Duration::from_secs(seconds));
        let told = found.map(|one| (one.state, one.name, one.detail));
        let expected = detail.map(|shown| {
            let why = "before any image was made, so no certificate is valid yet";
            (State::Bad, "clock".to_owned(), format!("{shown}: {why}"))
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn a_program_that_cannot_be_run_is_told_why() {
        assert_eq!(unfit("/bin/sh".as_ref()), None);
        assert_eq!(unfit("/".as_ref()).unwrap(), "not a file");
        assert!(unfit("/etc/passwd".as_ref()).is_some());
        assert!(unfit("/no/such".as_ref()).is_some());
    }
}
