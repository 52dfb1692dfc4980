//! What is said on standard error: one line a fact, and a hint below it.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;

use crate::error::BootError;
use crate::settings::Settings;

/// An error with its causes, in one line, and its hint in a second.
pub(crate) fn error(error: &BootError) {
    if let BootError::SaidAlready { .. } = error {
        return;
    }
    line(&chain(error));
    if let Some(hint) = error.hint() {
        write(&format!("hint: {hint}\n"));
    }
}

/// Something that did not stop the boot.
pub(crate) fn warning(text: impl Display) {
    if Settings::verbosity() >= 1 {
        line(&text);
    }
}

/// A step of the boot, for those who asked to see them.
pub(crate) fn step(text: impl Display) {
    if Settings::verbosity() >= 2 {
        line(&text);
    }
}

/// Something that the user is always told.
pub(crate) fn line(text: &dyn Display) {
    write(&format!("talaria: {text}\n"));
}

/// In one call, so that lines of several processes do not mix.
fn write(text: &str) {
    // There is nowhere to say that standard error is closed.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// An error and what caused it, outermost first.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
