//! The frames of each direction, and their numbers.

use super::decoder::{FrameSet, HEADER};
use super::error::WireError;
use super::field::{Field, Reader};
use super::{
    AgentHello, Bytes, Channel, ClientHello, Credit, Ended, Entry, Failed, Follow, Get, JobInfo,
    MAX_DATA, MAX_PAYLOAD, Metrics, Put, RunSpec, SessionInfo, SessionSpec, Status, Window,
};

/// How much a small frame may have.
const SMALL: usize = 16 << 10;

fn encode(kind: u8, id: u32, out: &mut Vec<u8>, put_payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.push(kind);
    out.extend(id.to_be_bytes());
    put_payload(out);
    let length = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

macro_rules! frames {
    ($data:literal $(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $kind:literal $most:tt $variant:ident $(($($type:ty),+))?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            /// Bytes of a channel, at most [`MAX_DATA`](super::MAX_DATA).
            Data(Channel, Vec<u8>),
            $($(#[$variant_meta])* $variant $(($($type),+))?,)*
        }

        impl $name {
            /// The number that stands for this kind of frame.
            #[must_use]
            pub fn kind(&self) -> u8 {
                match self {
                    Self::Data(..) => <Self as FrameSet>::DATA,
                    $(Self::$variant { .. } => $kind,)*
                }
            }

            /// Appends the frame to `out`.
            pub fn encode(&self, id: u32, out: &mut Vec<u8>) {
                encode(self.kind(), id, out, |out| self.put_payload(out));
            }

            /// Appends the frame that carries these bytes to `out`.
            pub fn encode_data(id: u32, channel: Channel, bytes: &[u8], out: &mut Vec<u8>) {
                encode(<Self as FrameSet>::DATA, id, out, |out| {
                    channel.put(out);
                    out.extend_from_slice(bytes);
                });
            }
        }

        impl FrameSet for $name {
            const DATA: u8 = $data;

            fn most(kind: u8) -> usize {
                match kind {
                    Self::DATA => MAX_DATA + 1,
                    $($kind => $most,)*
                    _ => MAX_PAYLOAD,
                }
            }

            fn decode(kind: u8, payload: &[u8]) -> Result<Option<Self>, WireError> {
                let mut reader = Reader(payload);
                let from = &mut reader;
                let frame = match kind {
                    Self::DATA => Channel::take(from).map(|channel| Self::Data(channel, from.rest())),
                    $($kind => frames!(@take from, $variant $(($($type),+))?),)*
                    _ => return Ok(None),
                };
                let frame = frame.map_err(|error| error.of(kind))?;
                if reader.0.is_empty() {
                    Ok(Some(frame))
                } else {
                    Err(WireError::Trailing { kind, left: reader.0.len() })
                }
            }
        }
    };
    (@take $from:ident, $variant:ident) => { Ok(Self::$variant) };
    (@take $from:ident, $variant:ident ($($type:ty),+)) => {
        (|| Ok(Self::$variant($(<$type as Field>::take($from)?),+)))()
    };
}

frames! {
    0x04
    /// What a client sends.
    pub enum ToAgent {
        /// Always the first.
        0x01 SMALL Hello(ClientHello),
        /// Is answered by `Pong`.
        0x02 SMALL Ping,
        /// Runs a command: `Started`, data, `Ended`; or `Failed`.
        0x03 MAX_PAYLOAD Run(RunSpec),
        /// The channel has come to its end.
        0x05 SMALL Eof(Channel),
        /// The agent may send more on a channel.
        0x06 SMALL Credit(Credit),
        /// Sends a signal to the command's process group; unanswered.
        0x07 SMALL Signal(u8),
        /// The terminal's size has changed; unanswered.
        0x08 SMALL Resize(Window),
        /// Kills all of the command's processes, or gives a transfer or a follow up. The request
        /// ends as it would have, only sooner.
        0x09 SMALL Cancel,
        /// Opens a session: `Done` with its number.
        0x0a MAX_PAYLOAD SessionOpen(SessionSpec),
        /// Closes a session and kills what it runs: `Done`.
        0x0b SMALL SessionClose(u32),
        /// Asks for `Sessions`.
        0x0c SMALL SessionList,
        /// Runs a command as a job: `Done` with its number. The number of bytes is how much of
        /// each output stream is kept, 64 MiB at most.
        0x0d MAX_PAYLOAD JobStart(RunSpec, u32),
        /// Asks for `Jobs`.
        0x0e SMALL JobList,
        /// Follows a job: data, then `Ended`, or `Done` where it still runs and was not waited for.
        0x0f SMALL JobFollow(Follow),
        /// Sends a signal to a job's process group: `Done`.
        0x10 SMALL JobSignal(u32, u8),
        /// Kills all of a job's processes: `Done` with how many, when they are gone.
        0x11 SMALL JobKill(u32),
        /// Forgets a job that has ended: `Done`.
        0x12 SMALL JobRemove(u32),
        /// Puts a file or a tree: `Done` with the bytes written.
        0x13 SMALL Put(Put),
        /// Gets a file or a tree: entries and data, `Done` with the bytes read.
        0x14 SMALL Get(Get),
        /// One file of what is put.
        0x15 SMALL Entry(Entry),
        /// Asks for `Status`.
        0x16 SMALL Status,
        /// Asks for `Metrics`.
        0x17 SMALL Metrics,
        /// Asks for `Probes`.
        0x18 SMALL Probe,
    }
}

frames! {
    0x84
    /// What the agent sends.
    pub enum ToClient {
        /// Always the first.
        0x81 SMALL Hello(AgentHello),
        /// Answers `Ping`.
        0x82 SMALL Pong,
        /// The command runs, as the process with this id.
        0x83 SMALL Started(u32),
        /// The channel has come to its end.
        0x85 SMALL Eof(Channel),
        /// The client may send more on a channel.
        0x86 SMALL Credit(Credit),
        /// The command has ended. The last frame of its request.
        0x87 SMALL Ended(Ended),
        /// The request has failed. Its last frame; with id 0, the connection's.
        0x88 SMALL Failed(Failed),
        /// The request is done. Its last frame.
        0x89 SMALL Done(u64),
        /// All sessions.
        0x8a MAX_PAYLOAD Sessions(Vec<SessionInfo>),
        /// All jobs.
        0x8b MAX_PAYLOAD Jobs(Vec<JobInfo>),
        /// How the agent is.
        0x8c SMALL Status(Status),
        /// What the sandbox uses.
        0x8d SMALL Metrics(Metrics),
        /// What the posture probes found, as JSON.
        0x8e MAX_PAYLOAD Probes(Bytes),
        /// One file of what was asked for.
        0x90 SMALL Entry(Entry),
    }
}

impl ToAgent {
    fn put_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Data(channel, bytes) => {
                channel.put(out);
                out.extend_from_slice(bytes);
            }
            Self::Hello(hello) => hello.put(out),
            Self::Run(spec) => spec.put(out),
            Self::Eof(channel) => channel.put(out),
            Self::Credit(credit) => credit.put(out),
            Self::Signal(signal) => signal.put(out),
            Self::Resize(window) => window.put(out),
            Self::SessionOpen(spec) => spec.put(out),
            Self::SessionClose(number) | Self::JobKill(number) | Self::JobRemove(number) => {
                number.put(out);
            }
            Self::JobStart(spec, kept) => {
                spec.put(out);
                kept.put(out);
            }
            Self::JobFollow(follow) => follow.put(out),
            Self::JobSignal(job, signal) => {
                job.put(out);
                signal.put(out);
            }
            Self::Put(put) => put.put(out),
            Self::Get(get) => get.put(out),
            Self::Entry(entry) => entry.put(out),
            Self::Ping
            | Self::Cancel
            | Self::SessionList
            | Self::JobList
            | Self::Status
            | Self::Metrics
            | Self::Probe => {}
        }
    }
}

impl ToClient {
    fn put_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Data(channel, bytes) => {
                channel.put(out);
                out.extend_from_slice(bytes);
            }
            Self::Hello(hello) => hello.put(out),
            Self::Started(pid) => pid.put(out),
            Self::Eof(channel) => channel.put(out),
            Self::Credit(credit) => credit.put(out),
            Self::Ended(ended) => ended.put(out),
            Self::Failed(failed) => failed.put(out),
            Self::Done(value) => value.put(out),
            Self::Sessions(sessions) => sessions.put(out),
            Self::Jobs(jobs) => jobs.put(out),
            Self::Status(status) => status.put(out),
            Self::Metrics(metrics) => metrics.put(out),
            Self::Probes(json) => json.put(out),
            Self::Entry(entry) => entry.put(out),
            Self::Pong => {}
        }
    }
}
