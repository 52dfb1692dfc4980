//! What happens to sandboxes, as it happens.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};
use sandbox_core::labels;

use crate::connect::Engine;
use crate::error::{Doing as _, RequestError};

/// Something that happened to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The container's id.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// The task on its label.
    pub task: String,
    /// What: `create`, `start`, `die`, `oom`, `destroy`, and more that the engine tells.
    pub action: String,
    /// When, in nanoseconds since 1970.
    pub time: Option<i64>,
}

impl Engine {
    /// The events of all sandboxes from now on. The stream ends with an error when the connection
    /// does: what happened before the next one is asked for is not told.
    pub fn events(&self) -> impl Stream<Item = Result<Event, RequestError>> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            (
                "label",
                vec![format!("{}={}", labels::SANDBOX, labels::VERSION)],
            ),
        ]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        self.docker.events(Some(options)).map(|event| {
            let event = event.doing(|| "follow the engine's events".to_owned())?;
            let actor = event.actor.unwrap_or_default();
            let mut attributes = actor.attributes.unwrap_or_default();
            let mut take = |key: &str| attributes.remove(key).unwrap_or_default();
            Ok(Event {
                name: take("name"),
                task: take(labels::TASK),
                id: actor.id.unwrap_or_default(),
                action: event.action.unwrap_or_default(),
                time: event.time_nano,
            })
        })
    }
}
