//! What the connection's reader and a request's owner share.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sandbox_agent::wire::{Channel, INITIAL_CREDIT, ToClient};
use tokio::sync::Notify;

use crate::error::Lost;

/// How many bytes of frames without credit a request may have waiting before the connection waits
/// for its owner.
const MOST_WAITING: usize = 256 << 10;

/// How much more than at first the agent may send of a stream that turns out to be long, in bytes:
/// each wait for credit is a way through the engine and back.
const GROWTH: u32 = 3 * INITIAL_CREDIT;

/// The channels, in the order of their numbers.
const CHANNELS: usize = 5;

/// Where frames for one request wait for its owner, and what may still be sent for it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    inner: Mutex<Inner>,
    /// Something came.
    arrived: Notify,
    /// Something was taken, or more may be sent.
    moved: Notify,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<ToClient>,
    /// How many bytes of what waits came without credit.
    uncredited: usize,
    /// What the agent may still send, for each channel.
    window: [u64; CHANNELS],
    /// What may still be sent to the agent, for each channel.
    credit: [u64; CHANNELS],
    /// What was taken and not given back as credit, for each channel.
    taken: [u32; CHANNELS],
    /// Whether its window has grown, for each channel.
    grown: [bool; CHANNELS],
    over: Option<Lost>,
    /// Nobody wants what comes.
    abandoned: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            uncredited: 0,
            window: [u64::from(INITIAL_CREDIT); CHANNELS],
            credit: [u64::from(INITIAL_CREDIT); CHANNELS],
            taken: [0; CHANNELS],
            grown: [false; CHANNELS],
            over: None,
            abandoned: false,
        }
    }
}

/// What came of offering a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits for its owner.
    Kept,
    /// It was more than had been allowed.
    Flood,
}

fn index(channel: Channel) -> usize {
    match channel {
        Channel::Stdin => 0,
        Channel::Stdout => 1,
        Channel::Stderr => 2,
        Channel::StdoutTail => 3,
        Channel::StderrTail => 4,
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// How much room a frame takes that no credit pays for, in bytes.
fn uncredited(frame: &ToClient) -> usize {
    match frame {
        ToClient::Data(..) => 0,
        ToClient::Entry(entry) => size_of::<ToClient>() + entry.path.0.len() + entry.target.0.len(),
        _ => size_of::<ToClient>(),
    }
}

impl Slot {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves queues and counters as they were between two steps.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame from the connection.
    pub(crate) fn offer(&self, frame: ToClient) -> Offered {
        let mut inner = self.inner();
        match frame {
            ToClient::Data(channel, bytes) => {
                let window = &mut inner.window[index(channel)];
                let Some(left) = window.checked_sub(length(&bytes)) else {
                    return Offered::Flood;
                };
                *window = left;
                if inner.abandoned || bytes.is_empty() {
                    return Offered::Kept;
                }
                // Pieces become one, so that they take no more room than their bytes. How those of
                // stdout and of stderr followed one another is not known to anybody.
                let held = inner
                    .waiting
                    .iter_mut()
                    .rev()
                    .map_while(|frame| match frame {
                        ToClient::Data(held_channel, held) => Some((held_channel, held)),
                        _ => None,
                    });
                match held.into_iter().find(|(held, _)| **held == channel) {
                    Some((_, held)) => held.extend_from_slice(&bytes),
                    None => inner.waiting.push_back(ToClient::Data(channel, bytes)),
                }
            }
            ToClient::Credit(credit) => {
                let may = &mut inner.credit[index(credit.channel)];
                *may = may.saturating_add(u64::from(credit.bytes));
                drop(inner);
                self.moved.notify_waiters();
                return Offered::Kept;
            }
            _ if inner.abandoned => return Offered::Kept,
            other => {
                inner.uncredited += uncredited(&other);
                inner.waiting.push_back(other);
            }
        }
        drop(inner);
        self.arrived.notify_one();
        Offered::Kept
    }

    /// Waits until a frame without credit may be added.
    pub(crate) async fn room(&self) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let inner = self.inner();
                if inner.uncredited < MOST_WAITING || inner.abandoned {
                    return;
                }
            }
            moved.await;
        }
    }

    /// The connection is over.
    pub(crate) fn end(&self, lost: Lost) {
        self.inner().over = Some(lost);
        self.arrived.notify_one();
        self.moved.notify_waiters();
    }

    /// Whatever comes from now on is thrown away.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner();
        inner.abandoned = true;
        inner.waiting = VecDeque::new();
        inner.uncredited = 0;
        drop(inner);
        self.moved.notify_waiters();
    }

    /// Waits for the next frame. What came before the connection was lost comes first.
    pub(crate) async fn next(&self) -> Result<ToClient, Lost> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut inner = self.inner();
                if let Some(frame) = inner.waiting.pop_front() {
                    inner.uncredited -= uncredited(&frame);
                    drop(inner);
                    self.moved.notify_waiters();
                    return Ok(frame);
                }
                if let Some(lost) = &inner.over {
                    return Err(lost.clone());
                }
            }
            arrived.await;
        }
    }

    /// Notes that the owner has taken bytes of a channel. The credit to give for it, when it is
    /// worth a frame.
    pub(crate) fn took(&self, channel: Channel, bytes: &[u8]) -> Option<u32> {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut inner = self.inner();
        let enough = if inner.grown[index(channel)] {
            // Half of what the window is then.
            2 * INITIAL_CREDIT
        } else {
            INITIAL_CREDIT / 4
        };
        let taken = &mut inner.taken[index(channel)];
        *taken = taken.saturating_add(count);
        if *taken < enough {
            return None;
        }
        let mut given = std::mem::take(taken);
        if !std::mem::replace(&mut inner.grown[index(channel)], true) {
            given = given.saturating_add(GROWTH);
        }
        inner.window[index(channel)] += u64::from(given);
        Some(given)
    }

    /// Waits until some bytes may be sent on a channel, `most` of them at most.
    pub(crate) async fn reserve(&self, channel: Channel, most: usize) -> Result<usize, Lost> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let mut inner = self.inner();
                if let Some(lost) = &inner.over {
                    return Err(lost.clone());
                }
                let credit = &mut inner.credit[index(channel)];
                let count = usize::try_from(*credit).unwrap_or(usize::MAX).min(most);
                if count > 0 {
                    *credit -= u64::try_from(count).unwrap_or(u64::MAX);
                    return Ok(count);
                }
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_agent::wire::{Bytes, Credit, Entry, EntryKind};
    use std::time::Duration;
    use tokio::time::timeout;

    fn data(bytes: usize) -> ToClient {
        ToClient::Data(Channel::Stdout, vec![0; bytes])
    }

    #[test]
    fn more_than_the_window_is_a_flood() {
        let slot = Slot::default();
        let window = usize::try_from(INITIAL_CREDIT).unwrap();
        assert_eq!(slot.offer(data(window)), Offered::Kept);
        assert_eq!(slot.offer(data(1)), Offered::Flood);
    }

    #[tokio::test]
    async fn pieces_are_joined_and_their_credit_is_given_back() {
        let slot = Slot::default();
        let half = usize::try_from(INITIAL_CREDIT).unwrap() / 2;
        for _ in 0..2 {
            assert_eq!(slot.offer(data(half)), Offered::Kept);
        }
        let Ok(ToClient::Data(channel, bytes)) = slot.next().await else {
            panic!("no data");
        };
        assert_eq!(bytes.len(), 2 * half);
        assert_eq!(slot.took(channel, &bytes), Some(INITIAL_CREDIT + GROWTH));
        assert_eq!(slot.offer(data(half)), Offered::Kept);
    }

    #[tokio::test]
    async fn frames_without_credit_wait_for_the_owner_by_their_size() {
        let slot = Slot::default();
        let entry = || {
            ToClient::Entry(Entry {
                path: Bytes(vec![b'x'; 15 << 10]),
                kind: EntryKind::Directory,
                mode: 0,
                size: 0,
                target: Bytes::default(),
            })
        };
        let mut taken = 0;
        let has_room = async || timeout(Duration::ZERO, slot.room()).await.is_ok();
        while has_room().await {
            slot.offer(entry());
            taken += 1;
        }
        assert_eq!(
            taken, 17,
            "the last one comes where there is room for a part of it"
        );
        assert_eq!(slot.next().await.ok(), Some(entry()));
        assert!(has_room().await);
    }

    #[tokio::test]
    async fn what_came_before_the_end_is_seen_first() {
        let slot = Slot::default();
        slot.offer(ToClient::Pong);
        slot.end(Lost::Closed);
        assert!(matches!(slot.next().await, Ok(ToClient::Pong)));
        assert!(matches!(slot.next().await, Err(Lost::Closed)));
    }

    #[tokio::test]
    async fn sending_waits_for_credit() {
        let slot = Slot::default();
        let window = usize::try_from(INITIAL_CREDIT).unwrap();
        let reserved = slot.reserve(Channel::Stdin, 2 * window).await;
        assert_eq!(reserved.ok(), Some(window));
        let more = async {
            slot.offer(ToClient::Credit(Credit {
                channel: Channel::Stdin,
                bytes: 5,
            }));
        };
        let (reserved, ()) = tokio::join!(slot.reserve(Channel::Stdin, window), more);
        assert_eq!(reserved.ok(), Some(5));
    }
}
