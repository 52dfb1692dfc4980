//! The two lines that come before the agent's protocol.
//!
//! ```text
//! client: talaria-broker 1 BUILD open SANDBOX [DOORWAY]\n
//! broker: ok\n | other BUILD\n | error KIND TEXT\n
//! ```
//!
//! `BUILD` says which build of the program speaks; it, `SANDBOX` and `DOORWAY` are without spaces.
//! `DOORWAY` is where the agent of a new sandbox waits for its first client, in words of the
//! program's own. `stop` in place of `open SANDBOX` asks the broker to end. A line has at most
//! [`LONGEST`] bytes.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line, in bytes, with its end.
pub(crate) const LONGEST: usize = 4096;

const MAGIC: &str = "talaria-broker 1";

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To speak to the agent of this sandbox, which may wait somewhere.
    Open(String, Option<String>),
    /// That the broker ends.
    Stop,
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) build: String,
    pub(crate) wish: Wish,
}

/// What the broker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The agent's protocol follows.
    Ok,
    /// This is another build's broker, and it gives its place up.
    Other(String),
    /// There is no connection to that sandbox's agent.
    Error(OpenFailure, String),
}

/// Why there is no connection to a sandbox's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFailure {
    /// There is no such sandbox.
    NotFound,
    /// It does not run.
    NotRunning,
    /// No agent answers in it.
    NoAgent,
    /// The engine does not answer, or not as it should.
    Engine,
}

const FAILURES: [(OpenFailure, &str); 4] = [
    (OpenFailure::NotFound, "not-found"),
    (OpenFailure::NotRunning, "not-running"),
    (OpenFailure::NoAgent, "no-agent"),
    (OpenFailure::Engine, "engine"),
];

impl Ask {
    pub(crate) fn to_line(&self) -> String {
        let build = &self.build;
        match &self.wish {
            Wish::Open(sandbox, None) => format!("{MAGIC} {build} open {sandbox}\n"),
            Wish::Open(sandbox, Some(doorway)) => {
                format!("{MAGIC} {build} open {sandbox} {doorway}\n")
            }
            Wish::Stop => format!("{MAGIC} {build} stop\n"),
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(MAGIC)?.strip_prefix(' ')?;
        let words: Vec<_> = rest.split(' ').collect();
        let (build, wish) = match words[..] {
            [build, "open", sandbox] if !sandbox.is_empty() => {
                (build, Wish::Open(sandbox.to_owned(), None))
            }
            [build, "open", sandbox, doorway] if !sandbox.is_empty() && !doorway.is_empty() => {
                let doorway = Some(doorway.to_owned());
                (build, Wish::Open(sandbox.to_owned(), doorway))
            }
            [build, "stop"] => (build, Wish::Stop),
            _ => return None,
        };
        Some(Self {
            build: build.to_owned(),
            wish,
        })
    }
}

impl Reply {
    pub(crate) fn to_line(&self) -> String {
        match self {
            Self::Ok => "ok\n".to_owned(),
            Self::Other(build) => format!("other {build}\n"),
            Self::Error(failure, text) => {
                let word = FAILURES.iter().find(|(known, _)| known == failure);
                let word = word.map_or("engine", |(_, word)| word);
                let text: String = text
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(LONGEST / 8)
                    .collect();
                format!("error {word} {text}\n")
            }
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        if line == "ok" {
            return Some(Self::Ok);
        }
        if let Some(build) = line.strip_prefix("other ") {
            return Some(Self::Other(build.to_owned()));
        }
        let (word, text) = line.strip_prefix("error ")?.split_once(' ')?;
        let (failure, _) = FAILURES.iter().find(|(_, known)| *known == word)?;
        Some(Self::Error(*failure, text.to_owned()))
    }
}

/// Reads one line and not a byte more; [`None`] where it is none.
pub(crate) async fn read_line<R: AsyncRead + Unpin>(
    reader: &mut R,
) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    while line.len() < LONGEST {
        match reader.read_u8().await? {
            b'\n' => return Ok(String::from_utf8(line).ok()),
            byte => line.push(byte),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn asks_survive_the_way(
            build in "[!-~]{1,20}",
            open in proptest::option::of(("[!-~]{1,80}", proptest::option::of("[!-~]{1,80}"))),
        ) {
            let wish = open.map_or(Wish::Stop, |(sandbox, doorway)| Wish::Open(sandbox, doorway));
            let ask = Ask { build, wish };
            let line = ask.to_line();
            prop_assert_eq!(Ask::parse(line.trim_end_matches('\n')), Some(ask));
        }

        #[test]
        fn replies_are_one_line_whatever_they_say(text in ".*") {
            let line = Reply::Error(OpenFailure::NoAgent, text).to_line();
            prop_assert!(line.len() <= LONGEST);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(Reply::parse(line.trim_end_matches('\n')).is_some());
        }

        #[test]
        fn anything_may_be_parsed(line in ".*") {
            // No panic, whatever comes.
            let _: (Option<Ask>, Option<Reply>) = (Ask::parse(&line), Reply::parse(&line));
        }
    }
}
