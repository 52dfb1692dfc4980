//! `write_file` and `edit_file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_engine::client::wire::Overwrite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::{Content, How, Place, content, path, place, put, sha256};
use crate::edit::replace_once;
use crate::failure::Failure;
use crate::link::Reached;
use crate::reply::{Answer, Reply, schema};
use crate::server::Server;

/// Of a new file.
const USUAL_MODE: u32 = 0o644;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteFile {
    /// The file; relative to the sandbox's working directory.
    path: String,
    /// The whole content.
    content: String,
    /// `text` (the default), or `base64` for content that is not text.
    #[serde(default)]
    encoding: Encoding,
    /// Replace a file that is there, if its SHA-256 is this one: the `sha256` of `read_file`.
    expected_sha256: Option<String>,
    /// Replace a file that is there, whatever is in it.
    #[serde(default)]
    overwrite: bool,
    /// Make the directories that are missing on the way.
    #[serde(default)]
    create_parents: bool,
    /// The permission bits, in octal such as "0755". What is replaced keeps its own, and a new file
    /// has 0644, if not given.
    mode: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Text,
    Base64,
}

/// A file that was written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Written {
    /// Where it is; of a link, what it points to.
    path: String,
    /// Whether it was not there before.
    created: bool,
    /// Its size, in bytes.
    size: u64,
    /// Its SHA-256 now.
    sha256: String,
    /// The line where the change begins, of an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct EditFile {
    /// The file; relative to the sandbox's working directory.
    path: String,
    /// The text to replace, exactly as it is in the file, blanks and line ends included. It has to
    /// be there exactly once.
    old_text: String,
    /// What takes its place; may be empty.
    new_text: String,
    /// Edit only if the file's SHA-256 is this one.
    expected_sha256: Option<String>,
}

#[tool_router(router = write_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "Write a whole file in the sandbox. Makes a new file; one that is there is \
            replaced only with expected_sha256 (the safe way: nobody changed it since it was read) \
            or overwrite. It is replaced in one step and keeps its permissions. For a small change \
            in a file use edit_file.",
        output_schema = schema::<Written>(),
        annotations(title = "Write a file", destructive_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn write_file(
        &self,
        Parameters(asked): Parameters<WriteFile>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Written> {
        let bytes = match asked.encoding {
            Encoding::Text => asked.content.into_bytes(),
            Encoding::Base64 => STANDARD.decode(asked.content.as_bytes()).map_err(|error| {
                Failure::arguments(
                    format!("content is no base64: {error}"),
                    "Give standard base64 with padding, without line breaks.",
                )
            })?,
        };
        let mode = asked.mode.as_deref().map(mode).transpose()?;
        let expected = asked.expected_sha256.as_deref().map(expected).transpose()?;
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let path = path(&reached, &asked.path)?;
        let writing = async {
            let _alone = self.shared.writing.lock().await;
            let replaced = match (&expected, asked.overwrite) {
                (None, false) => None,
                _ => there(&reached, &path).await?,
            };
            if let Some(expected) = &expected {
                same(&path, replaced.as_ref(), expected)?;
            }
            let how = How {
                overwrite: match replaced {
                    Some(_) => Overwrite::Replace,
                    None => Overwrite::Refuse,
                },
                mode: mode
                    .or(replaced.as_ref().map(|file| file.mode))
                    .unwrap_or(USUAL_MODE),
                parents: asked.create_parents,
            };
            let place = match replaced {
                Some(_) => place(&reached, &path).await?,
                None => Place::new(path.clone()),
            };
            put(&reached, &place, &bytes, how).await?;
            Ok((place.path, replaced.is_none()))
        };
        let done = call.wait("writing the file", writing).await;
        let (path, created) = done.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: Written {
                path,
                created,
                size: bytes.len() as u64,
                sha256: sha256(&bytes),
                line: None,
            },
            notice: reached.notice,
        })
    }

    #[tool(
        description = "Replace one text in a file of the sandbox by another. old_text has to be \
            exactly as in the file and there exactly once; give lines around it to make it so. The \
            file is replaced in one step and keeps its permissions.",
        output_schema = schema::<Written>(),
        annotations(title = "Edit a file", destructive_hint = true, idempotent_hint = false, open_world_hint = false)
    )]
    pub(crate) async fn edit_file(
        &self,
        Parameters(asked): Parameters<EditFile>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Written> {
        let expected = asked.expected_sha256.as_deref().map(expected).transpose()?;
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let path = path(&reached, &asked.path)?;
        let editing = async {
            let _alone = self.shared.writing.lock().await;
            let before = content(&reached, &path).await?;
            if let Some(expected) = &expected {
                same(&path, Some(&before), expected)?;
            }
            let text = String::from_utf8(before.bytes).map_err(|_| {
                Failure::new(
                    "not_text",
                    format!("{path} is not UTF-8 text"),
                    "Change it with a program in the sandbox, by run_command.",
                )
            })?;
            let edited = replace_once(&text, &asked.old_text, &asked.new_text);
            let edited = edited.map_err(|error| {
                Failure::new("no_edit", format!("{path}: {error}"), error.next())
            })?;
            let place = place(&reached, &path).await?;
            let how = How {
                overwrite: Overwrite::Replace,
                mode: before.mode,
                parents: false,
            };
            put(&reached, &place, edited.content.as_bytes(), how).await?;
            Ok((place.path, edited))
        };
        let done = call.wait("editing the file", editing).await;
        let (path, edited) = done.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: Written {
                path,
                created: false,
                size: edited.content.len() as u64,
                sha256: sha256(edited.content.as_bytes()),
                line: Some(edited.line),
            },
            notice: reached.notice,
        })
    }
}

/// What is there, if anything is.
async fn there(reached: &Reached, path: &str) -> Result<Option<Content>, Failure> {
    match content(reached, path).await {
        Ok(content) => Ok(Some(content)),
        Err(failure) if failure.kind() == "not_found" => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn same(path: &str, found: Option<&Content>, expected: &str) -> Result<(), Failure> {
    let Some(found) = found else {
        return Err(Failure::new(
            "not_found",
            format!("{path} is not there, and was expected with SHA-256 {expected}"),
            "Leave expected_sha256 out to make the file anew.",
        ));
    };
    if found.sha256 == expected {
        return Ok(());
    }
    Err(Failure::new(
        "changed",
        format!(
            "{path} has SHA-256 {} and not {expected}: somebody changed it",
            found.sha256
        ),
        "Nothing was written. Read it again with read_file, and make the change on what is there now.",
    ))
}

fn expected(text: &str) -> Result<String, Failure> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Failure::arguments(
        "expected_sha256 is not 64 hexadecimal digits",
        "Give the sha256 that read_file told.",
    ))
}

fn mode(text: &str) -> Result<u32, Failure> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| {
            Failure::arguments(
                format!("mode is {text:?}"),
                "Give permission bits in octal, 0000 to 0777.",
            )
        })
}
