//! This program's terminal, lent to a command in a sandbox and given back whatever happens.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sandbox_engine::client::wire::Window;

/// A terminal whose keys go through as they are, until this is dropped.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// Takes the terminal that is this program's stdin.
    pub(super) fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        tcsetattr(io::stdin(), OptionalActions::Drain, &self.before).ok();
    }
}

/// Its size; what most terminals had once where it does not say.
pub(super) fn window() -> Window {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout()));
    match size {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => Window {
            rows: size.ws_row,
            columns: size.ws_col,
        },
        _ => Window {
            rows: 24,
            columns: 80,
        },
    }
}
