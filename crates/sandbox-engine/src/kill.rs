//! Killing what a command started, through the exec API.
//!
//! The API has no way to signal what it has started. Every process of a command inherits the
//! variable that marks it, so a second exec, as the same user, looks for the mark and kills. That
//! does not find a process that has dropped its environment, and needs a shell and grep in the
//! image: what is not known is said.

use std::fmt::Write as _;
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::connect::Engine;
use crate::exec::MARK;

/// Kills in rounds until a round finds nothing, at most so often; prints how many it has killed
/// and how many are left.
const SCRIPT: &str = r#"
command -v grep >/dev/null || exit 1
killed=" " rounds=0 left=0
while [ $rounds -lt 20 ]; do
  found=
  for file in $(grep -lsF "$1" /proc/[0-9]*/environ 2>/dev/null); do
    pid=${file#/proc/}; pid=${pid%/environ}
    read -r line 2>/dev/null < "/proc/$pid/stat" || continue
    case ${line##*) } in Z*|X*) continue ;; esac
    found="$found $pid"
    case $killed in *" $pid "*) ;; *) killed="$killed$pid " ;; esac
    kill -9 "$pid" 2>/dev/null
  done
  left=$found
  [ -z "$found" ] && break
  rounds=$((rounds + 1))
done
set -- $killed; total=$#
set -- $left; echo "$total $#"
"#;

/// How long that may take.
const WITHIN: Duration = Duration::from_secs(10);

/// What became of the processes of a command.
#[derive(Debug, Default)]
pub(crate) struct Killed {
    pub(crate) count: u32,
    pub(crate) survivors: u32,
    /// What is not known.
    pub(crate) note: Option<String>,
}

/// A new mark: 128 random bits.
pub(crate) fn new_mark() -> String {
    let mut bytes = [0_u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    debug_assert!(filled.is_ok(), "16 bytes are always to be had: {filled:?}");
    hex(&bytes)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// The bytes that hexadecimal digits stand for, up to what is none.
pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(byte).collect()
}

pub(crate) async fn kill(engine: &Engine, id: &str, user: Option<&str>, mark: &str) -> Killed {
    let asked = timeout(WITHIN, attempt(engine, id, user, mark)).await;
    let counts = asked.ok().and_then(|told| told.ok().flatten());
    match counts {
        Some((count, survivors)) => Killed {
            count,
            survivors,
            note: Some(
                "processes that had dropped their environment cannot be found through the \
                 engine's exec API, and would still be running"
                    .to_owned(),
            ),
        },
        None => Killed {
            count: 0,
            survivors: 1,
            note: Some(
                "its processes could not be killed: that needs sh and grep in the image, and a \
                 process to spare; talaria sandbox rm --force ends them"
                    .to_owned(),
            ),
        },
    }
}

async fn attempt(
    engine: &Engine,
    id: &str,
    user: Option<&str>,
    mark: &str,
) -> Result<Option<(u32, u32)>, bollard::errors::Error> {
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec![
            "sh".to_owned(),
            "-c".to_owned(),
            SCRIPT.to_owned(),
            "sh".to_owned(),
            format!("{MARK}={mark}"),
        ]),
        user: user.map(str::to_owned),
        ..CreateExecOptions::default()
    };
    let exec = engine.docker.create_exec(id, options).await?.id;
    let started = engine
        .docker
        .start_exec(&exec, None::<StartExecOptions>)
        .await?;
    let StartExecResults::Attached { mut output, .. } = started else {
        return Ok(None);
    };
    let mut text = Vec::new();
    while let Some(piece) = output.next().await {
        let piece = piece?.into_bytes();
        if text.len() < 4096 {
            text.extend_from_slice(&piece);
        }
    }
    Ok(counts(&text))
}

fn counts(text: &[u8]) -> Option<(u32, u32)> {
    let (killed, left) = std::str::from_utf8(text).ok()?.trim().split_once(' ')?;
    Some((killed.parse().ok()?, left.parse().ok()?))
}
