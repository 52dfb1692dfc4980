//! Arguments, parsed once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use s6_svc::skeleton::Identity;
use s6_svc::{AbsPath, Command, PathError, Scandir, ServiceDir, ServiceName};
use thiserror::Error;

/// Why an argument is refused.
#[derive(Debug, Error)]
pub(crate) enum ArgumentError {
    #[error(transparent)]
    Name(#[from] s6_svc::NameError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("a service is a name, a name and /log, or a path that begins with a slash or a dot")]
    Service,
    #[error("a time is a number and ms, s, m or h: 500ms, 10s")]
    Span,
    #[error("an owner is two numbers: 10000:10000")]
    Owner,
    #[error("a variable is NAME=VALUE")]
    Variable,
    #[error("no such command; see --help")]
    Command,
    #[error("the working directory is unknown")]
    WorkingDirectory {
        #[source]
        source: std::io::Error,
    },
}

/// A service as it is named on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Name { name: ServiceName, log: bool },
    Path(AbsPath),
}

impl FromStr for Target {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Path(parse_path(text)?));
        }
        match text.split_once('/') {
            None => Ok(Self::Name {
                name: ServiceName::new(text)?,
                log: false,
            }),
            Some((name, "log")) => Ok(Self::Name {
                name: ServiceName::new(name)?,
                log: true,
            }),
            Some(_) => Err(ArgumentError::Service),
        }
    }
}

impl Target {
    /// The service. A link in its place is followed, as s6's own programs do: it was named.
    pub(crate) fn service(&self, scandir: &Scandir) -> ServiceDir {
        match self {
            Self::Path(path) => ServiceDir::from(path.clone()).following_links(),
            Self::Name { name, log } => {
                let service = scandir.service(name).following_links();
                if *log { service.log() } else { service }
            }
        }
    }
}

/// A path, made absolute against the working directory.
pub(crate) fn parse_path(text: &str) -> Result<AbsPath, ArgumentError> {
    let path = Path::new(text);
    if path.is_absolute() {
        return Ok(AbsPath::new(path)?);
    }
    let unknown = |source| ArgumentError::WorkingDirectory { source };
    let base = std::env::current_dir().map_err(unknown)?;
    Ok(AbsPath::new(resolve(base, path))?)
}

/// Joins, and takes `..` back as the shell does.
fn resolve(mut base: PathBuf, path: &Path) -> PathBuf {
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                base.pop();
            }
            part => base.push(OsString::from(part.as_os_str())),
        }
    }
    base
}

/// A length of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ArgumentError::Span)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(ArgumentError::Span),
        };
        let millis = number.checked_mul(millis).ok_or(ArgumentError::Span)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// A user and a group by number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner(pub(crate) Identity);

impl FromStr for Owner {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let (uid, gid) = text.split_once(':').ok_or(ArgumentError::Owner)?;
        let number = |text: &str| text.parse().map_err(|_| ArgumentError::Owner);
        Ok(Self(Identity {
            uid: number(uid)?,
            gid: number(gid)?,
        }))
    }
}

/// A variable and its value.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        let (name, value) = text.split_once('=').ok_or(ArgumentError::Variable)?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// The words for commands.
const WORDS: [(&str, Command); 24] = [
    ("up", Command::Up),
    ("down", Command::Down),
    ("once", Command::Once),
    ("restart", Command::Restart),
    ("up-for-good", Command::UpForGood),
    ("down-for-good", Command::DownForGood),
    ("exit", Command::Exit),
    ("once-at-most", Command::OnceAtMost),
    ("once-at-most-for-good", Command::OnceAtMostForGood),
    ("pause", Command::Pause),
    ("continue", Command::Continue),
    ("kill", Command::Kill),
    ("term", Command::Terminate),
    ("hup", Command::Hangup),
    ("int", Command::Interrupt),
    ("quit", Command::Quit),
    ("alarm", Command::Alarm),
    ("abort", Command::Abort),
    ("usr1", Command::User1),
    ("usr2", Command::User2),
    ("winch", Command::WindowChange),
    ("pause-group", Command::PauseGroup),
    ("continue-group", Command::ContinueGroup),
    ("kill-group", Command::KillGroup),
];

/// A command by its word or by s6-svc's letter.
pub(crate) fn parse_command(text: &str) -> Result<Command, ArgumentError> {
    if let [letter] = text.as_bytes() {
        return Command::try_from(*letter).map_err(|_| ArgumentError::Command);
    }
    let word = WORDS.iter().find(|(word, _)| *word == text);
    word.map(|(_, command)| *command)
        .ok_or(ArgumentError::Command)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_command_has_a_word_and_a_letter() {
        for command in Command::ALL {
            let letter = command.to_string();
            assert_eq!(parse_command(&letter).unwrap(), command);
            assert_eq!(
                WORDS.iter().filter(|(_, meant)| *meant == command).count(),
                1
            );
        }
        assert!(parse_command("start").is_err());
        assert!(parse_command("z").is_err());
    }

    #[rstest]
    #[case("500ms", 500)]
    #[case("10s", 10_000)]
    #[case("2m", 120_000)]
    #[case("1h", 3_600_000)]
    fn a_time_has_a_unit(#[case] text: &str, #[case] millis: u64) {
        assert_eq!(
            text.parse::<Span>().unwrap().0,
            Duration::from_millis(millis)
        );
    }

    #[rstest]
    #[case("")]
    #[case("10")]
    #[case("s")]
    #[case("-1s")]
    #[case("1.5s")]
    #[case("10 s")]
    #[case("99999999999999999999s")]
    #[case("9999999999999999h")]
    fn a_time_without_sense_is_refused(#[case] text: &str) {
        assert!(text.parse::<Span>().is_err());
    }

    #[rstest]
    #[case("web", true)]
    #[case("web/log", true)]
    #[case("/run/service/web", true)]
    #[case("./web", true)]
    #[case("web/run", false)]
    #[case("Web", false)]
    #[case("web\n", false)]
    #[case("", false)]
    fn a_service_is_a_name_or_a_path(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(text.parse::<Target>().is_ok(), is_one);
    }

    #[test]
    fn a_relative_path_is_taken_from_the_working_directory() {
        let at = |path| resolve(PathBuf::from("/run/service"), Path::new(path));
        assert_eq!(at("./web"), Path::new("/run/service/web"));
        assert_eq!(at("../s6/web"), Path::new("/run/s6/web"));
        assert_eq!(at("../../../x"), Path::new("/x"));
    }
}
