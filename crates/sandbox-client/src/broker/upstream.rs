//! A connection to one agent that many clients share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox_agent::wire::{
    AgentHello, Channel, Credit, Decoder, Failed, Failure, INITIAL_CREDIT, MAX_REQUESTS,
    OnDisconnect, Piece, ToAgent, ToClient,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

use super::outbox::Outbox;
use crate::connection::{fill, is_last};

const PIECE: usize = 128 << 10;

/// How many frames may wait on the way to the agent before their clients do.
const WAITING: usize = 64;

const CHANNELS: usize = 5;

/// A client, as an upstream sees it.
pub(super) type ClientId = u64;

#[derive(Debug)]
pub(super) struct Upstream {
    hello: AgentHello,
    to_agent: mpsc::Sender<Vec<u8>>,
    routes: Mutex<Routes>,
    over: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Routes {
    last: u32,
    /// By the id on the way to the agent.
    by_own: HashMap<u32, Route>,
    /// The same ids by client and the client's id.
    by_client: HashMap<(ClientId, u32), u32>,
}

/// Whose a request is.
#[derive(Debug)]
struct Route {
    client: ClientId,
    id: u32,
    /// Where answers go; [`None`] where nobody wants them any more.
    outbox: Option<Arc<Outbox>>,
    on_disconnect: OnDisconnect,
    /// What the agent may still send.
    window: [u64; CHANNELS],
    /// What the client may still send.
    credit: [u64; CHANNELS],
}

/// A client broke the protocol.
#[derive(Debug)]
pub(super) struct Broken;

fn index(channel: Channel) -> usize {
    match channel {
        Channel::Stdin => 0,
        Channel::Stdout => 1,
        Channel::Stderr => 2,
        Channel::StdoutTail => 3,
        Channel::StderrTail => 4,
    }
}

/// Takes a number of bytes from a budget; false where they are more.
fn spend(budget: &mut u64, bytes: &[u8]) -> bool {
    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match budget.checked_sub(count) {
        Some(left) => {
            *budget = left;
            true
        }
        None => false,
    }
}

fn encoded_for_agent(id: u32, frame: &ToAgent) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(id, &mut bytes);
    bytes
}

/// Whether a frame begins a request.
fn begins(frame: &ToAgent) -> bool {
    !matches!(
        frame,
        ToAgent::Hello(_)
            | ToAgent::Data(..)
            | ToAgent::Eof(_)
            | ToAgent::Credit(_)
            | ToAgent::Signal(_)
            | ToAgent::Resize(_)
            | ToAgent::Cancel
            | ToAgent::Entry(_)
    )
}

impl Upstream {
    /// Carries frames over streams on which both sides have said who they are.
    pub(super) fn begin<R, W>(
        reader: R,
        writer: W,
        decoder: Decoder<ToClient>,
        hello: AgentHello,
    ) -> Arc<Self>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (to_agent, queued) = mpsc::channel(WAITING);
        let upstream = Arc::new(Self {
            hello,
            to_agent,
            routes: Mutex::default(),
            over: watch::Sender::new(false),
        });
        let writing = Arc::clone(&upstream);
        tokio::spawn(async move {
            let until = writing.until_over();
            tokio::select! {
                () = until => {}
                // An error here is an end of the stream there.
                _ = write(writer, queued) => {}
            }
            writing.end();
        });
        let reading = Arc::clone(&upstream);
        tokio::spawn(async move {
            tokio::select! {
                () = reading.until_over() => {}
                () = reading.read(reader, decoder) => {}
            }
            reading.end();
        });
        upstream
    }

    pub(super) fn hello(&self) -> &AgentHello {
        &self.hello
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    pub(super) async fn until_over(&self) {
        // The sender is here, so this cannot fail.
        drop(self.over.subscribe().wait_for(|over| *over).await);
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, and the connections of its clients with it.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
        let mut routes = self.routes();
        for (_, route) in routes.by_own.drain() {
            if let Some(outbox) = route.outbox {
                outbox.close();
            }
        }
        routes.by_client.clear();
    }

    /// Passes a client's frame on.
    pub(super) async fn send(
        &self,
        client: ClientId,
        id: u32,
        frame: ToAgent,
        outbox: &Arc<Outbox>,
    ) -> Result<(), Broken> {
        let begins = begins(&frame);
        let own = if begins {
            match self.open(client, id, &frame, outbox)? {
                Some(own) => own,
                None => return Ok(()),
            }
        } else {
            match self.own_id(client, id, &frame)? {
                // What is said of a request that has just ended is too late.
                None => return Ok(()),
                Some(own) => own,
            }
        };
        // Where the agent is gone, so is the client's connection.
        drop(self.to_agent.send(encoded_for_agent(own, &frame)).await);
        Ok(())
    }

    fn open(
        &self,
        client: ClientId,
        id: u32,
        frame: &ToAgent,
        outbox: &Arc<Outbox>,
    ) -> Result<Option<u32>, Broken> {
        let mut routes = self.routes();
        if routes.by_client.contains_key(&(client, id)) {
            return Err(Broken);
        }
        if routes.by_own.len() >= MAX_REQUESTS {
            let failed = Failed {
                failure: Failure::TooMany,
                errno: 0,
                message: "too many requests are open on the broker's connection to this sandbox"
                    .to_owned(),
            };
            let failed = ToClient::Failed(failed);
            outbox.push(|out| failed.encode(id, out));
            return Ok(None);
        }
        let own = loop {
            routes.last = routes.last.wrapping_add(1);
            if routes.last != 0 && !routes.by_own.contains_key(&routes.last) {
                break routes.last;
            }
        };
        let on_disconnect = match frame {
            ToAgent::Run(spec) => spec.on_disconnect,
            _ => OnDisconnect::Kill,
        };
        routes.by_client.insert((client, id), own);
        let route = Route {
            client,
            id,
            outbox: Some(Arc::clone(outbox)),
            on_disconnect,
            window: [INITIAL_CREDIT.into(); CHANNELS],
            credit: [INITIAL_CREDIT.into(); CHANNELS],
        };
        routes.by_own.insert(own, route);
        Ok(Some(own))
    }

    fn own_id(&self, client: ClientId, id: u32, frame: &ToAgent) -> Result<Option<u32>, Broken> {
        let mut routes = self.routes();
        let Some(own) = routes.by_client.get(&(client, id)).copied() else {
            return Ok(None);
        };
        let Some(route) = routes.by_own.get_mut(&own) else {
            return Ok(None);
        };
        match frame {
            ToAgent::Data(channel, bytes) if !spend(&mut route.credit[index(*channel)], bytes) => {
                return Err(Broken);
            }
            ToAgent::Credit(credit) => {
                let window = &mut route.window[index(credit.channel)];
                *window = window.saturating_add(credit.bytes.into());
            }
            _ => {}
        }
        Ok(Some(own))
    }

    /// A client has gone: its requests are cancelled, or go on for nobody.
    pub(super) async fn leave(&self, client: ClientId) {
        let mut last_words = Vec::new();
        {
            let mut routes = self.routes();
            routes.by_client.retain(|(owner, _), _| *owner != client);
            for (own, route) in &mut routes.by_own {
                if route.client == client && route.outbox.take().is_some() {
                    match route.on_disconnect {
                        OnDisconnect::Kill => last_words.push((*own, ToAgent::Cancel)),
                        OnDisconnect::Keep => {
                            // Output that nobody read must not hold up who writes it.
                            for channel in [Channel::Stdout, Channel::Stderr] {
                                let bytes = INITIAL_CREDIT;
                                route.window[index(channel)] += u64::from(bytes);
                                let credit = ToAgent::Credit(Credit { channel, bytes });
                                last_words.push((*own, credit));
                            }
                        }
                    }
                }
            }
        }
        for (own, frame) in last_words {
            drop(self.to_agent.send(encoded_for_agent(own, &frame)).await);
        }
    }

    /// Gives frames to their clients until the agent's stream ends or is none.
    async fn read<R: AsyncRead + Unpin>(&self, mut reader: R, mut decoder: Decoder<ToClient>) {
        loop {
            loop {
                match decoder.next_piece() {
                    Ok(Some((id, piece))) => {
                        if self.deliver(id, &piece).is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            if !matches!(fill(&mut reader, &mut decoder).await, Ok(1..)) {
                return;
            }
        }
    }

    fn deliver(&self, own: u32, piece: &Piece<'_, ToClient>) -> Result<(), Broken> {
        if own == 0 {
            return match piece {
                Piece::Frame(ToClient::Failed(_)) => Err(Broken),
                _ => Ok(()),
            };
        }
        let mut routes = self.routes();
        let Some(route) = routes.by_own.get_mut(&own) else {
            return Ok(());
        };
        match piece {
            Piece::Data(channel, bytes) => {
                let window = &mut route.window[index(*channel)];
                if !spend(window, bytes) {
                    return Err(Broken);
                }
                match &route.outbox {
                    Some(outbox) => {
                        outbox.push(|out| ToClient::encode_data(route.id, *channel, bytes, out));
                    }
                    None => self.forget(own, route, *channel, bytes),
                }
                return Ok(());
            }
            Piece::Frame(frame) => {
                if let ToClient::Credit(credit) = frame {
                    let budget = &mut route.credit[index(credit.channel)];
                    *budget = budget.saturating_add(credit.bytes.into());
                }
                if let Some(outbox) = &route.outbox {
                    outbox.push(|out| frame.encode(route.id, out));
                }
                if is_last(frame)
                    && let Some(route) = routes.by_own.remove(&own)
                {
                    routes.by_client.remove(&(route.client, route.id));
                }
            }
        }
        Ok(())
    }

    /// Takes bytes that nobody wants any more, so that the command that goes on may write more.
    fn forget(&self, own: u32, route: &mut Route, channel: Channel, bytes: &[u8]) {
        if route.on_disconnect == OnDisconnect::Keep {
            let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            route.window[index(channel)] += u64::from(bytes);
            let credit = ToAgent::Credit(Credit { channel, bytes });
            // A queue that is full is an agent that does not read; then it may wait.
            drop(self.to_agent.try_send(encoded_for_agent(own, &credit)));
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut queued: mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    while let Some(mut bytes) = queued.recv().await {
        while bytes.len() < PIECE {
            let Ok(more) = queued.try_recv() else { break };
            bytes.extend_from_slice(&more);
        }
        writer.write_all(&bytes).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}
