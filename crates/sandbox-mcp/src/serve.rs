//! A server on standard input and output.

use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio_pipes;
use thiserror::Error;

use crate::server::Server;

/// How long closing what is left may take.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a server could not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The client did not begin as the protocol says.
    #[error("the client did not begin the conversation as the Model Context Protocol says")]
    Beginning(#[source] Box<ServerInitializeError>),
    /// The task that serves broke down.
    #[error("the server broke down")]
    Broken(#[source] tokio::task::JoinError),
}

/// Serves until the client closes standard input, or `stop` completes. Commands that run then are
/// killed; jobs go on. The sandbox is left to its lease.
///
/// Standard output carries the protocol and nothing else.
///
/// # Errors
///
/// [`ServeError`]
pub async fn serve(server: Server, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let mut stop = std::pin::pin!(stop);
    let beginning = tokio::select! {
        begun = server.clone().serve(stdio_pipes()) => begun,
        () = &mut stop => return Ok(()),
    };
    let running = match beginning {
        Ok(running) => running,
        // It has gone before it said anything: there was nothing to do.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ServeError::Beginning(Box::new(error))),
    };
    let stopping = server.stopping().clone();
    let token = running.cancellation_token();
    let ended = {
        let waiting = running.waiting();
        let mut waiting = std::pin::pin!(waiting);
        tokio::select! {
            ended = &mut waiting => ended,
            () = &mut stop => {
                stopping.cancel();
                token.cancel();
                waiting.await
            }
        }
    };
    stopping.cancel();
    tokio::time::timeout(CLOSING, server.close_sessions())
        .await
        .ok();
    ended.map(drop).map_err(ServeError::Broken)
}
