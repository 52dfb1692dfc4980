//! A tool call under way: its cancellation, and what its client is told meanwhile.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::text;

/// How often a client is told of new output at most.
const TICK: Duration = Duration::from_millis(200);
/// How often it is told that a call goes on, where nothing happens.
const ALIVE: Duration = Duration::from_secs(5);
/// How much new output one notification holds, in bytes.
const SHOWN: usize = 2000;
/// How long the last notification may take.
const LAST: Duration = Duration::from_secs(1);

/// A call.
pub(crate) struct Call {
    token: Option<ProgressToken>,
    peer: Peer<RoleServer>,
    cancelled: CancellationToken,
    stopping: CancellationToken,
    ticks: Interval,
    begun: Instant,
    told: Instant,
    new: Vec<u8>,
    under_way: Option<JoinHandle<()>>,
}

impl Call {
    pub(crate) fn new(context: RequestContext<RoleServer>, stopping: CancellationToken) -> Self {
        let now = Instant::now();
        let mut ticks = interval_at(now + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            token: context.meta.get_progress_token(),
            peer: context.peer,
            cancelled: context.ct,
            stopping,
            ticks,
            begun: now,
            told: now,
            new: Vec::new(),
            under_way: None,
        }
    }

    /// Whether the client asked to be told of progress.
    pub(crate) fn is_followed(&self) -> bool {
        self.token.is_some()
    }

    /// Takes output that the client is to be told of.
    pub(crate) fn note(&mut self, bytes: &[u8]) {
        if self.token.is_none() {
            return;
        }
        self.new.extend_from_slice(bytes);
        let over = self.new.len().saturating_sub(SHOWN);
        self.new.drain(..over);
    }

    /// Waits until the call is cancelled, by its client or since the server ends.
    pub(crate) fn until_cancelled(&self) -> impl Future<Output = ()> + use<> {
        let (by_client, stopping) = (self.cancelled.clone(), self.stopping.clone());
        async move {
            tokio::select! {
                () = by_client.cancelled() => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    /// Waits until the client may be told something, and tells it.
    pub(crate) async fn tick(&mut self) {
        self.ticks.tick().await;
        if !self.new.is_empty() || self.told.elapsed() >= ALIVE {
            let (message, _) = text::lossy(&self.new);
            self.tell(message);
        }
    }

    /// Tells the client something now, unless it has not taken the last one yet.
    fn tell(&mut self, message: String) {
        let Some(token) = self.token.clone() else {
            self.new.clear();
            return;
        };
        if self
            .under_way
            .as_ref()
            .is_some_and(|sending| !sending.is_finished())
        {
            return;
        }
        self.new.clear();
        self.told = Instant::now();
        // Seconds: what is known to grow with every notification.
        let mut progress =
            ProgressNotificationParam::new(token, self.begun.elapsed().as_secs_f64());
        if !message.is_empty() {
            progress = progress.with_message(message);
        }
        let peer = self.peer.clone();
        self.under_way = Some(tokio::spawn(async move {
            // A client that has gone is noticed elsewhere.
            peer.notify_progress(progress).await.ok();
        }));
    }

    /// Makes sure that no notification comes after the result.
    pub(crate) async fn settle(&mut self) {
        if let Some(sending) = self.under_way.take() {
            timeout(LAST, sending).await.ok();
        }
    }

    /// Waits for something, telling the client every few seconds what for; or until the call is
    /// cancelled.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        wait: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut wait = std::pin::pin!(wait);
        let mut over = std::pin::pin!(self.until_cancelled());
        let mut asked = false;
        let done = loop {
            tokio::select! {
                biased;
                done = &mut wait => break done,
                () = &mut over => break Err(Failure::cancelled()),
                _ = self.ticks.tick() => {
                    let due = if asked { ALIVE } else { 5 * TICK };
                    if self.told.elapsed() >= due {
                        asked = true;
                        self.tell(what.to_owned());
                    }
                }
            }
        };
        self.settle().await;
        done
    }
}
