//! Sessions: a warm bash each, which keeps its state between commands.
//!
//! The shell reads its script from a pipe, up to three lines a command. They read the command's text
//! from a file, evaluate it with the FIFOs of this command as stdin, stdout and stderr, and report
//! its status through a control FIFO; the state that a new shell would need is saved after that. The
//! lines are top-level ones, so that neither `break` nor `return` in a command reaches them. They
//! are short, because a shell reads a pipe byte by byte: the directory is in a variable, and a few
//! plain words are a line themselves.

use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};

use crate::failure::Problem;
use crate::scratch::Scratch;
use crate::user::Identity;
use crate::wire::{Bytes, Failure, Input, RunSpec, Variable};

/// A session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Session {
    pub(crate) identity: Identity,
    pub(crate) env: Vec<Variable>,
    pub(crate) first_cwd: Option<Bytes>,
    pub(crate) login: bool,
    pub(crate) directory: Scratch,
    /// Where the shell reports.
    pub(crate) control: OwnedFd,
    said: Vec<u8>,
    /// The text of the command.
    text: OwnedFd,
    /// The shell's script, while there is a shell.
    pub(crate) script: Option<OwnedFd>,
    /// The keeper of the shell, and of those before it.
    pub(crate) keeper: u64,
    /// Which of the two state files is whole.
    pub(crate) saved: Option<u8>,
    pub(crate) cwd: Bytes,
    pub(crate) number: u64,
    pub(crate) command: Option<u64>,
    /// Who waits for the session to open.
    pub(crate) opener: Option<(u64, u32)>,
    /// Whether the shell has said that it is leaving, and then saved its state.
    pub(crate) leaving: bool,
    pub(crate) left_saved: bool,
    pub(crate) opened: Instant,
    /// Whether it goes as soon as its command has.
    pub(crate) closing: bool,
    pub(crate) commands: u64,
}

/// What a shell reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is there, and works in this directory.
    Ready { cwd: Bytes },
    /// A command has opened its FIFOs.
    Begun,
    /// A command has ended.
    Ended { number: u64, status: u8, cwd: Bytes },
    /// A command ends the shell.
    Leaving { number: u64, status: u8, cwd: Bytes },
    /// Its state is whole in this file.
    Saved { file: u8 },
}

/// The pipes of one command in a session.
pub(crate) struct Pipes {
    pub(crate) outputs: [OwnedFd; 2],
    /// What is written for it, and what keeps it from failing before the shell has opened it.
    pub(crate) input: Option<(OwnedFd, OwnedFd)>,
}

/// The names of a command's FIFOs: stdout, stderr and stdin.
const FIFOS: [&str; 3] = ["o", "e", "i"];

/// The longest command that is a line of the shell's script itself, in bytes.
const INLINE: usize = 256;

// In these the session's directory is `$__T`, which is read-only; `$__Ts` is the status of the last
// command and `$__Tn` the number of the next. Each leaves the status of the last command, which the
// next may ask for; where `set -e` would end the shell for it, that command has succeeded.

/// Saves the shell's state. What fails leaves the state before it.
const SAVE: &str = r#"{ \builtin shopt -p && \builtin declare -p && \builtin declare -f && \builtin declare -F && \builtin alias -p && \builtin trap -p && \builtin printf 'umask %s\n\\builtin cd -- %q\n' "$(\builtin umask)" "$PWD" && \builtin set +o; } 2>/dev/null >|"$__T/s$__Tk" && { \builtin printf 'S 0 0 %s\0' "$__Tk" >|"$__T/c"; }
__Tk=$((1-__Tk))
"#;
/// Reads a command.
const BEGIN: &str = r#"\builtin mapfile -d '' -t __Tc <"$__T/q"
case $- in *e*) \return 0;; esac
\return "$__Ts"
"#;
/// Reports that a command has its FIFOs open.
const BEGUN: &str = r#"\builtin printf 'B 0 0 \0' >|"$__T/c"
case $- in *e*) \return 0;; esac
\return "$__Ts"
"#;
/// Reports the end of a command: its number, and its program where that can change nothing.
const END: &str = r#"__Ts=$? __Tn=$(($1+1))
\builtin printf 'E %s %s %s\0' "$1" "$__Ts" "$PWD" >|"$__T/c"
if ! { [[ -n ${2-} && ! -v BASH_ALIASES[$2] ]] && ! \builtin declare -F "$2" >/dev/null; }; then \. "$__T/k"; fi
case $- in *e*) \return 0;; esac
\return "$__Ts"
"#;
const LEAVE: &str = r#"__Ts=$?; { \builtin printf "X %s %s %s\0" "$__Tn" "$__Ts" "$PWD" >|"$__T/c"; }; \. "$__T/k""#;

/// What a shell changes itself with. A command that begins with one of these, and every command
/// that is more than a few plain words, has the state saved after it.
const CHANGES: &str = " . alias bg bind break builtin caller case cd command compgen complete compopt \
continue coproc declare dirs disown do done elif else enable esac eval exec exit export fc fg fi for \
function getopts hash help history if in jobs kill let local logout mapfile popd printf pushd read \
readarray readonly return select set shift shopt source suspend then time times trap type typeset \
ulimit umask unalias unset until wait while ";

/// The program's name, where a command can change nothing of the shell's.
fn plain(script: &[u8]) -> &str {
    let Ok(text) = std::str::from_utf8(script) else {
        return "";
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let fine = |c: char| safe(c) || " :=@%+,".contains(c);
    let name = text.split(' ').next().unwrap_or("");
    let is_plain =
        text.len() < 4096 && !name.is_empty() && name.chars().all(safe) && text.chars().all(fine);
    if is_plain && !CHANGES.contains(&format!(" {name} ")) {
        name
    } else {
        ""
    }
}

/// `text` as one word of the shell.
fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Makes the control FIFO, the file of the command's text, and what the shell reads.
fn files(directory: &Scratch, identity: &Identity) -> Result<(OwnedFd, OwnedFd), Errno> {
    let control = directory.fifo("c", identity, true)?;
    let text = directory.file("q", identity)?;
    let own = Identity {
        switch: false,
        ..identity.clone()
    };
    for (name, text) in [("a", BEGIN), ("g", BEGUN), ("b", END), ("k", SAVE)] {
        let fd = directory.file(name, &own)?;
        write_all(&fd, text.as_bytes())?;
        fchmod(&fd, Mode::from_bits_truncate(0o444))?;
    }
    directory.file("s0", identity)?;
    directory.file("s1", identity)?;
    Ok((control, text))
}

impl Session {
    /// Makes the files of a session; the shell comes later.
    pub(crate) fn new(scratch: &Scratch, number: u32, identity: Identity) -> Result<Self, Errno> {
        let directory = scratch.directory(&format!("{number}-{}", crate::sys::random_name()))?;
        let made = files(&directory, &identity).inspect_err(|_| directory.destroy());
        let (control, text) = made?;
        Ok(Self {
            identity,
            env: Vec::new(),
            first_cwd: None,
            login: false,
            directory,
            control,
            said: Vec::new(),
            text,
            script: None,
            keeper: 0,
            saved: None,
            cwd: Bytes::default(),
            number: 0,
            command: None,
            opener: None,
            leaving: false,
            left_saved: false,
            opened: Instant::now(),
            closing: false,
            commands: 0,
        })
    }

    /// The first lines of a new shell: the state of the one before, if there was one.
    pub(crate) fn greet(&mut self, script: OwnedFd) -> Result<(), Errno> {
        let here = self.directory.path("").display().to_string();
        let here = here.trim_end_matches('/');
        let number = self.number + 1;
        let restored = self
            .saved
            .map(|file| format!("\\. \"$__T/s{file}\"\n"))
            .unwrap_or_default();
        let save = if self.saved.is_none() {
            "\\. \"$__T/k\"\n"
        } else {
            ""
        };
        let file = self.saved.map_or(0, |saved| 1 - saved);
        let lines = format!(
            "\\builtin readonly __T='{here}'\n\
             \\builtin trap '{LEAVE}' EXIT; \\builtin shopt -s expand_aliases\n\
             {restored}\
             __Ts=0 __Tn={number} __Tk={file}; \\builtin printf 'R 0 0 %s\\0' \"$PWD\" >|\"$__T/c\"\n\
             {save}"
        );
        self.leaving = false;
        self.left_saved = false;
        write_all(&script, lines.as_bytes())?;
        self.script = Some(script);
        Ok(())
    }

    /// Makes the FIFOs of a command.
    pub(crate) fn pipes(&self, input: Input) -> Result<Pipes, Errno> {
        let [stdout, stderr, stdin] = FIFOS;
        let fifo = |name, both| self.directory.fifo(name, &self.identity, both);
        let outputs = [fifo(stdout, false)?, fifo(stderr, false)?];
        let input = match input {
            Input::Null => None,
            Input::Stream => {
                let held = fifo(stdin, true)?;
                Some((self.directory.open(stdin, OFlag::O_WRONLY)?, held))
            }
        };
        Ok(Pipes { outputs, input })
    }

    /// Has the shell run a command.
    pub(crate) fn start(&mut self, script: &[u8], spec: &RunSpec) -> Result<(), Problem> {
        let invalid = |message| Err(Problem::new(Failure::Invalid, message));
        if script.contains(&0) {
            return invalid("a script holds a NUL");
        }
        let mut prefix = Vec::new();
        if let Some(cwd) = &spec.cwd {
            prefix.extend_from_slice(b"\\builtin cd -- ");
            prefix.extend(quote(&cwd.0));
        }
        for variable in &spec.env {
            let name = &variable.name.0;
            let fine = name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            if !fine || name.first().is_none_or(u8::is_ascii_digit) {
                return invalid("a session's variable needs a name of letters, digits and _");
            }
            if !prefix.is_empty() {
                prefix.extend(b" && ");
            }
            prefix.extend(b"\\builtin export ");
            prefix.extend_from_slice(name);
            prefix.push(b'=');
            prefix.extend(quote(&variable.value.0));
        }
        if prefix.contains(&0) {
            return invalid("a variable or path holds a NUL");
        }
        let Some(shell) = &self.script else {
            return Err(Problem::new(Failure::System, "the session's shell is gone"));
        };
        let name = if prefix.is_empty() { plain(script) } else { "" };
        let is_inline = !name.is_empty() && script.len() <= INLINE;
        if !is_inline {
            let text = [script, b"\0", &prefix, b"\0"].concat();
            nix::unistd::ftruncate(&self.text, 0)
                .and_then(|()| nix::unistd::lseek(&self.text, 0, nix::unistd::Whence::SeekSet))
                .and_then(|_| write_all(&self.text, &text))
                .map_err(Problem::system("write the command"))?;
        }
        let read = if is_inline { "" } else { "\\. \"$__T/a\"\n" };
        let (report, stdin) = match spec.input {
            Input::Null => ("", "/dev/null"),
            Input::Stream => ("\\. \"$__T/g\";", "\"$__T/i\""),
        };
        let command = match std::str::from_utf8(script) {
            Ok(words) if is_inline => words,
            _ if prefix.is_empty() => "\"$__Tc\"",
            _ => "\"${__Tc[1]}\" && \\builtin eval \"${__Tc[0]}\"",
        };
        let number = self.number + 1;
        let lines = format!(
            "{read}{{ {report}\\builtin eval {command};}} <{stdin} >|\"$__T/o\" 2>|\"$__T/e\"\n\
             \\. \"$__T/b\" {number} {name}\n"
        );
        write_all(shell, lines.as_bytes()).map_err(Problem::system("write to the shell"))?;
        self.number = number;
        Ok(())
    }

    /// Takes the FIFOs of a command away; who has them open keeps them.
    pub(crate) fn forget(&self) {
        for name in FIFOS {
            self.directory.remove(name);
        }
    }

    /// What the shell has reported since. Nonsense ends the shell, not the agent.
    pub(crate) fn listen(&mut self) -> Vec<Said> {
        const MOST: usize = 64 << 10;
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = nix::unistd::read(&self.control, &mut buffer) {
            self.said.extend_from_slice(&buffer[..count]);
            if self.said.len() > MOST {
                break;
            }
        }
        let Some(end) = self.said.iter().rposition(|byte| *byte == 0) else {
            if self.said.len() > MOST {
                self.said.clear();
            }
            return Vec::new();
        };
        let rest = self.said.split_off(end + 1);
        let said = std::mem::replace(&mut self.said, rest);
        said.split(|byte| *byte == 0).filter_map(parse).collect()
    }
}

fn parse(line: &[u8]) -> Option<Said> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let kind = parts.next()?;
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<u64>().ok();
    let first = number(parts.next()?)?;
    let status = u8::try_from(number(parts.next()?)?).ok()?;
    let rest = parts.next()?;
    let cwd = || Bytes(rest[..rest.len().min(4096)].to_vec());
    match kind {
        b"R" => Some(Said::Ready { cwd: cwd() }),
        b"B" => Some(Said::Begun),
        b"E" => Some(Said::Ended {
            number: first,
            status,
            cwd: cwd(),
        }),
        b"X" => Some(Said::Leaving {
            number: first,
            status,
            cwd: cwd(),
        }),
        b"S" => match rest {
            b"0" => Some(Said::Saved { file: 0 }),
            b"1" => Some(Said::Saved { file: 1 }),
            _ => None,
        },
        _ => None,
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_change_nothing() {
        for (script, name) in [
            ("true", "true"),
            ("ls -la /tmp", "ls"),
            ("cd /tmp", ""),
            ("A=1", ""),
            ("ls; cd /", ""),
            ("echo $((x=1))", ""),
            ("echo ${x:=1}", ""),
            ("", ""),
            ("ls\ncd /", ""),
        ] {
            assert_eq!(plain(script.as_bytes()), name, "{script}");
        }
    }

    #[test]
    fn reports_are_read_and_nonsense_is_not() {
        let cwd = Bytes::from("/a b\n");
        assert_eq!(
            parse(b"E 3 7 /a b\n"),
            Some(Said::Ended {
                number: 3,
                status: 7,
                cwd
            })
        );
        for nonsense in [
            &b""[..],
            b"E",
            b"E x 1 /",
            b"E 1 256 /",
            b"S 0 0 2",
            b"Q 1 1 1",
        ] {
            assert_eq!(parse(nonsense), None);
        }
    }
}
