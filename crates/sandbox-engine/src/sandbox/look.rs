//! Containers, one by one: what the engine says of them, and their end.

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptionsBuilder};
use sandbox_core::inspect::Inspected;

use crate::connect::Engine;
use crate::error::{Doing as _, Fault, RequestError, ask, gone_is_done, insist};

impl Engine {
    pub(crate) async fn look(&self, id: &str) -> Result<ContainerInspectResponse, RequestError> {
        let none = None::<InspectContainerOptions>;
        let found = ask(|| self.docker.inspect_container(id, none.clone())).await;
        found.doing(|| format!("inspect container {id}"))
    }

    /// Whether there is a container, a sandbox or not, with that name or id.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn has_container(&self, name: &str) -> Result<bool, RequestError> {
        match self.look(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.fault.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it was there.
    pub(crate) async fn remove(&self, id: &str, name: &str) -> Result<bool, RequestError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = insist(|| self.docker.remove_container(id, Some(options.clone()))).await;
        gone_is_done(removed.doing(|| format!("remove sandbox {name}")))
    }
}

/// The parts of an answer that decisions are made from.
pub(crate) fn inspected(found: &ContainerInspectResponse) -> Result<Inspected, RequestError> {
    let value = serde_json::to_value(found).and_then(serde_json::from_value);
    value.map_err(|error| {
        let source = bollard::errors::Error::JsonSerdeError { err: error };
        RequestError::new("inspect a container", Fault::Garbled { source })
    })
}
