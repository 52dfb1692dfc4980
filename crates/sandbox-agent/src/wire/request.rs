//! What a client asks for.

use std::fmt;

use super::error::FieldError;
use super::field::{Field, Reader, choice, record};

/// Bytes that need not be text: arguments, paths, values of variables.
#[derive(Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Bytes(
    /// The bytes.
    pub Vec<u8>,
);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A variable of the environment. Its value is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name: not empty, without `=` and NUL.
    pub name: Bytes,
    /// Its value, without NUL.
    pub value: Bytes,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}=…", self.name)
    }
}

impl Field for Variable {
    fn put(&self, out: &mut Vec<u8>) {
        self.name.put(out);
        self.value.put(out);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            name: Bytes::take(from)?,
            value: Bytes::take(from)?,
        })
    }
}

choice! {
    /// One of the byte streams of a request.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Channel: "channel" {
        /// To the command, and the content of files that are put.
        Stdin = 0,
        /// From the command (all of it where there is a PTY), and the content of files.
        Stdout = 1,
        /// From the command.
        Stderr = 2,
        /// The last bytes of a captured stdout.
        StdoutTail = 3,
        /// The last bytes of a captured stderr.
        StderrTail = 4,
    }

    /// What a command's stdin is.
    pub enum Input: "kind of input" {
        /// `/dev/null`.
        Null = 0,
        /// Data frames on [`Channel::Stdin`], until `Eof`.
        Stream = 1,
    }

    /// What becomes of a command whose client goes away.
    pub enum OnDisconnect: "choice on disconnect" {
        /// All its processes are killed.
        Kill = 0,
        /// It goes on, and its output is thrown away.
        Keep = 1,
    }

    /// What a put does where something is already.
    pub enum Overwrite: "choice on overwriting" {
        /// Fails.
        Refuse = 0,
        /// Takes its place, in one step.
        Replace = 1,
    }

    /// What a file of a tree is.
    pub enum EntryKind: "kind of file" {
        /// A regular file; its content follows as data.
        File = 0,
        /// A directory.
        Directory = 1,
        /// A symbolic link.
        Link = 2,
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program, looked for in the command's `PATH`, and its arguments; the first is its name.
    Argv(Vec<Bytes>),
    /// A script, for bash where there is one, for sh otherwise.
    Shell(Bytes),
}

impl Field for Program {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Argv(argv) => {
                out.push(0);
                argv.put(out);
            }
            Self::Shell(script) => {
                out.push(1);
                script.put(out);
            }
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        match u8::take(from)? {
            0 => Vec::take(from).map(Self::Argv),
            1 => Bytes::take(from).map(Self::Shell),
            _ => Err(FieldError::Value("kind of program")),
        }
    }
}

/// What becomes of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It is sent as it comes.
    Stream,
    /// The beginning and the end are sent when the command has ended.
    Capture {
        /// How many bytes of the beginning, of each stream; at most 1 MiB.
        head: u32,
        /// How many bytes of the end; at most 1 MiB.
        tail: u32,
        /// How many bytes of each stream go to a file in the sandbox where head and tail do not
        /// hold it all. 0 for no file.
        spill: u64,
    },
    /// It is counted and thrown away.
    Discard,
}

impl Field for Output {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stream => out.push(0),
            Self::Capture { head, tail, spill } => {
                out.push(1);
                head.put(out);
                tail.put(out);
                spill.put(out);
            }
            Self::Discard => out.push(2),
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, FieldError> {
        match u8::take(from)? {
            0 => Ok(Self::Stream),
            1 => Ok(Self::Capture {
                head: u32::take(from)?,
                tail: u32::take(from)?,
                spill: u64::take(from)?,
            }),
            2 => Ok(Self::Discard),
            _ => Err(FieldError::Value("kind of output")),
        }
    }
}

record! {
    /// The first frame of a client.
    #[derive(Copy)]
    pub struct ClientHello {
        /// The version of the protocol that it speaks.
        pub version: u16,
    }

    /// The size of a terminal, in characters.
    #[derive(Copy)]
    pub struct Window {
        /// Lines.
        pub rows: u16,
        /// Columns.
        pub columns: u16,
    }

    /// More bytes that may be sent on a channel.
    #[derive(Copy)]
    pub struct Credit {
        /// The channel.
        pub channel: Channel,
        /// How many bytes more.
        pub bytes: u32,
    }

    /// A command. [`RunSpec::shell`] and [`RunSpec::argv`] begin one.
    pub struct RunSpec {
        /// What is run. In a session it is a script.
        pub program: Program,
        /// The session that it is run in; 0 for none. There, `cwd` and `env` change what the
        /// session keeps, and `user`, `env_clear` and `pty` cannot be given.
        pub session: u32,
        /// Its working directory; the agent's own where there is none.
        pub cwd: Option<Bytes>,
        /// Whether it begins without the sandbox's environment.
        pub env_clear: bool,
        /// Variables that are set.
        pub env: Vec<Variable>,
        /// `user`, `uid`, `user:group` or `uid:gid`; the agent's own where there is none.
        pub user: Option<String>,
        /// Its stdin.
        pub input: Input,
        /// The terminal that it gets, if any.
        pub pty: Option<Window>,
        /// After how many milliseconds it is killed; 0 for never.
        pub timeout_ms: u64,
        /// How many milliseconds it has between SIGTERM and SIGKILL when it is killed; 0 for
        /// SIGKILL at once.
        pub grace_ms: u32,
        /// What becomes of its output.
        pub output: Output,
        /// What becomes of it when the client goes away.
        pub on_disconnect: OnDisconnect,
    }

    /// A session to open.
    pub struct SessionSpec {
        /// Its first working directory; the agent's own where there is none.
        pub cwd: Option<Bytes>,
        /// Variables that are set.
        pub env: Vec<Variable>,
        /// Whose it is, as in [`RunSpec::user`].
        pub user: Option<String>,
        /// Whether the shell is a login shell, which reads the user's profile.
        pub login: bool,
    }

    /// A job to follow.
    #[derive(Copy)]
    pub struct Follow {
        /// The job.
        pub job: u32,
        /// Whether the output that is kept comes first; otherwise only what is new.
        pub from_start: bool,
        /// Whether to go on until the job ends; otherwise what is there now is all.
        pub wait: bool,
    }

    /// A file or a tree to put: `Entry` frames follow, files' content as data on
    /// [`Channel::Stdin`], then `Eof`.
    pub struct Put {
        /// Where it goes; absolute.
        pub path: Bytes,
        /// As whom it is written.
        pub user: Option<String>,
        /// What happens where something is already.
        pub overwrite: Overwrite,
        /// Whether directories on the way are made.
        pub parents: bool,
    }

    /// A file or a tree to get: `Entry` frames come, files' content as data on
    /// [`Channel::Stdout`], then `Done`.
    pub struct Get {
        /// What; absolute. A symbolic link as its last part is followed.
        pub path: Bytes,
        /// As whom it is read.
        pub user: Option<String>,
    }

    /// One file of a tree.
    pub struct Entry {
        /// Its path below the root of the tree; empty for the root itself. No part of it is empty,
        /// `.` or `..`.
        pub path: Bytes,
        /// What it is.
        pub kind: EntryKind,
        /// Its permission bits, 0 to 0o7777.
        pub mode: u32,
        /// How many bytes of content follow; 0 unless it is a file.
        pub size: u64,
        /// Where a link points; empty unless it is one.
        pub target: Bytes,
    }
}

impl RunSpec {
    /// A script with an empty stdin, streamed output and no limit, killed with its client.
    #[must_use]
    pub fn shell(script: impl Into<Bytes>) -> Self {
        Self::new(Program::Shell(script.into()))
    }

    /// A program with its arguments, otherwise as [`RunSpec::shell`].
    #[must_use]
    pub fn argv<A: Into<Bytes>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self::new(Program::Argv(argv.into_iter().map(Into::into).collect()))
    }

    fn new(program: Program) -> Self {
        Self {
            program,
            session: 0,
            cwd: None,
            env_clear: false,
            env: Vec::new(),
            user: None,
            input: Input::Null,
            pty: None,
            timeout_ms: 0,
            grace_ms: 0,
            output: Output::Stream,
            on_disconnect: OnDisconnect::Kill,
        }
    }
}
