//! `talaria sandbox cp`.

use std::io::{self, Write as _};
use std::path::Path;

use sandbox_core::text;
use sandbox_engine::copy::Bounds;
use serde_json::json;

use super::args::Cp;
use super::failure::{Failure, Result};
use super::print::to_json;
use super::{caller, connect, ls};
use crate::exit::Outcome;

/// `SANDBOX:PATH`; a path of this machine has a slash or dot before any colon.
fn remote(text: &str) -> Option<(&str, &str)> {
    let (sandbox, path) = text.split_once(':')?;
    let is_path = sandbox.is_empty() || sandbox.starts_with('.') || sandbox.contains('/');
    (!is_path).then_some((sandbox, path))
}

pub(super) async fn run(engine: Option<&str>, copy: &Cp) -> Result<Outcome> {
    let hint = "one of the two is SANDBOX:PATH, the other a path of this machine";
    let (from, to) = (remote(&copy.from), remote(&copy.to));
    let (name, path) = match (from, to) {
        (Some(one), None) | (None, Some(one)) => one,
        (Some(_), Some(_)) => {
            let why = "files are not copied from sandbox to sandbox";
            return Err(Failure::Usage { why, hint });
        }
        (None, None) => {
            let why = "neither of the two is in a sandbox";
            return Err(Failure::Usage { why, hint });
        }
    };
    if copy.from == "-" || copy.to == "-" {
        return Err(Failure::Usage {
            why: "cp copies files, and a - alone is a stream",
            hint: "talaria sandbox exec -i SANDBOX -- tar x, or exec SANDBOX -- tar c; the file is ./-",
        });
    }
    let engine = connect(engine).await?;
    let sandbox = ls::find(&engine, &caller::owner()?, name).await?;
    if from.is_none() {
        let at = sandbox.copy_in(Path::new(&copy.from), path).await?;
        if copy.json {
            to_json(&json!({"sandbox": sandbox.name(), "path": at}))?;
        }
        return Ok(Outcome::Done);
    }
    let bounds = Bounds {
        bytes: copy.max_bytes,
        ..Bounds::default()
    };
    let done = sandbox.copy_out(path, Path::new(&copy.to), bounds).await?;
    let skipped = &done.unpacked.skipped;
    if copy.json {
        let skipped: Vec<_> = skipped
            .iter()
            .map(|one| json!({"path": one.path, "what": one.what}))
            .collect();
        to_json(&json!({
            "sandbox": sandbox.name(),
            "path": done.path.to_string_lossy(),
            "files": done.unpacked.files,
            "bytes": done.unpacked.bytes,
            "skipped": skipped,
        }))?;
    } else {
        let mut out = io::stderr().lock();
        for one in skipped {
            let path = text::line(one.path.as_bytes());
            writeln!(out, "talaria: left out {path}: it is {}", one.what)?;
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::remote;

    #[rstest]
    #[case("build:/x", Some(("build", "/x")))]
    #[case("./a:b", None)]
    #[case("/a:b", None)]
    #[case("a/b:c", None)]
    #[case("plain", None)]
    #[case(":x", None)]
    fn a_colon_after_a_name_is_a_sandbox(
        #[case] text: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        assert_eq!(remote(text), expected);
    }
}
