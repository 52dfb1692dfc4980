//! `list_directory`.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, schemars, tool, tool_router};
use sandbox_core::text;
use sandbox_engine::client::wire::RunSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::path;
use crate::failure::Failure;
use crate::reply::{Answer, Reply, schema};
use crate::server::Server;

/// How many entries are told where nothing is said, and at most.
const USUAL: u32 = 200;
const MOST: u32 = 1000;
/// How long it may take, in milliseconds.
const TIME_MS: u64 = 30_000;
/// How much a listing can take: names have 255 bytes at most.
const LONGEST: usize = MOST as usize * 400;

/// Names come from globs, what they are from `stat`, of GNU's or a smaller one that cannot write NUL.
const LIST: &str = r#"
cd -- "$1" || exit 90
[ -r . ] || { echo 'permission denied' >&2; exit 90; }
most=$2 n=0
set --
for f in .[!.]* ..?* *; do
  [ -e "$f" ] || [ -L "$f" ] || continue
  n=$((n+1))
  [ "$n" -gt "$most" ] || set -- "$@" "./$f"
done
printf '%s\0' "$n"
[ "$#" -gt 0 ] || exit 0
if stat --printf '' . 2>/dev/null
then stat --printf '%f %s %Y %n\0' -- "$@" 2>/dev/null
else stat -c '%f %s %Y %n' "$@" 2>/dev/null
fi
exit 0
"#;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDirectory {
    /// The directory; the sandbox's working directory if not given.
    path: Option<String>,
    /// How many entries to give at most: 200 if not given, 1000 at most.
    #[schemars(range(min = 1, max = 1000))]
    max_entries: Option<u32>,
}

/// A directory.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(crate) struct Listing {
    path: String,
    /// How many entries it has in all.
    total: u64,
    /// Its entries, hidden ones too, by name.
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Entry {
    name: String,
    /// `file`, `directory`, `link`, `fifo`, `socket`, `device`.
    kind: &'static str,
    /// In bytes.
    size: u64,
    /// The permission bits, in octal.
    mode: String,
    /// When it was last changed, in seconds since 1970.
    modified: i64,
}

#[tool_router(router = directory_tools, vis = "pub(crate)")]
impl Server {
    #[tool(
        description = "List a directory of the sandbox: name, kind, size, permissions and time of \
            each entry, hidden ones too, without going deeper. For trees and searches use \
            run_command with find or grep.",
        output_schema = schema::<Listing>(),
        annotations(title = "List a directory", read_only_hint = true, open_world_hint = false)
    )]
    pub(crate) async fn list_directory(
        &self,
        Parameters(asked): Parameters<ListDirectory>,
        context: RequestContext<RoleServer>,
    ) -> Answer<Listing> {
        let most = asked.max_entries.unwrap_or(USUAL);
        if !(1..=MOST).contains(&most) {
            return Err(Failure::arguments(
                format!("max_entries is {most}"),
                format!("Give 1 to {MOST}."),
            ));
        }
        let mut call = self.call(context);
        let reached = self.reach(&mut call).await?;
        let path = path(&reached, asked.path.as_deref().unwrap_or("."))?;
        let listing = async {
            let most = most.to_string();
            let mut spec = RunSpec::argv(["sh", "-c", LIST, "sh", &path, &most]);
            spec.timeout_ms = TIME_MS;
            let failed = |error| Failure::call(&format!("list {path}"), &error);
            let running = reached.client.run(&spec).map_err(failed)?;
            let done = running.collect(LONGEST).await.map_err(failed)?;
            if done.ended.timed_out || done.ended.end.code() != 0 {
                let why = text::line(done.stderr.trim_ascii());
                return Err(Failure::new(
                    "cannot_list",
                    format!("cannot list {path}: {why}"),
                    "Is it a directory, and may the sandbox's user read it? List its parent.",
                ));
            }
            parse(&done.stdout).ok_or_else(|| {
                Failure::new(
                    "cannot_list",
                    format!("cannot list {path}: what came cannot be understood"),
                    "Use run_command with ls.",
                )
            })
        };
        let done = call.wait("listing the directory", listing).await;
        let (total, entries) = done.map_err(|error| error.noticing(reached.notice.clone()))?;
        Ok(Reply {
            result: Listing {
                path,
                total,
                entries,
            },
            notice: reached.notice,
        })
    }
}

/// Reads what the script wrote.
fn parse(said: &[u8]) -> Option<(u64, Vec<Entry>)> {
    let mut parts = said.splitn(2, |byte| *byte == 0);
    let total = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let rest = parts.next()?;
    let separator = if rest.contains(&0) { 0 } else { b'\n' };
    let mut entries: Vec<Entry> = Vec::new();
    for line in rest.split(|byte| *byte == separator) {
        match entry(line) {
            Some(entry) => entries.push(entry),
            // Without NUL a line feed in a name cannot be told from the next entry's.
            None if line.is_empty() => {}
            None => {
                let name = &mut entries.last_mut()?.name;
                name.push('\n');
                name.push_str(&String::from_utf8_lossy(line));
            }
        }
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Some((total, entries))
}

fn entry(line: &[u8]) -> Option<Entry> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let mode = u32::from_str_radix(word()?, 16).ok()?;
    let size = word()?.parse().ok()?;
    let modified = word()?.parse().ok()?;
    let name = words.next()?.strip_prefix(b"./")?;
    Some(Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        kind: match mode & 0o170_000 {
            0o040_000 => "directory",
            0o120_000 => "link",
            0o010_000 => "fifo",
            0o140_000 => "socket",
            0o020_000 | 0o060_000 => "device",
            _ => "file",
        },
        size,
        mode: format!("{:04o}", mode & 0o7777),
        modified,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(said: &[u8]) -> Option<(u64, Vec<(String, &'static str)>)> {
        let (total, entries) = parse(said)?;
        let names = entries.into_iter().map(|entry| (entry.name, entry.kind));
        Some((total, names.collect()))
    }

    #[test]
    fn names_of_any_kind_are_told_apart_by_nul() {
        let said = b"3\x0041ed 4096 5 ./b b\x0081a4 2 5 ./a\nb\x00a1ff 1 -5 ./c\x00";
        let expected = [("a\nb", "file"), ("b b", "directory"), ("c", "link")];
        let expected = expected.map(|(name, kind)| (name.to_owned(), kind));
        assert_eq!(names(said), Some((3, expected.to_vec())));
    }

    #[test]
    fn lines_will_do() {
        let said = b"900\x0041ed 4096 5 ./a\n81a4 2 5 ./b\nrest\n";
        let expected = [("a", "directory"), ("b\nrest", "file")];
        let expected = expected.map(|(name, kind)| (name.to_owned(), kind));
        assert_eq!(names(said), Some((900, expected.to_vec())));
    }

    #[test]
    fn an_empty_directory_is_one_and_nonsense_is_none() {
        assert_eq!(names(b"0\x00"), Some((0, Vec::new())));
        assert_eq!(names(b""), None);
        assert_eq!(names(b"x\x00"), None);
        assert_eq!(names(b"1\x00nonsense"), None);
    }
}
