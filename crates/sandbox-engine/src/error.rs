//! What a request to an engine can end in, and whether asking again can help.

use std::time::Duration;

use bollard::errors::Error as Client;
use tokio::time::{sleep, timeout};

/// Whether the same call can succeed when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// At once: what stood in the way has passed, or passes by itself.
    Yes,
    /// Not before this long.
    After(Duration),
    /// Not before somebody changes something.
    No,
}

/// What became of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The engine answered with an error.
    #[error("the engine answers: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The engine's words; they can hold text from a sandbox.
        message: String,
    },
    /// The engine did not answer in time.
    #[error("the engine has not answered within {} s", within.as_secs())]
    Silent {
        /// How long was waited.
        within: Duration,
    },
    /// No connection, or one that broke.
    #[error("the connection to the engine failed")]
    Connection {
        /// What the client met.
        source: Client,
    },
    /// The engine's answer is not one of an engine.
    #[error("the engine's answer cannot be understood")]
    Garbled {
        /// What the client met.
        source: Client,
    },
    /// The engine's answer lacks something that it always has.
    #[error("the engine's answer has no {field}")]
    Incomplete {
        /// The missing part.
        field: &'static str,
    },
}

/// How long the client waits for an answer before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

impl From<Client> for Fault {
    fn from(error: Client) -> Self {
        match error {
            Client::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                status: status_code,
                message: message.trim().to_owned(),
            },
            // The engine's own words in the middle of a stream that had begun well.
            Client::DockerStreamError { error } => Self::Refused {
                status: 200,
                message: error.trim().to_owned(),
            },
            Client::RequestTimeoutError => Self::Silent { within: PATIENCE },
            source @ (Client::JsonDataError { .. }
            | Client::JsonSerdeError { .. }
            | Client::StrParseError { .. }
            | Client::APIVersionParseError {}
            | Client::HttpHeaderNotFoundError(_)
            | Client::HttpHeaderToStrError { .. }) => Self::Garbled { source },
            source if is_no_http(&source) => Self::Garbled { source },
            source => Self::Connection { source },
        }
    }
}

/// Whether what answered did not speak HTTP.
fn is_no_http(error: &Client) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        // The client's own error type for this is not re-exported; its text is fixed.
        if error.to_string().starts_with("invalid HTTP") {
            return true;
        }
        next = error.source();
    }
    false
}

impl Fault {
    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused { status: 409, .. } | Self::Connection { .. } => Retry::Yes,
            Self::Refused {
                status: 500..=599, ..
            }
            | Self::Silent { .. } => Retry::After(Duration::from_secs(5)),
            Self::Refused { .. } | Self::Garbled { .. } | Self::Incomplete { .. } => Retry::No,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Refused { status: 403, .. } => {
                    "the engine, or what guards it, does not allow this to you"
                }
                Self::Refused { message, .. } if message.contains("no space left") => {
                    "the engine's disk is full: docker system df shows what takes it"
                }
                Self::Refused {
                    status: 500..=599, ..
                } => "the engine's own log says more: journalctl -u docker",
                Self::Refused { .. } => return None,
                Self::Silent { .. } => "it may be overloaded: talaria sandbox doctor asks it again",
                Self::Connection { .. } => {
                    "it may have been restarted: talaria sandbox doctor tells whether it answers"
                }
                Self::Garbled { .. } | Self::Incomplete { .. } => {
                    "is that a Docker or Podman engine? talaria sandbox doctor shows what is asked"
                }
            }
            .to_owned(),
        )
    }

    /// Whether the engine says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404) || self.is_vanished()
    }

    /// Whether a container went while Podman looked at it: one that was asked about, or another that
    /// it passed on its way.
    fn is_vanished(&self) -> bool {
        let Self::Refused { status, message } = self else {
            return false;
        };
        *status == 500 && message.contains("no such container")
    }

    /// Whether Podman showed a container between its end and the look at how it ended: it calls that
    /// `stopped`, which no Docker does and the client does not know.
    fn is_of_a_moment(&self) -> bool {
        match self {
            Self::Garbled {
                source: Client::JsonDataError { message, .. },
            } => message.contains("unknown variant `stopped`"),
            _ => false,
        }
    }

    /// Whether a container ended by itself while Podman was about to end it.
    fn is_overtaken(&self) -> bool {
        let Self::Refused { status, message } = self else {
            return false;
        };
        *status == 500 && message.contains("it could not be stopped")
    }

    /// Whether the engine says that something else is in the way.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Refused { status: 409, .. } => true,
            // Podman's answer to the loser of a race for a name.
            Self::Refused {
                status: 500,
                message,
            } => message.contains("container name") && message.contains("is already in use"),
            _ => false,
        }
    }
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct RequestError {
    /// The request in words, for example `list containers`.
    pub doing: String,
    /// What became of it.
    #[source]
    pub fault: Box<Fault>,
}

impl RequestError {
    pub(crate) fn new(doing: impl Into<String>, fault: Fault) -> Self {
        Self {
            doing: doing.into(),
            fault: Box::new(fault),
        }
    }

    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.fault.retry()
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.fault.hint()
    }
}

/// Says what was being done when a request failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, RequestError>;
}

/// How long the engine may take to tell what is there. What it does takes as long as it takes.
const ANSWER: Duration = Duration::from_secs(30);

/// Waits for the end of an answer to a question; the client itself waits for its beginning alone.
///
/// A question during which a container vanished is asked again: it may not have been about that one.
/// So is one that met a container at its very end.
pub(crate) async fn ask<T, F>(question: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Client>>,
{
    let passes = |fault: &Fault| fault.is_vanished() || fault.is_of_a_moment();
    within(ANSWER, again(question, passes)).await
}

/// The same for what the engine is told to do, and may be told twice: to remove something.
pub(crate) async fn insist<T, F>(request: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Client>>,
{
    within(PATIENCE, again(request, Fault::is_overtaken)).await
}

/// How often a request is made again before its failure is believed, and how long after for the
/// first time; twice that for the second, and so on. That is five seconds together.
const TRIES: (u32, Duration) = (9, Duration::from_millis(10));

async fn again<T, F>(request: impl Fn() -> F, passes: fn(&Fault) -> bool) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Client>>,
{
    let (mut left, mut pause) = TRIES;
    loop {
        match request().await.map_err(Fault::from) {
            Err(fault) if left > 0 && passes(&fault) => left -= 1,
            answered => return answered,
        }
        sleep(pause).await;
        pause *= 2;
    }
}

/// The same for what the engine is told to do.
pub(crate) async fn tell<T>(request: impl Future<Output = Result<T, Client>>) -> Result<T, Fault> {
    within(PATIENCE, request).await
}

async fn within<T, E: Into<Fault>>(
    within: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(within, request).await {
        Ok(answered) => answered.map_err(Into::into),
        Err(_) => Err(Fault::Silent { within }),
    }
}

impl<T, E: Into<Fault>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, RequestError> {
        self.map_err(|error| RequestError::new(what(), error.into()))
    }
}

/// What is gone already counts as removed, and what another one is removing counts as well.
pub(crate) fn gone_is_done(result: Result<(), RequestError>) -> Result<bool, RequestError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.fault.is_not_found() || error.fault.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// As Podman 4.3.1 answers.
    fn answer(status_code: u16, message: &str) -> Client {
        let message = message.to_owned();
        Client::DockerResponseServerError {
            status_code,
            message,
        }
    }

    const VANISHED: &str = "container 3523 does not exist in database: no such container";
    const OVERTAKEN: &str = "cannot remove container 3523 as it could not be stopped: sending \
        SIGKILL to container 3523: container state improper: stopped";

    #[tokio::test]
    async fn a_question_is_asked_again_where_some_container_vanished_meanwhile() {
        let asked = &Cell::new(0);
        let answered = ask(|| async move {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Err(answer(500, VANISHED)),
                2 => Err(Client::JsonDataError {
                    message: "unknown variant `stopped`, expected one of ``, `created`".to_owned(),
                    column: 1441,
                }),
                _ => Ok("here"),
            }
        });
        assert!(matches!(answered.await, Ok("here")));
        let removed = insist(|| async move {
            asked.set(asked.get() + 1);
            match asked.get() {
                4 => Err(answer(500, OVERTAKEN)),
                _ => Err::<(), _>(answer(404, "no such container")),
            }
        });
        assert!(removed.await.is_err_and(|fault| fault.is_not_found()));
        assert_eq!(asked.get(), 5);
    }

    #[tokio::test]
    async fn what_fails_for_another_reason_or_for_ever_is_believed() {
        for (message, times) in [("the disk is full", 1), (VANISHED, 10)] {
            let asked = &Cell::new(0);
            let answered = ask(|| async move {
                asked.set(asked.get() + 1);
                Err::<(), _>(answer(500, message))
            });
            assert_eq!(answered.await.unwrap_err().status(), Some(500));
            assert_eq!(asked.get(), times);
        }
    }
}
