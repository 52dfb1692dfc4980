//! A service's state in the words of `s6-svstat -o`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::error::StatusError;
use crate::servicedir::ServiceDir;
use crate::status::{Exit, Status, Want};
use crate::tai::Tai64n;

/// A field of `s6-svstat -o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `up`: `run` runs.
    Up,
    /// `wantedup`: the supervisor keeps it up.
    WantedUp,
    /// `normallyup`: it has no `down` file.
    NormallyUp,
    /// `ready`: it is up and has told that it is ready.
    Ready,
    /// `paused`: it was stopped by a signal.
    Paused,
    /// `pid`: the process id of `run`, or -1.
    Pid,
    /// `pgid`: the process group of what runs, or -1.
    Pgid,
    /// `exitcode`: the exit code of `run`, or -1.
    ExitCode,
    /// `signal`: the name of the signal that killed `run`, or `NA`.
    Signal,
    /// `signum`: the number of the signal that killed `run`, or -1.
    Signum,
    /// `updownsince`: when it last went up or down, in TAI64N.
    UpDownSince,
    /// `readysince`: when it was last ready or entirely down, in TAI64N.
    ReadySince,
    /// `updownfor`: the seconds since it last went up or down.
    UpDownFor,
    /// `readyfor`: the seconds since it was last ready or entirely down.
    ReadyFor,
}

impl Field {
    /// All of them, in the order of `s6-svstat`'s usage message.
    pub const ALL: [Self; 14] = [
        Self::Up,
        Self::WantedUp,
        Self::NormallyUp,
        Self::Ready,
        Self::Paused,
        Self::Pid,
        Self::Pgid,
        Self::ExitCode,
        Self::Signal,
        Self::Signum,
        Self::UpDownSince,
        Self::ReadySince,
        Self::UpDownFor,
        Self::ReadyFor,
    ];

    /// Its name on `s6-svstat`'s command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::WantedUp => "wantedup",
            Self::NormallyUp => "normallyup",
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::Pid => "pid",
            Self::Pgid => "pgid",
            Self::ExitCode => "exitcode",
            Self::Signal => "signal",
            Self::Signum => "signum",
            Self::UpDownSince => "updownsince",
            Self::ReadySince => "readysince",
            Self::UpDownFor => "updownfor",
            Self::ReadyFor => "readyfor",
        }
    }
}

/// No field has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a field of a service's state")]
pub struct UnknownField {
    /// The name.
    pub name: String,
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        let unknown = || UnknownField {
            name: name.to_owned(),
        };
        Self::ALL
            .into_iter()
            .find(|field| field.name() == name)
            .ok_or_else(unknown)
    }
}

/// What `s6-svstat` looks at: the status and the `down` file.
///
/// ```no_run
/// use s6_svc::{Field, Report, ServiceDir, Tai64n};
/// let service = ServiceDir::new("/run/service/gateway-coder")?;
/// let report = Report::of(&service)?;
/// println!("{}", report.field(Field::Pid, Tai64n::now()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    /// The status.
    pub status: Status,
    /// Whether there is no `down` file.
    pub normally_up: bool,
}

impl Report {
    /// Looks at a service.
    ///
    /// # Errors
    /// As [`ServiceDir::status`].
    pub fn of(service: &ServiceDir) -> Result<Self, StatusError> {
        let status = service.status()?;
        let normally_up = !service.has_down_file()?;
        Ok(Self {
            status,
            normally_up,
        })
    }

    /// The text of a field at a time.
    ///
    /// It is what `s6-svstat` prints. Where its versions differ, that is the last one's, but for a
    /// service that never ran, which is told apart in all of them: its exit code is -1.
    #[must_use]
    pub fn field(&self, field: Field, now: Tai64n) -> String {
        let Self {
            status,
            normally_up,
        } = self;
        let number =
            |number: Option<u32>| number.map_or("-1".to_owned(), |number| number.to_string());
        let (code, signal) = match status.exit() {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let seconds = |since| now.saturating_duration_since(since).as_secs().to_string();
        match field {
            Field::Up => status.is_up().to_string(),
            Field::WantedUp => (status.want() == Want::Up).to_string(),
            Field::NormallyUp => normally_up.to_string(),
            Field::Ready => status.is_ready().to_string(),
            Field::Paused => status.is_paused().to_string(),
            Field::Pid => number(status.pid()),
            Field::Pgid => number(status.process_group()),
            Field::ExitCode => number(code.map(u32::from)),
            Field::Signum => number(signal.map(u32::from)),
            Field::Signal => signal.map_or("NA".to_owned(), |signal| Signal(signal).to_string()),
            Field::UpDownSince => status.since().to_string(),
            Field::ReadySince => status.ready_since().to_string(),
            Field::UpDownFor => seconds(status.since()),
            Field::ReadyFor => seconds(status.ready_since()),
        }
    }
}

/// A signal by number, shown by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(pub u8);

/// Linux's signals on every architecture that this is built for, from 1 on.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::from(self.0)
            .checked_sub(1)
            .and_then(|index| SIGNALS.get(index))
        {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "SIG{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_own_name() {
        for field in Field::ALL {
            assert_eq!(field.name().parse(), Ok(field));
        }
        assert!("uptime".parse::<Field>().is_err());
    }

    #[test]
    fn signals_have_their_names() {
        assert_eq!(Signal(9).to_string(), "SIGKILL");
        assert_eq!(Signal(31).to_string(), "SIGSYS");
        assert_eq!(Signal(34).to_string(), "SIG34");
        assert_eq!(Signal(0).to_string(), "SIG0");
    }
}
