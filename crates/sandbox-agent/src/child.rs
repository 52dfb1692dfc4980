//! From a forked process to the program that was asked for.

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;

use crate::failure::Problem;
use crate::sys;
use crate::user::Identity;
use crate::wire::{Bytes, Failure, Program, Variable};

/// Where programs are looked for when nothing says where.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The shell of users that have none of their own.
const SHELL: &str = "/bin/sh";

/// What a child becomes.
#[derive(Debug)]
pub(crate) struct Child {
    /// Tried in this order; each is a program's name and its arguments.
    pub(crate) candidates: Vec<Vec<CString>>,
    pub(crate) env: Vec<CString>,
    pub(crate) path: Vec<u8>,
    pub(crate) cwd: Option<CString>,
    pub(crate) identity: Identity,
    pub(crate) stdio: [OwnedFd; 3],
    pub(crate) terminal: bool,
}

/// What a child was at when it failed. Sent to the agent as one byte, the error number as four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Setup,
    User,
    Directory,
    Program,
    Shell,
}

impl Stage {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The failure that a child has reported.
    pub(crate) fn problem(number: u8, errno: Errno, child: &Described) -> Problem {
        match number {
            1 => Problem::errno(Failure::User, errno, "cannot become the user"),
            2 => Problem::errno(
                Failure::Directory,
                errno,
                &format!("cannot enter {}", child.cwd),
            ),
            3 => Problem::errno(
                Failure::CannotRun,
                errno,
                &format!("cannot run {}", child.program),
            ),
            4 => Problem::errno(Failure::NoShell, errno, "the sandbox has no shell"),
            5 => Problem::system("fork")(errno),
            _ => Problem::errno(Failure::System, errno, "cannot set the command up"),
        }
    }
}

/// The names that a failure mentions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    pub(crate) program: String,
    pub(crate) cwd: String,
}

/// What can be said about a child before it is forked.
pub(crate) struct Asked<'a> {
    pub(crate) program: &'a Program,
    pub(crate) cwd: Option<&'a Bytes>,
    pub(crate) env_clear: bool,
    pub(crate) env: &'a [Variable],
    pub(crate) identity: Identity,
    pub(crate) terminal: bool,
}

fn c_string(bytes: &[u8]) -> Result<CString, Problem> {
    CString::new(bytes).map_err(|_| {
        Problem::new(
            Failure::Invalid,
            "an argument, variable or path holds a NUL",
        )
    })
}

impl Child {
    pub(crate) fn new(asked: &Asked<'_>, stdio: [OwnedFd; 3]) -> Result<Self, Problem> {
        let candidates = match asked.program {
            Program::Argv(argv) => {
                if argv.first().is_none_or(|name| name.0.is_empty()) {
                    return Err(Problem::new(Failure::Invalid, "the command has no program"));
                }
                let argv: Result<_, _> =
                    argv.iter().map(|argument| c_string(&argument.0)).collect();
                vec![argv?]
            }
            Program::Shell(script) => {
                let script = c_string(&script.0)?;
                let with = |shell: &CString| vec![shell.clone(), c"-c".to_owned(), script.clone()];
                vec![with(&c"bash".to_owned()), with(&c"sh".to_owned())]
            }
        };
        let variables = environment(asked);
        let path = variables.iter().rev().find(|(name, _)| name == "PATH");
        let path = path.map_or(PATH.to_vec(), |(_, value)| value.as_bytes().to_vec());
        let env: Result<_, _> = variables
            .iter()
            .map(|(name, value)| c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect();
        Ok(Self {
            candidates,
            env: env?,
            path,
            cwd: asked.cwd.map(|cwd| c_string(&cwd.0)).transpose()?,
            identity: asked.identity.clone(),
            stdio,
            terminal: asked.terminal,
        })
    }

    /// Becomes the program. Comes back only where that failed.
    pub(crate) fn exec(&self) -> (Stage, Errno) {
        match self.prepare() {
            Ok(()) => {}
            Err(failed) => return failed,
        }
        let mut last = Errno::ENOENT;
        for candidate in &self.candidates {
            last = self.try_exec(candidate);
            if last != Errno::ENOENT {
                break;
            }
        }
        if self.candidates.len() > 1 && last == Errno::ENOENT {
            return (Stage::Shell, last);
        }
        (Stage::Program, last)
    }

    fn prepare(&self) -> Result<(), (Stage, Errno)> {
        let setup = |errno| (Stage::Setup, errno);
        nix::unistd::setsid().map_err(setup)?;
        for (target, fd) in (0..).zip(&self.stdio) {
            sys::dup_onto(fd.as_raw_fd(), target).map_err(setup)?;
        }
        if self.terminal {
            sys::control_terminal().map_err(setup)?;
        }
        prefer_as_victim();
        sys::restore_files().map_err(setup)?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        if self.identity.switch {
            let identity = &self.identity;
            sys::assume(identity.uid, identity.gid, &identity.groups)
                .map_err(|errno| (Stage::User, errno))?;
        }
        if let Some(cwd) = &self.cwd {
            nix::unistd::chdir(cwd.as_c_str()).map_err(|errno| (Stage::Directory, errno))?;
        }
        sys::close_on_exec();
        sys::default_signals();
        Ok(())
    }

    /// As execvp does, with the command's own `PATH`.
    fn try_exec(&self, argv: &[CString]) -> Errno {
        let Some(name) = argv.first() else {
            return Errno::EINVAL;
        };
        if name.to_bytes().contains(&b'/') {
            return execute(name, argv, &self.env);
        }
        let mut last = Errno::ENOENT;
        for directory in self.path.split(|byte| *byte == b':') {
            let directory = if directory.is_empty() {
                &b"."[..]
            } else {
                directory
            };
            let Ok(path) = CString::new([directory, b"/", name.to_bytes()].concat()) else {
                continue;
            };
            match execute(&path, argv, &self.env) {
                Errno::ENOENT | Errno::ENOTDIR => {}
                // Something is there, but it cannot be run: the next directory may have better.
                Errno::EACCES => last = Errno::EACCES,
                errno => return errno,
            }
        }
        last
    }
}

fn execute(path: &CString, argv: &[CString], env: &[CString]) -> Errno {
    match nix::unistd::execve(path, argv, env) {
        Ok(never) => match never {},
        Err(errno) => errno,
    }
}

/// Where memory runs out, a command goes before the agent does.
fn prefer_as_victim() {
    let path = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(path)
        .ok()
        .and_then(|score| score.trim().parse::<i32>().ok());
    if now.is_none_or(|now| now < 200) {
        // Best effort: without it, the kernel chooses by size, which is mostly the same.
        std::fs::write(path, "200").unwrap_or_default();
    }
}

fn environment(asked: &Asked<'_>) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    let mut set = |name: OsString, value: OsString| {
        if let Some(at) = index.get(&name) {
            let slot: &mut (OsString, OsString) = &mut variables[*at];
            slot.1 = value;
        } else {
            index.insert(name.clone(), variables.len());
            variables.push((name, value));
        }
    };
    let inherited = !asked.env_clear;
    set("PATH".into(), OsString::from_vec(PATH.to_vec()));
    if asked.terminal {
        set("TERM".into(), "xterm".into());
    }
    let home = asked.identity.home.clone().unwrap_or_else(|| "/".into());
    set("HOME".into(), home.clone());
    // Without it, bash looks the user up whenever it starts, which takes longer than the rest.
    let shell = asked.identity.shell.clone().unwrap_or_else(|| SHELL.into());
    set("SHELL".into(), shell.clone());
    if inherited {
        std::env::vars_os().for_each(|(name, value)| set(name, value));
    }
    if asked.identity.switch {
        set("HOME".into(), home);
        set("SHELL".into(), shell);
        if let Some(name) = &asked.identity.name {
            set("USER".into(), name.into());
            set("LOGNAME".into(), name.into());
        }
    }
    for variable in asked.env {
        set(
            OsString::from_vec(variable.name.0.clone()),
            OsString::from_vec(variable.value.0.clone()),
        );
    }
    variables
}
