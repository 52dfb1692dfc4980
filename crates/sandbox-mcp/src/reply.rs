//! The results of tools.

use rmcp::handler::server::tool::{IntoCallToolResult, schema_for_output};
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, JsonObject};
use rmcp::{ErrorData, schemars};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

use crate::failure::Failure;
use crate::text;

/// What a tool gives back.
pub(crate) type Answer<T> = Result<Reply<T>, Failure>;

/// A result, and what its reader has to know beside it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Reply<T> {
    #[serde(flatten)]
    pub(crate) result: T,
    /// Something that happened to the sandbox beside the call, such as that its state was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notice: Option<String>,
}

impl<T: Serialize> IntoCallToolResult for Reply<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let value = serde_json::to_value(&self).map_err(|error| {
            ErrorData::internal_error(format!("a result cannot be written as JSON: {error}"), None)
        })?;
        let shown = text::escape_json(&value.to_string());
        let mut result = CallToolResult::structured(value);
        result.content = vec![ContentBlock::text(shown)];
        Ok(result.into())
    }
}

/// The schema of a tool's result.
pub(crate) fn schema<T: JsonSchema + 'static>() -> Arc<JsonObject> {
    schema_for_output::<Reply<T>>()
}
