//! Jobs: commands that belong to no client.

use std::time::{Duration, Instant};

use super::output::{Sink, Stream};
use crate::wire::{
    Bytes, Channel, Counts, End, Ended, Follow, INITIAL_CREDIT, JobInfo, JobState, MAX_DATA,
};

/// A job, running or not.
#[derive(Debug)]
pub(crate) struct Job {
    /// The command, while it runs.
    pub(crate) command: Option<u64>,
    pub(crate) pid: i32,
    pub(crate) label: Bytes,
    pub(crate) started: Instant,
    /// What was left when it ended.
    pub(crate) over: Option<Over>,
    /// Who waits for its start.
    pub(crate) starter: Option<(u64, u32)>,
    /// How many bytes of each stream it keeps.
    pub(crate) kept: u32,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) result: Ended,
    pub(crate) streams: [Stream; 2],
}

/// A client that follows a job.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) what: Follow,
    pub(crate) positions: [u64; 2],
    pub(crate) credit: [u64; 2],
}

impl Following {
    pub(crate) fn new(what: Follow, streams: &[Stream; 2]) -> Self {
        let positions = streams.each_ref().map(|stream| match &stream.sink {
            Sink::Ring(ring) if !what.from_start => ring.end,
            _ => 0,
        });
        Self {
            what,
            positions,
            credit: [INITIAL_CREDIT.into(); 2],
        }
    }

    /// The next bytes, as far as credit goes.
    pub(crate) fn next(&mut self, streams: &[Stream; 2]) -> Option<(Channel, Vec<u8>)> {
        for (at, channel) in [Channel::Stdout, Channel::Stderr].into_iter().enumerate() {
            let Sink::Ring(ring) = &streams[at].sink else {
                continue;
            };
            let most = MAX_DATA.min(usize::try_from(self.credit[at]).unwrap_or(MAX_DATA));
            let bytes = ring.read(&mut self.positions[at], most);
            if !bytes.is_empty() {
                self.credit[at] -= bytes.len() as u64;
                return Some((channel, bytes));
            }
        }
        None
    }

    /// Whether all that is there has been sent.
    pub(crate) fn is_level(&self, streams: &[Stream; 2]) -> bool {
        streams
            .iter()
            .zip(self.positions)
            .all(|(stream, position)| match &stream.sink {
                Sink::Ring(ring) => position == ring.end,
                _ => true,
            })
    }
}

impl Job {
    pub(crate) fn info(&self, job: u32, streams: Option<&[Stream; 2]>) -> JobInfo {
        let streams = self.over.as_ref().map(|over| &over.streams).or(streams);
        let counts =
            |at: usize| streams.map_or_else(Counts::default, |streams| streams[at].counts.clone());
        let duration = match &self.over {
            Some(over) => Duration::from_micros(over.result.duration_us),
            None => self.started.elapsed(),
        };
        JobInfo {
            job,
            pid: self.pid.unsigned_abs(),
            state: self
                .over
                .as_ref()
                .map_or(JobState::Running, |over| JobState::Ended(over.result.end)),
            command: self.label.clone(),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            stdout: counts(0),
            stderr: counts(1),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.over.as_ref().map(|over| over.result.end)
    }
}
