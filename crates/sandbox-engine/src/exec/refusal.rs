//! A program that cannot be started, as engines and their runtimes say it.

use super::ExecError;
use crate::error::Fault;

/// An exec that could not be started: the engine may say so in place of the stream.
pub(super) fn not_started(fault: Fault, program: &str, name: &str) -> ExecError {
    let name = name.to_owned();
    match &fault {
        Fault::Refused { message, .. } => match unstartable(message) {
            Some(code) => ExecError::NoProgram {
                name,
                program: program.to_owned(),
                why: message.clone(),
                code,
            },
            None if fault.is_not_found() || fault.is_conflict() => ExecError::Gone {
                name,
                fault: Box::new(fault),
            },
            None => ExecError::Refused {
                name,
                fault: Box::new(fault),
            },
        },
        _ => ExecError::Lost {
            name,
            fault: Box::new(fault),
        },
    }
}

/// Or it says so in the stream, and gives the code of a shell.
pub(super) fn refused_by_runtime(
    code: Option<i64>,
    out: &[u8],
    program: &str,
    name: &str,
) -> Option<ExecError> {
    let code = code.filter(|code| matches!(code, 126 | 127))?;
    let text = std::str::from_utf8(out).ok()?.trim();
    if !text.starts_with(REFUSED) {
        return None;
    }
    Some(ExecError::NoProgram {
        name: name.to_owned(),
        program: program.to_owned(),
        why: text.to_owned(),
        code: unstartable(text).unwrap_or(u8::try_from(code).unwrap_or(126)),
    })
}

/// How the runtime's own words begin.
pub(super) const REFUSED: &str = "OCI runtime exec failed";

/// The code of a shell for a program that cannot be started, where the text says that it cannot.
fn unstartable(text: &str) -> Option<u8> {
    if text.contains("executable file not found") || text.contains("no such file or directory") {
        return Some(127);
    }
    let denied = ["permission denied", "is a directory", "exec format error"];
    denied.iter().any(|one| text.contains(one)).then_some(126)
}
