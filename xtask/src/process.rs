//! Running other programs.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};

use crate::progress::Step;

/// Lines of output kept for the message when a program fails.
const TAIL: usize = 20;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started or read from.
    #[error("cannot run {program}")]
    Run {
        /// As it was called.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended with something else than success.
    #[error("{program}: {status}{}", tail_text(tail))]
    Failed {
        /// As it was called.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote.
        tail: Vec<String>,
    },
}

impl ProcessError {
    /// Whether the program is not on this machine.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn tail_text(tail: &[String]) -> String {
    tail.iter()
        .fold(String::new(), |text, line| text + "\n    " + line)
}

/// Runs a program to its end, showing its lines (both streams) as details of `step`.
pub(crate) fn run(command: &mut Command, step: &Step) -> Result<(), ProcessError> {
    let program = name(command);
    let failed_to_run = |source| ProcessError::Run {
        program: program.clone(),
        source,
    };
    let (reader, writer) = io::pipe().map_err(failed_to_run)?;
    let errors = writer.try_clone().map_err(failed_to_run)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .map_err(failed_to_run)?;
    // The command holds the pipe's writing ends: without this the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut tail: Vec<String> = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(failed_to_run)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        step.note(&line);
        if tail.len() == TAIL {
            tail.remove(0);
        }
        tail.push(line);
    }
    let status = child.wait().map_err(failed_to_run)?;
    if status.success() {
        Ok(())
    } else {
        Err(ProcessError::Failed {
            program,
            status,
            tail,
        })
    }
}

/// Runs a program on this terminal.
pub(crate) fn run_here(command: &mut Command) -> Result<(), ProcessError> {
    let program = name(command);
    let status = command.status().map_err(|source| ProcessError::Run {
        program: program.clone(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(ProcessError::Failed {
            program,
            status,
            tail: Vec::new(),
        })
    }
}

/// Runs a program on this terminal, handing each line of its standard output to `read` as well.
pub(crate) fn run_reading(
    command: &mut Command,
    mut read: impl FnMut(&str),
) -> Result<(), ProcessError> {
    let program = name(command);
    let failed_to_run = |source| ProcessError::Run {
        program: program.clone(),
        source,
    };
    let (reader, writer) = io::pipe().map_err(failed_to_run)?;
    let mut child = command.stdout(writer).spawn().map_err(failed_to_run)?;
    // The command holds the pipe's writing end: without this the reader would never see the end.
    command.stdout(Stdio::inherit());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(failed_to_run)?;
        let line = String::from_utf8_lossy(&line);
        read(&line);
        anstream::println!("{line}");
    }
    let status = child.wait().map_err(failed_to_run)?;
    if status.success() {
        Ok(())
    } else {
        Err(ProcessError::Failed {
            program,
            status,
            tail: Vec::new(),
        })
    }
}

/// What a program writes to its standard output; its errors go to ours.
pub(crate) fn output(command: &mut Command) -> Result<String, ProcessError> {
    let program = name(command);
    let failed_to_run = |source| ProcessError::Run {
        program: program.clone(),
        source,
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed_to_run)?;
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).map_err(failed_to_run)?;
    }
    let output = child.wait_with_output().map_err(failed_to_run)?;
    if output.status.success() {
        Ok(text)
    } else {
        let tail = String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(str::to_owned)
            .collect();
        Err(ProcessError::Failed {
            program,
            status: output.status,
            tail,
        })
    }
}

fn name(command: &Command) -> String {
    let first = command
        .get_args()
        .next()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    let program = command.get_program().to_string_lossy();
    if first.is_empty() || first.starts_with(['/', '-']) {
        program.into_owned()
    } else {
        format!("{program} {first}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_last_lines_of_both_streams() {
        let step = Step::begin("test");
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run(&mut command, &step).unwrap_err();
        assert_eq!(error.to_string(), "sh: exit status: 3\n    out\n    err");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_fails() {
        let missing = output(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert!(missing.is_missing());
        let failing = output(&mut Command::new("false")).unwrap_err();
        assert!(!failing.is_missing());
    }

    #[test]
    fn output_is_what_the_program_wrote() {
        assert_eq!(
            output(Command::new("echo").arg("hello")).unwrap(),
            "hello\n"
        );
    }
}
