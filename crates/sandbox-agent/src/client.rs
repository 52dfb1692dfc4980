//! A small blocking client: the protocol's reference, and what the tests use.
//!
//! It waits for one request at a time with a deadline; frames of other requests are kept for when
//! they are waited for.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::wire::{
    AgentHello, Channel, ClientHello, Credit, Decoder, Ended, Failed, INITIAL_CREDIT, Input,
    MAX_DATA, RunSpec, ToAgent, ToClient, VERSION, WireError,
};

/// Why nothing came of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The agent said so.
    #[error("the agent refused: {}", .0.message)]
    Failed(Failed),
    /// The agent did not answer in time: it is stopped, or gone.
    #[error("no answer in time")]
    Timeout,
    /// The connection is over.
    #[error("the connection has ended")]
    Closed,
    /// What came is not the protocol.
    #[error("the agent does not speak the protocol")]
    Wire(#[from] WireError),
    /// The agent answered something else.
    #[error("an answer that was not asked for: {0}")]
    Unexpected(String),
    /// Reading or writing failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl From<Errno> for ClientError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// What a command gave.
#[derive(Debug)]
pub struct Finished {
    /// Its result.
    pub ended: Ended,
    /// Its stdout, or the beginning of it.
    pub stdout: Vec<u8>,
    /// Its stderr, or the beginning of it.
    pub stderr: Vec<u8>,
    /// The end of its stdout, where it was captured.
    pub stdout_tail: Vec<u8>,
    /// The end of its stderr, where it was captured.
    pub stderr_tail: Vec<u8>,
}

/// A connection to an agent.
#[derive(Debug)]
pub struct Client {
    input: OwnedFd,
    output: OwnedFd,
    decoder: Decoder<ToClient>,
    kept: VecDeque<(u32, ToClient)>,
    waiting: Vec<u8>,
    last: u32,
    /// How long every call waits at most.
    pub patience: Duration,
    hello: AgentHello,
}

impl Client {
    /// Greets an agent over two streams: what it says, and what is said to it.
    ///
    /// # Errors
    ///
    /// [`ClientError`], also where the agent is silent for `patience`.
    pub fn new(input: OwnedFd, output: OwnedFd, patience: Duration) -> Result<Self, ClientError> {
        for fd in [&input, &output] {
            use nix::fcntl::{FcntlArg, OFlag, fcntl};
            let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
            fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let mut client = Self {
            input,
            output,
            decoder: Decoder::new(),
            kept: VecDeque::new(),
            waiting: Vec::new(),
            last: 0,
            patience,
            hello: AgentHello {
                version: 0,
                agent: String::new(),
                hash: [0; 32],
                pid: 0,
                uid: 0,
                instance: [0; 16],
                boot_id: String::new(),
            },
        };
        let hello = ClientHello { version: VERSION };
        client.send(0, &ToAgent::Hello(hello));
        match client.next(0)? {
            ToClient::Hello(hello) => client.hello = hello,
            other => return Err(unexpected(&other)),
        }
        Ok(client)
    }

    /// What the agent has said of itself.
    #[must_use]
    pub fn hello(&self) -> &AgentHello {
        &self.hello
    }

    /// A request id that is free.
    pub fn id(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    /// Queues a frame; it is sent while something is waited for.
    pub fn send(&mut self, id: u32, frame: &ToAgent) {
        frame.encode(id, &mut self.waiting);
    }

    /// Queues bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Sends what is queued and reads what comes, until `until`; whether anything came.
    fn exchange(&mut self, until: Instant) -> Result<(), ClientError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Timeout);
        }
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let writes = if self.waiting.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::POLLOUT
        };
        let mut fds = [
            PollFd::new(self.input.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.output.as_fd(), writes),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let readable = fds[0].any().unwrap_or(false);
        if !self.waiting.is_empty() {
            match nix::unistd::write(&self.output, &self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                // What the agent has said last is still to be read.
                Err(Errno::EPIPE | Errno::ECONNRESET) => self.waiting.clear(),
                Err(errno) => return Err(errno.into()),
            }
        }
        if readable {
            let mut buffer = vec![0; MAX_DATA];
            match nix::unistd::read(&self.input, &mut buffer) {
                Ok(0) | Err(Errno::ECONNRESET) => return Err(ClientError::Closed),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            while let Some(frame) = self.decoder.next_frame()? {
                self.kept.push_back(frame);
            }
        }
        Ok(())
    }

    /// The next frame of a request. With another id than 0, a failure of the connection comes as
    /// an error.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`] where none comes in time, and others.
    pub fn next(&mut self, id: u32) -> Result<ToClient, ClientError> {
        let until = Instant::now() + self.patience;
        loop {
            let is_mine = |(of, frame): &(u32, ToClient)| {
                *of == id || (*of == 0 && matches!(frame, ToClient::Failed(_)))
            };
            if let Some(at) = self.kept.iter().position(is_mine) {
                match self.kept.remove(at) {
                    Some((_, ToClient::Failed(failed))) => return Err(ClientError::Failed(failed)),
                    Some((_, frame)) => return Ok(frame),
                    None => {}
                }
            }
            self.exchange(until)?;
        }
    }

    /// Sends one frame and gives the next one of its request.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn ask(&mut self, frame: &ToAgent) -> Result<ToClient, ClientError> {
        let id = self.id();
        self.send(id, frame);
        self.next(id)
    }

    /// Sends one frame whose answer is a number.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn number(&mut self, frame: &ToAgent) -> Result<u64, ClientError> {
        match self.ask(frame)? {
            ToClient::Done(number) => Ok(number),
            other => Err(unexpected(&other)),
        }
    }

    /// How long the agent takes to answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Timeout`] where it does not.
    pub fn ping(&mut self) -> Result<Duration, ClientError> {
        let start = Instant::now();
        self.ask(&ToAgent::Ping)?;
        Ok(start.elapsed())
    }

    /// Runs a command with an empty stdin and waits for its end.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn run(&mut self, spec: RunSpec) -> Result<Finished, ClientError> {
        let id = self.start(spec);
        self.finish(id)
    }

    /// Runs a command that reads `stdin`, and waits for its end.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn run_with(&mut self, mut spec: RunSpec, stdin: &[u8]) -> Result<Finished, ClientError> {
        spec.input = Input::Stream;
        let id = self.start(spec);
        let mut finished = Finished::empty();
        let mut credit = usize::try_from(INITIAL_CREDIT).unwrap_or(0);
        let mut rest = stdin;
        while !rest.is_empty() {
            let count = rest.len().min(MAX_DATA).min(credit);
            if count > 0 {
                self.send(id, &ToAgent::Data(Channel::Stdin, rest[..count].to_vec()));
                rest = &rest[count..];
                credit -= count;
                continue;
            }
            match self.next(id)? {
                ToClient::Credit(more) => credit += usize::try_from(more.bytes).unwrap_or(0),
                frame => {
                    if finished.take(self, id, frame)? {
                        return Ok(finished);
                    }
                }
            }
        }
        self.send(id, &ToAgent::Eof(Channel::Stdin));
        self.finish_into(id, finished)
    }

    /// Asks for a command without waiting; its request id.
    pub fn start(&mut self, spec: RunSpec) -> u32 {
        let id = self.id();
        self.send(id, &ToAgent::Run(spec));
        id
    }

    /// Waits for the end of a command, or of a job that is followed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn finish(&mut self, id: u32) -> Result<Finished, ClientError> {
        self.finish_into(id, Finished::empty())
    }

    fn finish_into(&mut self, id: u32, mut finished: Finished) -> Result<Finished, ClientError> {
        loop {
            let frame = self.next(id)?;
            if finished.take(self, id, frame)? {
                return Ok(finished);
            }
        }
    }
}

impl Finished {
    fn empty() -> Self {
        use crate::wire::{Counts, End, SessionEffect};
        Self {
            ended: Ended {
                end: End::Exited(0),
                stdout: Counts::default(),
                stderr: Counts::default(),
                timed_out: false,
                cancelled: false,
                killed: 0,
                survivors: 0,
                duration_us: 0,
                cwd: None,
                session: SessionEffect::None,
            },
            stdout: Vec::new(),
            stderr: Vec::new(),
            stdout_tail: Vec::new(),
            stderr_tail: Vec::new(),
        }
    }

    /// Takes one frame; whether it was the last.
    fn take(&mut self, client: &mut Client, id: u32, frame: ToClient) -> Result<bool, ClientError> {
        match frame {
            ToClient::Data(channel, bytes) => {
                let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                match channel {
                    Channel::Stdout | Channel::Stdin => &mut self.stdout,
                    Channel::Stderr => &mut self.stderr,
                    Channel::StdoutTail => &mut self.stdout_tail,
                    Channel::StderrTail => &mut self.stderr_tail,
                }
                .extend(bytes);
                client.send(
                    id,
                    &ToAgent::Credit(Credit {
                        channel,
                        bytes: count,
                    }),
                );
            }
            ToClient::Started(_) | ToClient::Credit(_) | ToClient::Eof(_) => {}
            ToClient::Ended(ended) => {
                self.ended = ended;
                return Ok(true);
            }
            ToClient::Done(_) => return Ok(true),
            other => return Err(unexpected(&other)),
        }
        Ok(false)
    }

    /// The stdout as text, for tests and messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

fn unexpected(frame: &ToClient) -> ClientError {
    ClientError::Unexpected(format!("{frame:?}").chars().take(200).collect())
}
