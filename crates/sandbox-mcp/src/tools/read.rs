//! `read_file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_engine::client::wire::Entry;
use sandbox_engine::client::{Received, Receiving};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file::{WHOLE, hex, open, path};
use crate::failure::Failure;
use crate::output::is_zero;
use crate::reply::{Answer, Reply, schema};
use crate::server::Server;
use crate::text;
use crate::window::{Range, Window};

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFile {
    /// The file; relative to the sandbox's working directory.
    path: String,
    /// The first line to read, from 1. Not together with offset.
    #[schemars(range(min = 1))]
    start_line: Option<u64>,
    /// How many lines to read at most.
    #[schemars(range(min = 1))]
    max_lines: Option<u64>,
    /// The first byte to read, from 0. Not together with `start_line`.
    offset: Option<u64>,
    /// How many bytes to read at most.
    #[schemars(range(min = 1))]
    length: Option<u64>,
    /// `auto` (the default) gives text, or base64 where the bytes are not UTF-8 text.
    encoding: Option<Encoding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Auto,
    Text,
    Base64,
}

/// A part of a file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Read {
    path: String,
    /// `text` or `base64`.
    encoding: &'static str,
    /// The part that was read.
    content: String,
    /// Where the part begins in the file, in bytes.
    offset: u64,
    /// How many bytes the part has.
    bytes: u64,
    /// The size of the whole file, in bytes.
    size: u64,
    /// What to give as offset for what follows; missing where the part ends the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
    /// What to give as `start_line` for what follows, where lines were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_line: Option<u64>,
    /// How many lines the whole file has, where it was read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_lines: Option<u64>,
    /// The SHA-256 of the whole file, for `expected_sha256` of `write_file` and `edit_file`; missing
    /// for very large files.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The permission bits, in octal.
    mode: String,
    /// How many byte sequences were not UTF-8 and stand in the text as U+FFFD.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(default)]
    invalid_utf8: u64,
}

impl ReadFile {
    fn range(&self) -> Result<Range, Failure> {
        let lines = self.start_line.is_some() || self.max_lines.is_some();
        let bytes = self.offset.is_some() || self.length.is_some();
        if lines && bytes {
            return Err(Failure::arguments(
                "both lines and bytes were asked for",
                "Give start_line and max_lines, or offset and length.",
            ));
        }
        if [self.start_line, self.max_lines, self.length].contains(&Some(0)) {
            return Err(Failure::arguments(
                "start_line, max_lines and length cannot be 0",
                "Lines count from 1; leave out what is not to be bounded.",
            ));
        }
        Ok(if bytes {
            Range::Bytes {
                offset: self.offset.unwrap_or(0),
                length: self.length.unwrap_or(u64::MAX),
            }
        } else {
            Range::Lines {
                first: self.start_line.unwrap_or(1),
                count: self.max_lines.unwrap_or(u64::MAX),
            }
        })
    }
}

#[tool_router(router = read_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Read a file of the sandbox, or a part of it by lines (start_line, max_lines) \
            or bytes (offset, length). What does not fit into one result ends at a line; next_line \
            and next_offset say where to go on. Binary content comes as base64. The sha256 is what \
            write_file and edit_file take as expected_sha256.",
        output_schema = schema::<Read>(),
        annotations(title = "Read a file", read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn read_file(
        &self,
        Parameters(asked): Parameters<ReadFile>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Read> {
        let range = asked.range()?;
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let path = path(&reached, &asked.path)?;
        let most = self.shared.limits.max_output;
        let reading = async {
            let (receiving, entry) = open(&reached, &path).await?;
            let seen = see(receiving, &entry, Window::new(range, most)).await?;
            Ok((entry, seen))
        };
        let done = call.wait("reading the file", reading).await;
        let (entry, seen) = done.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: read(
                path,
                &entry,
                seen,
                range,
                asked.encoding.unwrap_or_default(),
                most,
            ),
            notice: reached.notice,
        })
    }
}

/// What was seen of a file.
struct Seen {
    window: Window,
    /// Of the whole of it, where it was read to its end.
    sha256: Option<String>,
    ends_with_feed: bool,
}

/// Reads until the window is full, and a file that is not too large to its end, for its hash.
async fn see(mut receiving: Receiving, entry: &Entry, mut window: Window) -> Result<Seen, Failure> {
    let mut sum = Sha256::new();
    let mut last = b'\n';
    let whole = loop {
        if window.is_full() && entry.size > WHOLE {
            break false;
        }
        match receiving.next().await {
            Ok(Some(Received::Content(bytes))) => {
                sum.update(&bytes);
                window.push(&bytes);
                last = bytes.last().copied().unwrap_or(last);
            }
            Ok(Some(Received::Entry(_))) => {}
            Ok(None) => break true,
            Err(error) => return Err(Failure::call("read the file", &error)),
        }
    };
    Ok(Seen {
        window,
        sha256: whole.then(|| hex(&sum.finalize())),
        ends_with_feed: last == b'\n',
    })
}

fn read(
    path: String,
    entry: &Entry,
    seen: Seen,
    range: Range,
    encoding: Encoding,
    most: usize,
) -> Read {
    let feeds = seen.window.lines();
    let total_lines = seen
        .sha256
        .is_some()
        .then(|| feeds + u64::from(!seen.ends_with_feed));
    let mut part = seen.window.finish();
    let binary = match encoding {
        Encoding::Auto => part.is_binary(),
        Encoding::Text => false,
        Encoding::Base64 => true,
    };
    let first = match range {
        Range::Lines { first, .. } if !binary => Some(first),
        _ => None,
    };
    if binary {
        // Four characters for three bytes: the result is no longer than that of a text.
        part.bytes.truncate((most / 4 * 3).max(3));
    } else {
        part.end_well(entry.size, first.is_some());
    }
    let (content, invalid_utf8) = if binary {
        (STANDARD.encode(&part.bytes), 0)
    } else {
        text::lossy(&part.bytes)
    };
    let ends = text::feeds(&part.bytes);
    let more = part.next() < entry.size;
    Read {
        path,
        encoding: if binary { "base64" } else { "text" },
        content,
        offset: part.offset,
        bytes: part.bytes.len() as u64,
        size: entry.size,
        next_offset: more.then(|| part.next()),
        // A line that is longer than a result goes on by bytes alone.
        next_line: first
            .filter(|_| more && part.bytes.ends_with(b"\n"))
            .map(|first| first + ends),
        total_lines: total_lines.filter(|_| !binary),
        sha256: seen.sha256,
        mode: format!("{:04o}", entry.mode),
        invalid_utf8,
    }
}
