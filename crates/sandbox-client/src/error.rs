//! What can go wrong between the host and an agent.

use std::sync::Arc;
use std::time::Duration;

use sandbox_agent::wire::{Failed, WireError};

/// Why a connection is over. All requests that were open on it end with this.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The other end closed the stream: the sandbox ended, or its agent did.
    #[error("the sandbox closed the connection")]
    Closed,
    /// The stream failed.
    #[error("the connection to the sandbox failed")]
    Io(#[source] Arc<std::io::Error>),
    /// The agent has stopped answering.
    #[error("the sandbox's agent has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came is not the protocol.
    #[error("the sandbox's agent broke the protocol")]
    Wire(#[from] WireError),
    /// More came than had been asked for.
    #[error("the sandbox's agent sent more than it was allowed to")]
    Flood,
    /// The agent ended the connection, and said why.
    #[error("the sandbox's agent ended the connection: {}", .0.message)]
    Refused(Failed),
}

/// Why there is no connection to an agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection ended before the agent had said who it is.
    #[error("no connection to the sandbox's agent")]
    Lost(#[source] Lost),
    /// The agent did not say who it is.
    #[error("the sandbox's agent has not said who it is within {} s", .0.as_secs())]
    Silent(Duration),
    /// It speaks another version of the protocol.
    #[error("the sandbox's agent speaks version {theirs} of the protocol, and this program {ours}")]
    Version {
        /// The agent's.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// The first frame was not who it is.
    #[error("the sandbox's agent did not begin with its greeting")]
    NoGreeting,
}

/// Why a request came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The agent refused it or could not do it.
    #[error("{}", .0.message)]
    Failed(Failed),
    /// The connection is over. Whether the request was carried out is not known.
    #[error("the connection was lost")]
    Lost(#[from] Lost),
    /// The agent did not end it within its time and what was added to it.
    #[error("the sandbox's agent has not ended the request within {} s", .0.as_secs())]
    Overdue(Duration),
    /// The agent answered with something that is no answer to this request.
    #[error("the sandbox's agent gave an answer to another question")]
    Unexpected,
    /// There are as many requests on the connection as there may be.
    #[error("too many requests are open on one connection")]
    TooMany,
    /// The request does not fit into a frame.
    #[error("the request takes {bytes} bytes, and may take {most}")]
    TooLong {
        /// What it takes.
        bytes: usize,
        /// What it may take.
        most: usize,
    },
}

impl CallError {
    /// Whether the connection is of no more use.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Overdue(_))
    }
}
