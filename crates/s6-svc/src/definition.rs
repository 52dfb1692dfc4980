//! What a service is: the files that its directory is made of.
//!
//! The names and contents are those of <https://skarnet.org/software/s6/servicedir.html>; a plan of
//! them is made here, and written or compared elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::path::AbsPath;

/// Why a definition is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A logger has no logger of its own: `s6-svscan` looks one level deep.
    #[error("a logger cannot have a logger")]
    NestedLog,
    /// Readiness cannot be told on a standard stream.
    #[error("notification-fd must be 3 or more, not {fd}")]
    NotificationFd {
        /// The number given.
        fd: u32,
    },
    /// No signal of that number.
    #[error("{signal} is not a signal")]
    Signal {
        /// The number given.
        signal: u8,
    },
    /// s6 keeps at most 4096 deaths.
    #[error("max-death-tally is at most 4096, not {records}")]
    DeathTally {
        /// The number given.
        records: u16,
    },
    /// s6 keeps times in milliseconds, in 32 bits.
    #[error("{file} is too long: {time:?}")]
    TooLong {
        /// The file.
        file: &'static str,
        /// The time given.
        time: Duration,
    },
    /// A variable's name is `[A-Za-z_][A-Za-z0-9_]*`.
    #[error("{name:?} is not the name of a variable")]
    Variable {
        /// The name given.
        name: String,
    },
    /// A variable's value cannot hold a NUL byte.
    #[error("the value of {name} holds a NUL byte")]
    Value {
        /// The variable.
        name: String,
    },
    /// The name of an additional file is `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 255 characters, and
    /// none that s6 gives a meaning to.
    #[error("{name:?} cannot be an additional file")]
    File {
        /// The name given.
        name: String,
    },
}

/// `run` or `finish`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// A symbolic link to a program elsewhere. It runs on a file system that is mounted noexec.
    Link(AbsPath),
    /// The text of a script, written with mode 0755.
    Script(String),
}

impl Program {
    fn node(&self) -> Node {
        match self {
            Self::Link(target) => Node::Link(target.as_path().to_owned()),
            Self::Script(text) => Node::File {
                bytes: text.clone().into_bytes(),
                mode: 0o755,
            },
        }
    }
}

impl From<AbsPath> for Program {
    fn from(target: AbsPath) -> Self {
        Self::Link(target)
    }
}

/// Names in a service directory to which s6 gives a meaning, and that a definition decides about.
const MEANT: [&str; 12] = [
    "data",
    "down-signal",
    "env",
    "finish",
    "flag-newpidns",
    "flag-timeout-killpg",
    "lock-fd",
    "log",
    "max-death-tally",
    "notification-fd",
    "timeout-finish",
    "timeout-kill",
];

/// Names of s6's and of our own that no additional file may have.
const RESERVED: [&str; 6] = ["run", "down", "event", "supervise", "instance", "instances"];

/// A service: its programs, its logger and its settings.
///
/// ```
/// use std::time::Duration;
/// use s6_svc::{AbsPath, Definition, Program};
/// let log = Definition::new(Program::Link(AbsPath::new("/usr/libexec/talaria/gateway-log")?));
/// let gateway = Definition::new(Program::Link(AbsPath::new("/usr/libexec/talaria/gateway-run")?))
///     .finish(Program::Script("#!/bin/sh\n[ \"$1\" = 78 ] && exit 125\nexit 0\n".to_owned()))
///     .log(log)?
///     .timeout_kill(Duration::from_secs(10))?
///     .variable("API_SERVER_PORT", "9200")?
///     .down();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    run: Program,
    finish: Option<Program>,
    log: Option<Box<Self>>,
    down: bool,
    /// Small files by name: settings of s6's, and additional ones.
    files: BTreeMap<String, Vec<u8>>,
    env: BTreeMap<String, Vec<u8>>,
}

impl Definition {
    /// A service that runs this program and is started at once.
    #[must_use]
    pub fn new(run: impl Into<Program>) -> Self {
        Self {
            run: run.into(),
            finish: None,
            log: None,
            down: false,
            files: BTreeMap::new(),
            env: BTreeMap::new(),
        }
    }

    /// The program that runs each time after `run` has ended.
    #[must_use]
    pub fn finish(mut self, finish: impl Into<Program>) -> Self {
        self.finish = Some(finish.into());
        self
    }

    /// The service that reads this one's standard output.
    ///
    /// # Errors
    /// [`DefinitionError::NestedLog`] where it has a logger itself.
    pub fn log(mut self, log: Self) -> Result<Self, DefinitionError> {
        if log.log.is_some() {
            return Err(DefinitionError::NestedLog);
        }
        self.log = Some(Box::new(log));
        Ok(self)
    }

    /// Do not start it when its supervisor starts.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.down = true;
        self
    }

    /// The descriptor on which it tells that it is ready, with a newline.
    ///
    /// # Errors
    /// [`DefinitionError::NotificationFd`] below 3.
    pub fn notification_fd(self, fd: u32) -> Result<Self, DefinitionError> {
        if fd < 3 {
            return Err(DefinitionError::NotificationFd { fd });
        }
        Ok(self.setting("notification-fd", fd))
    }

    /// How long it may take to stop before it is killed; s6 waits for ever where this is not set.
    ///
    /// # Errors
    /// [`DefinitionError::TooLong`] beyond 49 days.
    pub fn timeout_kill(self, time: Duration) -> Result<Self, DefinitionError> {
        let millis = millis("timeout-kill", time)?;
        Ok(self.setting("timeout-kill", millis))
    }

    /// How long `finish` may take before it is killed: 5 s by default, zero for ever.
    ///
    /// # Errors
    /// [`DefinitionError::TooLong`] beyond 49 days.
    pub fn timeout_finish(self, time: Duration) -> Result<Self, DefinitionError> {
        let millis = millis("timeout-finish", time)?;
        Ok(self.setting("timeout-finish", millis))
    }

    /// The number of the signal that stops it, instead of SIGTERM.
    ///
    /// # Errors
    /// [`DefinitionError::Signal`] where it is none.
    pub fn down_signal(self, signal: u8) -> Result<Self, DefinitionError> {
        if !(1..=64).contains(&signal) {
            return Err(DefinitionError::Signal { signal });
        }
        Ok(self.setting("down-signal", signal))
    }

    /// How many deaths are remembered: 100 by default.
    ///
    /// # Errors
    /// [`DefinitionError::DeathTally`] above 4096.
    pub fn max_death_tally(self, records: u16) -> Result<Self, DefinitionError> {
        if records > 4096 {
            return Err(DefinitionError::DeathTally { records });
        }
        Ok(self.setting("max-death-tally", records))
    }

    /// A variable in the directory `env/`, for programs that read it with `s6-envdir ./env`.
    ///
    /// The value is written as `s6-envdir` reads it: newlines as NUL bytes. It drops spaces and
    /// tabs at the end.
    ///
    /// # Errors
    /// [`DefinitionError::Variable`], [`DefinitionError::Value`].
    pub fn variable(
        mut self,
        name: impl Into<String>,
        value: impl Into<Vec<u8>>,
    ) -> Result<Self, DefinitionError> {
        let (name, mut value) = (name.into(), value.into());
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let is_name = name.bytes().next().is_some_and(first)
            && name
                .bytes()
                .all(|byte| first(byte) || byte.is_ascii_digit())
            && name.len() <= 255;
        if !is_name {
            return Err(DefinitionError::Variable { name });
        }
        if value.contains(&0) {
            return Err(DefinitionError::Value { name });
        }
        for byte in &mut value {
            if *byte == b'\n' {
                *byte = 0;
            }
        }
        value.push(b'\n');
        self.env.insert(name, value);
        Ok(self)
    }

    /// A file that s6 gives no meaning to, such as the `type` of s6-rc's source directories.
    ///
    /// # Errors
    /// [`DefinitionError::File`] where the name is none for a file, or s6 gives it a meaning.
    pub fn file(
        mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<Self, DefinitionError> {
        let name = name.into();
        let is_name = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && name.len() <= 255;
        let meant = MEANT.contains(&name.as_str()) || RESERVED.contains(&name.as_str());
        if !is_name || meant {
            return Err(DefinitionError::File { name });
        }
        self.files.insert(name, bytes.into());
        Ok(self)
    }

    /// Whether it has a logger.
    #[must_use]
    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }

    fn setting(mut self, name: &str, value: impl Into<u32>) -> Self {
        self.files
            .insert(name.to_owned(), format!("{}\n", value.into()).into_bytes());
        self
    }

    /// Everything that is in its directory, parents first.
    pub(crate) fn layout(&self) -> Vec<Item> {
        let mut items = self.layout_of_one("");
        if let Some(log) = &self.log {
            items.push(Item {
                place: "log".to_owned(),
                node: Node::Directory,
            });
            items.extend(log.layout_of_one("log/"));
        }
        items
    }

    fn layout_of_one(&self, prefix: &str) -> Vec<Item> {
        let item = |place: &str, node| Item {
            place: format!("{prefix}{place}"),
            node,
        };
        let file = |bytes: &Vec<u8>| Node::File {
            bytes: bytes.clone(),
            mode: 0o644,
        };
        let mut items = vec![item("run", self.run.node())];
        items.extend(
            self.finish
                .iter()
                .map(|finish| item("finish", finish.node())),
        );
        if self.down {
            items.push(item("down", file(&Vec::new())));
        }
        items.extend(
            self.files
                .iter()
                .map(|(name, bytes)| item(name, file(bytes))),
        );
        if !self.env.is_empty() {
            items.push(item("env", Node::Directory));
            let variable = |(name, value)| item(&format!("env/{name}"), file(value));
            items.extend(self.env.iter().map(variable));
        }
        items
    }

    /// Names that must not be in its directory for it to be this service.
    pub(crate) fn absent(&self) -> Vec<String> {
        let mut absent = self.absent_of_one("", self.log.is_some());
        if let Some(log) = &self.log {
            absent.extend(log.absent_of_one("log/", false));
        }
        absent
    }

    fn absent_of_one(&self, prefix: &str, has_log: bool) -> Vec<String> {
        let is_there = |name: &str| match name {
            "finish" => self.finish.is_some(),
            "env" => !self.env.is_empty(),
            // A data directory means nothing to s6-supervise.
            "data" => true,
            "log" => has_log,
            _ => self.files.contains_key(name),
        };
        let absent = MEANT.iter().filter(|name| !is_there(name));
        absent.map(|name| format!("{prefix}{name}")).collect()
    }
}

fn millis(file: &'static str, time: Duration) -> Result<u32, DefinitionError> {
    u32::try_from(time.as_millis()).map_err(|_| DefinitionError::TooLong { file, time })
}

/// One thing in a service directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Where, relative to the directory; at most one directory deep.
    pub(crate) place: String,
    pub(crate) node: Node,
}

impl Item {
    /// Whether its presence changes over the life of a registered service.
    pub(crate) fn is_state(&self) -> bool {
        matches!(self.place.as_str(), "down" | "log/down")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    File { bytes: Vec<u8>, mode: u32 },
    Link(PathBuf),
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn script() -> Definition {
        Definition::new(Program::Script("#!/bin/sh\n".to_owned()))
    }

    #[test]
    fn a_definition_is_laid_out_parents_first() {
        let definition = script()
            .notification_fd(3)
            .unwrap()
            .variable("A", "1\n2")
            .unwrap()
            .log(script().down())
            .unwrap();
        let layout = definition.layout();
        let places: Vec<&str> = layout.iter().map(|item| item.place.as_str()).collect();
        assert_eq!(
            places,
            [
                "run",
                "notification-fd",
                "env",
                "env/A",
                "log",
                "log/run",
                "log/down"
            ]
        );
        let value = Node::File {
            bytes: b"1\x002\n".to_vec(),
            mode: 0o644,
        };
        assert_eq!(layout[3].node, value);
    }

    #[test]
    fn what_it_does_not_have_must_be_absent() {
        let absent = script().finish(Program::Script(String::new())).absent();
        assert!(!absent.contains(&"finish".to_owned()));
        assert!(absent.contains(&"notification-fd".to_owned()));
        assert!(absent.contains(&"log".to_owned()));
    }

    #[rstest]
    #[case("run")]
    #[case("supervise")]
    #[case("down")]
    #[case("timeout-kill")]
    #[case("..")]
    #[case(".hidden")]
    #[case("a/b")]
    #[case("")]
    #[case("a\n")]
    fn an_additional_file_cannot_take_a_meaning_or_a_path(#[case] name: &str) {
        let error = script().file(name, "").unwrap_err();
        assert_eq!(
            error,
            DefinitionError::File {
                name: name.to_owned()
            }
        );
    }

    #[rstest]
    #[case("")]
    #[case("1A")]
    #[case("A-B")]
    #[case("A/../B")]
    #[case("A=B")]
    fn a_variable_has_a_variables_name(#[case] name: &str) {
        let error = script().variable(name, "").unwrap_err();
        assert_eq!(
            error,
            DefinitionError::Variable {
                name: name.to_owned()
            }
        );
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(
            script().notification_fd(2),
            Err(DefinitionError::NotificationFd { fd: 2 })
        );
        assert_eq!(
            script().down_signal(65),
            Err(DefinitionError::Signal { signal: 65 })
        );
        assert_eq!(
            script().max_death_tally(4097),
            Err(DefinitionError::DeathTally { records: 4097 })
        );
        assert!(script().timeout_kill(Duration::MAX).is_err());
        assert!(script().log(script().log(script()).unwrap()).is_err());
        assert!(script().variable("A", "\0").is_err());
    }
}
