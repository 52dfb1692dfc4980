//! How long a gateway that keeps dying waits before it is tried again.

use std::path::Path;
use std::time::{Duration, Instant};

use s6_svc::{DeathTally, Exit, ServiceDir, Tai64n};

use crate::error::BootError;
use crate::report;
use crate::signals::{Event, Signals};

/// Deaths older than this are forgotten.
const WINDOW: Duration = Duration::from_mins(10);
/// So many are forgiven: s6-supervise alone waits a second between two starts.
const FORGIVEN: u32 = 3;
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);
/// SIGTERM, which is how s6 ends a service.
const TERM: u8 = 15;
/// Where a slot says until when its gateway waits, in seconds since 1970.
const FILE: &str = "backoff-until";

/// Waits, in the service's own process: whoever stops it stops the wait.
pub(crate) fn wait(slot: &Path) -> Result<(), BootError> {
    let delay = delay(recent_deaths(slot));
    let file = slot.join(FILE);
    if delay.is_zero() {
        return match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BootError::file("remove it", file)(error))
            }
            _ => Ok(()),
        };
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    std::fs::write(&file, (now + delay).as_secs().to_string())
        .map_err(BootError::file("write it", &file))?;
    report::line(&format_args!(
        "it keeps crashing: trying again in {} s",
        delay.as_secs()
    ));
    let until = Instant::now() + delay;
    while Signals::take(&[])?.wait(None, Some(until))? != Event::Deadline {}
    Ok(())
}

/// How often the service has crashed lately, as s6 counted.
fn recent_deaths(slot: &Path) -> u32 {
    let tally = ServiceDir::new(slot)
        .ok()
        .and_then(|slot| slot.death_tally().ok());
    let now = Tai64n::now();
    let crashes = tally.iter().flat_map(DeathTally::deaths).filter(|death| {
        // An end that was asked for is none.
        let asked_for = matches!(death.exit, Exit::Code(0) | Exit::Signal(TERM));
        !asked_for && now.saturating_duration_since(death.at) < WINDOW
    });
    u32::try_from(crashes.count()).unwrap_or(u32::MAX)
}

/// Twice as long each time, beyond what is forgiven.
fn delay(deaths: u32) -> Duration {
    match deaths.checked_sub(FORGIVEN) {
        None | Some(0) => Duration::ZERO,
        Some(beyond) => Duration::from_secs(2_u64.saturating_pow(beyond)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0)]
    #[case(3, 0)]
    #[case(4, 2)]
    #[case(5, 4)]
    #[case(8, 32)]
    #[case(9, 60)]
    #[case(u32::MAX, 60)]
    fn the_wait_doubles_up_to_a_minute(#[case] deaths: u32, #[case] seconds: u64) {
        assert_eq!(delay(deaths), Duration::from_secs(seconds));
    }
}
