//! What MCP clients are configured with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The `mcpServers` entry that starts a server: understood by Claude Desktop, Claude Code, Cursor,
/// Windsurf, Cline and others.
///
/// ```
/// use std::collections::BTreeMap;
/// let args = ["mcp", "--image", "debian:trixie"].map(str::to_owned);
/// let config = sandbox_mcp::config("talaria", "/usr/bin/talaria", &args, &BTreeMap::new());
/// assert_eq!(config["mcpServers"]["talaria"]["command"], "/usr/bin/talaria");
/// ```
#[must_use]
pub fn config(name: &str, program: &str, args: &[String], env: &BTreeMap<String, String>) -> Value {
    let mut entry = json!({ "command": program, "args": args });
    if !env.is_empty() {
        entry["env"] = json!(env);
    }
    json!({ "mcpServers": { name: entry } })
}
