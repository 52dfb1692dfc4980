//! What supervisors can be told.

use std::fmt;

use thiserror::Error;

/// A command to `s6-supervise`, one byte in `supervise/control`.
///
/// The letters are those of `s6-svc`'s options. [`Command::PauseGroup`], [`Command::ContinueGroup`]
/// and [`Command::KillGroup`] are known from s6 2.12 on; earlier ones ignore them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `a`: send SIGALRM.
    Alarm,
    /// `b`: send SIGABRT.
    Abort,
    /// `q`: send SIGQUIT.
    Quit,
    /// `h`: send SIGHUP.
    Hangup,
    /// `k`: send SIGKILL.
    Kill,
    /// `t`: send SIGTERM.
    Terminate,
    /// `i`: send SIGINT.
    Interrupt,
    /// `1`: send SIGUSR1.
    User1,
    /// `2`: send SIGUSR2.
    User2,
    /// `p`: send SIGSTOP.
    Pause,
    /// `c`: send SIGCONT.
    Continue,
    /// `y`: send SIGWINCH.
    WindowChange,
    /// `r`: send the signal in `down-signal`, SIGTERM by default; a service that is wanted up
    /// restarts.
    Restart,
    /// `P`: send SIGSTOP to the process group.
    PauseGroup,
    /// `C`: send SIGCONT to the process group.
    ContinueGroup,
    /// `K`: send SIGKILL to the process group.
    KillGroup,
    /// `o`: start it if it is down, and do not restart it when it ends.
    Once,
    /// `d`: want it down: stop it with the down signal and SIGCONT.
    Down,
    /// `u`: want it up: start it, and restart it when it ends.
    Up,
    /// `D`: like [`Command::Down`], and create the `down` file, so that it stays down with a new
    /// supervisor.
    DownForGood,
    /// `U`: like [`Command::Up`], and remove the `down` file.
    UpForGood,
    /// `x`: exit when the service is down, with its standard streams closed at once.
    Exit,
    /// `O`: do not restart it when it ends; nothing now.
    OnceAtMost,
    /// `Q`: like [`Command::OnceAtMost`], and create the `down` file.
    OnceAtMostForGood,
}

impl Command {
    /// All of them, in s6's order.
    pub const ALL: [Self; 24] = [
        Self::Alarm,
        Self::Abort,
        Self::Quit,
        Self::Hangup,
        Self::Kill,
        Self::Terminate,
        Self::Interrupt,
        Self::User1,
        Self::User2,
        Self::Pause,
        Self::Continue,
        Self::WindowChange,
        Self::Restart,
        Self::PauseGroup,
        Self::ContinueGroup,
        Self::KillGroup,
        Self::Once,
        Self::Down,
        Self::Up,
        Self::DownForGood,
        Self::UpForGood,
        Self::Exit,
        Self::OnceAtMost,
        Self::OnceAtMostForGood,
    ];

    /// Its byte in the control FIFO: the letter of `s6-svc`'s option.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Alarm => b'a',
            Self::Abort => b'b',
            Self::Quit => b'q',
            Self::Hangup => b'h',
            Self::Kill => b'k',
            Self::Terminate => b't',
            Self::Interrupt => b'i',
            Self::User1 => b'1',
            Self::User2 => b'2',
            Self::Pause => b'p',
            Self::Continue => b'c',
            Self::WindowChange => b'y',
            Self::Restart => b'r',
            Self::PauseGroup => b'P',
            Self::ContinueGroup => b'C',
            Self::KillGroup => b'K',
            Self::Once => b'o',
            Self::Down => b'd',
            Self::Up => b'u',
            Self::DownForGood => b'D',
            Self::UpForGood => b'U',
            Self::Exit => b'x',
            Self::OnceAtMost => b'O',
            Self::OnceAtMostForGood => b'Q',
        }
    }
}

/// A command to `s6-svscan`, one byte in `.s6-svscan/control`.
///
/// The letters are those of `s6-svscanctl`'s options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScandirCommand {
    /// `z`: wait for dead children now.
    Reap,
    /// `a`: scan the directory, and start supervisors for what is new.
    Rescan,
    /// `b`: exit at once and leave the supervisors running.
    Abort,
    /// `h`: scan, and end the supervisors of what is gone: [`ScandirCommand::Rescan`] and
    /// [`ScandirCommand::Prune`].
    RescanAndPrune,
    /// `i`: bring everything down and exit, as on SIGINT.
    Interrupt,
    /// `t`: bring everything down and exit, as on SIGTERM.
    Terminate,
    /// `q`: like [`ScandirCommand::Terminate`], and loggers get SIGTERM too.
    Quit,
    /// `n`: end the supervisors of services that are gone; loggers get SIGHUP and read to the end
    /// of their input.
    Prune,
    /// `N`: like [`ScandirCommand::Prune`], with SIGTERM for loggers too.
    PruneAll,
}

impl ScandirCommand {
    /// All of them, in the order of `s6-svscanctl`'s usage message.
    pub const ALL: [Self; 9] = [
        Self::Reap,
        Self::Rescan,
        Self::Abort,
        Self::RescanAndPrune,
        Self::Interrupt,
        Self::Terminate,
        Self::Quit,
        Self::Prune,
        Self::PruneAll,
    ];

    /// Its byte in the control FIFO: the letter of `s6-svscanctl`'s option.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Reap => b'z',
            Self::Rescan => b'a',
            Self::Abort => b'b',
            Self::RescanAndPrune => b'h',
            Self::Interrupt => b'i',
            Self::Terminate => b't',
            Self::Quit => b'q',
            Self::Prune => b'n',
            Self::PruneAll => b'N',
        }
    }
}

/// A byte that no supervisor understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{:?} is not a command", char::from(*byte))]
pub struct UnknownCommand {
    /// The byte.
    pub byte: u8,
}

impl TryFrom<u8> for Command {
    type Error = UnknownCommand;

    fn try_from(byte: u8) -> Result<Self, UnknownCommand> {
        Self::ALL
            .into_iter()
            .find(|command| command.byte() == byte)
            .ok_or(UnknownCommand { byte })
    }
}

impl TryFrom<u8> for ScandirCommand {
    type Error = UnknownCommand;

    fn try_from(byte: u8) -> Result<Self, UnknownCommand> {
        Self::ALL
            .into_iter()
            .find(|command| command.byte() == byte)
            .ok_or(UnknownCommand { byte })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.byte()))
    }
}

impl fmt::Display for ScandirCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.byte()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_s6s_own_in_its_order() {
        let bytes: Vec<u8> = Command::ALL.iter().map(|command| command.byte()).collect();
        assert_eq!(bytes, b"abqhkti12pcyrPCKoduDUxOQ");
        let bytes: Vec<u8> = ScandirCommand::ALL
            .iter()
            .map(|command| command.byte())
            .collect();
        assert_eq!(bytes, b"zabhitqnN");
    }

    #[test]
    fn every_byte_is_one_command_or_none() {
        let known = (0..=u8::MAX)
            .filter_map(|byte| Command::try_from(byte).ok().map(|command| (byte, command)));
        assert!(known.clone().all(|(byte, command)| command.byte() == byte));
        assert_eq!(known.count(), 24);
        assert_eq!(
            (0..=u8::MAX)
                .filter(|byte| ScandirCommand::try_from(*byte).is_ok())
                .count(),
            9
        );
    }
}
