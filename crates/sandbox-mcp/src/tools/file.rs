//! Files of the sandbox, as the tools for them see them.

use std::fmt::Write as _;

use sandbox_engine::client::wire::{Entry, EntryKind, Get, Overwrite, Put, RunSpec};
use sandbox_engine::client::{CallError, Received, Receiving};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::link::Reached;

/// The longest file that is taken as a whole: edited, compared, hashed. In bytes.
pub(super) const WHOLE: u64 = 16 << 20;

/// A path as the agent takes it: below the sandbox's working directory where it is relative.
pub(super) fn path(reached: &Reached, asked: &str) -> Result<String, Failure> {
    if asked.is_empty() || asked.contains('\0') {
        return Err(Failure::arguments(
            "the path is empty or holds NUL",
            "Give an absolute path, or one relative to the sandbox's working directory.",
        ));
    }
    Ok(if asked.starts_with('/') {
        asked.to_owned()
    } else {
        format!("{}/{asked}", reached.cwd.trim_end_matches('/'))
    })
}

pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Begins to read a file.
pub(super) async fn open(reached: &Reached, path: &str) -> Result<(Receiving, Entry), Failure> {
    let failed = |error: &CallError| Failure::call("read the file", error);
    let get = Get {
        path: path.into(),
        user: None,
    };
    let mut receiving = reached.client.get(&get).map_err(|error| failed(&error))?;
    match receiving.next().await.map_err(|error| failed(&error))? {
        Some(Received::Entry(entry)) if entry.kind == EntryKind::File => Ok((receiving, entry)),
        Some(Received::Entry(_)) => Err(Failure::new(
            "is_directory",
            format!("{path} is a directory"),
            "Use list_directory to see what is in it.",
        )),
        _ => Err(failed(&CallError::Unexpected)),
    }
}

/// A file's content as it is.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
    pub(super) sha256: String,
}

/// Reads a file as a whole.
pub(super) async fn content(reached: &Reached, path: &str) -> Result<Content, Failure> {
    let (mut receiving, entry) = open(reached, path).await?;
    if entry.size > WHOLE {
        return Err(Failure::new(
            "too_large",
            format!("{path} has {} bytes; {WHOLE} are the most here", entry.size),
            "Change it with a program in the sandbox, by run_command.",
        ));
    }
    let mut bytes = Vec::new();
    loop {
        match receiving.next().await {
            Ok(Some(Received::Content(more))) => bytes.extend(more),
            Ok(Some(Received::Entry(_))) => {}
            Ok(None) => break,
            Err(error) => return Err(Failure::call("read the file", &error)),
        }
    }
    Ok(Content {
        sha256: sha256(&bytes),
        mode: entry.mode,
        bytes,
    })
}

/// Where a file really is, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    /// `UID:GID`, where the image can tell.
    owner: Option<String>,
}

const FIND: &str = r#"p=$(readlink -f "$1") && stat -c %u:%g "$p" && printf %s "$p""#;
/// How long the little commands beside a file may take, in milliseconds.
const SOON_MS: u64 = 10_000;

/// Follows links, so that the file and not a link to it is replaced. An image without the programs
/// for it has the path as it was given.
pub(super) async fn place(reached: &Reached, path: &str) -> Result<Place, Failure> {
    let mut spec = RunSpec::argv(["sh", "-c", FIND, "sh", path]);
    spec.timeout_ms = SOON_MS;
    let found = match reached.client.run(&spec) {
        Ok(running) => running.collect(16 << 10).await,
        Err(error) => Err(error),
    };
    let given = Place {
        path: path.to_owned(),
        owner: None,
    };
    match found {
        Ok(found) => {
            let said = String::from_utf8(found.stdout).ok();
            let said = said.as_deref().and_then(|said| said.split_once('\n'));
            Ok(match said {
                Some((owner, path)) if path.starts_with('/') && is_owner(owner) => Place {
                    path: path.to_owned(),
                    owner: Some(owner.to_owned()),
                },
                _ => given,
            })
        }
        Err(error) if error.is_lost() => Err(Failure::call(&format!("find {path}"), &error)),
        Err(_) => Ok(given),
    }
}

fn is_owner(text: &str) -> bool {
    let is_id = |id: &str| id.parse::<u32>().is_ok();
    text.split_once(':')
        .is_some_and(|(uid, gid)| is_id(uid) && is_id(gid))
}

/// Whether a put may take the place of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct How {
    pub(super) overwrite: Overwrite,
    pub(super) mode: u32,
    pub(super) parents: bool,
}

/// Writes a file in one step: it is there whole, or as before.
pub(super) async fn put(
    reached: &Reached,
    place: &Place,
    bytes: &[u8],
    how: How,
) -> Result<(), Failure> {
    let failed = |error: CallError| Failure::call("write the file", &error);
    let put = Put {
        path: place.path.as_str().into(),
        user: None,
        overwrite: how.overwrite,
        parents: how.parents,
    };
    let mut sending = reached.client.put(&put).map_err(failed)?;
    let entry = Entry {
        path: "".into(),
        kind: EntryKind::File,
        mode: how.mode,
        size: bytes.len() as u64,
        target: "".into(),
    };
    sending.entry(&entry).await.map_err(failed)?;
    sending.content(bytes).await.map_err(failed)?;
    sending.finish().await.map_err(failed)?;
    give_back(reached, place).await
}

/// What was another's stays that one's, where the sandbox's user may give files away.
async fn give_back(reached: &Reached, place: &Place) -> Result<(), Failure> {
    let Some(owner) = &place.owner else {
        return Ok(());
    };
    let own = reached.client.agent().uid.to_string();
    if owner.split_once(':').is_some_and(|(uid, _)| uid == own) {
        return Ok(());
    }
    let mut spec = RunSpec::argv(["chown", "-h", owner, &place.path]);
    spec.timeout_ms = SOON_MS;
    let done = match reached.client.run(&spec) {
        Ok(running) => running.collect(1 << 10).await,
        Err(error) => Err(error),
    };
    let why = match done {
        Ok(done) if done.ended.end.code() == 0 => return Ok(()),
        Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(
        "owner",
        format!(
            "{} was written, but could not be given back to its owner {owner}: {}",
            place.path,
            sandbox_core::text::line(why.as_bytes())
        ),
        "The content is as asked. Change the owner with run_command if it matters.",
    ))
}

impl Place {
    /// A file that is not there yet.
    pub(super) fn new(path: String) -> Self {
        Self { path, owner: None }
    }
}
