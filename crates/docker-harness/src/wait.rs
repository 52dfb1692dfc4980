//! Waiting for a condition: level-triggered, bounded, and telling the last state seen.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::error::WaitError;

/// What a look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level<T> {
    /// The condition holds; this is what it gave.
    Holds(T),
    /// It does not hold yet; this is the state seen, for the failure's message.
    Not(String),
}

impl Level<()> {
    /// Holds where `so` is true; `state` tells what was seen.
    pub fn when(so: bool, state: impl std::fmt::Debug) -> Self {
        if so {
            Self::Holds(())
        } else {
            Self::Not(format!("{state:?}"))
        }
    }
}

/// How often a condition is looked at: short beside every bound in use, long beside a look.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until the condition holds, and gives what it then gave.
///
/// The first look is at once. A look that is under way when the bound is reached is waited for,
/// so that a slow look never turns a condition that holds into a failure.
///
/// # Errors
///
/// [`WaitError::TimedOut`] with the last state seen; [`WaitError::Look`] when looking itself
/// failed, which ends the wait.
pub async fn wait_for<T, E>(
    what: impl std::fmt::Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Level<T>, E>,
) -> Result<T, WaitError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let deadline = Instant::now() + within;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(Level::Holds(value)) => return Ok(value),
            Ok(Level::Not(last)) if Instant::now() >= deadline => {
                return Err(WaitError::TimedOut {
                    what: what.to_string(),
                    within,
                    last,
                });
            }
            Ok(Level::Not(_)) => {}
            Err(source) => {
                return Err(WaitError::Look {
                    what: what.to_string(),
                    source: source.into(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_condition_that_holds_is_seen_at_once() {
        let held = wait_for("held", Duration::ZERO, async || {
            Ok::<_, Infallible>(Level::Holds(3))
        });
        assert_eq!(3, held.await.unwrap());
    }

    #[tokio::test]
    async fn a_failure_tells_the_last_state_seen() {
        let mut looks = 0;
        let error = wait_for("five", Duration::from_millis(50), async || {
            looks += 1;
            Ok::<_, Infallible>(Level::<()>::Not(format!("look {looks}")))
        })
        .await
        .unwrap_err();
        assert_eq!(
            format!("five: not so within 50ms; last seen: look {looks}"),
            error.to_string()
        );
    }

    #[tokio::test]
    async fn a_look_that_fails_ends_the_wait() {
        let error = wait_for("file", Duration::from_mins(1), async || {
            Err::<Level<()>, _>(std::io::Error::from(std::io::ErrorKind::NotFound))
        })
        .await
        .unwrap_err();
        assert_eq!("file: cannot be looked at", error.to_string());
    }
}
