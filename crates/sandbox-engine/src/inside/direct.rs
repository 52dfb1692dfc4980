//! A connection of our own to the agent, where the sandbox is in a network of this machine: the
//! engine's stream copies every byte five times more.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use sandbox_client::wire::{KEY, Offer, is_same_key};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::stream::{AgentReader, AgentWriter, Heard, directly};

/// How long what leads to the agent may take to say anything.
const SPEAKING: Duration = Duration::from_secs(10);

/// How long the way to a container of this machine may take. A busy machine may take longer, and
/// is served over the exec then.
const REACHING: Duration = Duration::from_secs(1);

/// After how long without a word the other side's kernel is asked for one, and how often again.
const QUIET: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);

/// How long it may leave that, or data, unanswered, in milliseconds: a container that was taken off
/// its network says nothing, one that hangs does. Less than agents may be silent
/// ([`Patience`](sandbox_client::Patience)), so that the next client finds no dead connection.
const UNHEARD: u32 = 3_500;

/// Where a container is in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: Ipv4Addr,
    pub(super) gateway: Ipv4Addr,
}

/// Where the agent of a sandbox that has just been started waits for its first client, for a few
/// seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doorway {
    offer: Offer,
    place: Place,
    /// How the SHA-256 of the agent that the sandbox was given begins, in hexadecimal digits.
    sha256: String,
}

impl Doorway {
    pub(super) const fn new(offer: Offer, place: Place, sha256: String) -> Self {
        Self {
            offer,
            place,
            sha256,
        }
    }

    /// How the SHA-256 of the agent that the sandbox was given begins.
    #[must_use]
    pub fn agent_hash(&self) -> Vec<u8> {
        crate::kill::from_hex(&self.sha256)
    }

    /// A stream to the agent; nothing where the door is closed, or cannot be come to.
    pub async fn enter(&self) -> Option<(AgentReader, AgentWriter)> {
        let stream = come(&self.offer, self.place).await?;
        Some(directly(stream, None, Heard::default()))
    }

    /// All of it as one word, for another program of this user's: who knows it may enter.
    #[must_use]
    pub fn to_word(&self) -> String {
        let Place { address, gateway } = self.place;
        let offer = Offer::to_line(Some(&self.offer));
        let offer = offer.trim_end().replace(' ', ",");
        format!("{address},{gateway},{},{offer}", self.sha256)
    }

    /// From such a word; nothing where it is none.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let (address, rest) = word.split_once(',')?;
        let (gateway, rest) = rest.split_once(',')?;
        let (sha256, offer) = rest.split_once(',')?;
        let place = Place {
            address: address.parse().ok()?,
            gateway: gateway.parse().ok()?,
        };
        let offer = Offer::parse(&offer.replace(',', " "))?;
        Some(Self::new(offer, place, sha256.to_owned()))
    }
}

/// The first line that comes, without its end; nothing where none does.
pub(super) async fn read_line<R: AsyncRead + Unpin>(reader: &mut R) -> Option<String> {
    let mut line = Vec::new();
    let read = async {
        while line.len() < Offer::LONGEST {
            match reader.read_u8().await.ok()? {
                b'\n' => return String::from_utf8(line).ok(),
                byte => line.push(byte),
            }
        }
        None
    };
    timeout(SPEAKING, read).await.ok().flatten()
}

/// A connection to whoever made the offer; nothing where there is no way.
pub(super) async fn come(offer: &Offer, place: Place) -> Option<TcpStream> {
    timeout(REACHING, reach(offer, place)).await.ok().flatten()
}

async fn reach(offer: &Offer, place: Place) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    // Only a bridge of this machine has its gateway here. Elsewhere, the address is a stranger's.
    let here = SocketAddrV4::new(place.gateway, 0);
    socket.bind(here.into()).ok()?;
    let there = SocketAddrV4::new(place.address, offer.port);
    let mut stream = socket.connect(there.into()).await.ok()?;
    prepare(&stream).ok()?;
    stream.write_all(&offer.clients).await.ok()?;
    let mut shown = [0; KEY];
    stream.read_exact(&mut shown).await.ok()?;
    is_same_key(&shown, &offer.agents).then_some(stream)
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, QUIET)?;
    sockopt::set_tcp_keepintvl(stream, AGAIN)?;
    sockopt::set_tcp_user_timeout(stream, UNHEARD)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const HERE: Place = Place {
        address: Ipv4Addr::LOCALHOST,
        gateway: Ipv4Addr::LOCALHOST,
    };

    fn offer(port: u16) -> Offer {
        Offer {
            port,
            clients: *b"the client's key",
            agents: *b"the agent's key.",
        }
    }

    /// Comes to somebody who takes one connection, reads a key, and answers with `shown`; whether
    /// that was let in, and what had been read.
    async fn come_to(shown: &'static [u8], place: Place) -> (bool, Vec<u8>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut key = vec![0; KEY];
            stream.read_exact(&mut key).await.unwrap();
            stream.write_all(shown).await.unwrap();
            (key, stream)
        });
        let came = come(&offer(port), place).await;
        if other.is_finished() || came.is_some() {
            return (came.is_some(), other.await.unwrap().0);
        }
        other.abort();
        (came.is_some(), Vec::new())
    }

    #[tokio::test]
    async fn whoever_shows_the_agents_key_is_spoken_to() {
        let (came, key) = come_to(b"the agent's key.", HERE).await;
        assert!(came);
        assert_eq!(key, offer(1).clients);
    }

    #[tokio::test]
    async fn who_shows_another_key_or_a_part_of_it_is_not() {
        assert!(!come_to(b"the agent's key!", HERE).await.0);
        assert!(!come_to(b"the agent's", HERE).await.0);
        assert!(!come_to(b"", HERE).await.0);
    }

    #[tokio::test]
    async fn a_network_that_is_not_of_this_machine_is_not_tried() {
        // Addresses for documentation, which nobody has.
        let elsewhere = Place {
            address: Ipv4Addr::LOCALHOST,
            gateway: Ipv4Addr::new(192, 0, 2, 1),
        };
        let (came, key) = come_to(b"the agent's key.", elsewhere).await;
        assert!(!came && key.is_empty());
    }

    #[test]
    fn a_doorway_survives_the_way_to_another_program() {
        let doorway = Doorway::new(offer(80), HERE, "00ff12".to_owned());
        let word = doorway.to_word();
        assert!(!word.contains(char::is_whitespace));
        assert_eq!(Doorway::parse(&word), Some(doorway.clone()));
        assert_eq!(doorway.agent_hash(), [0, 0xff, 0x12]);
        assert!(!format!("{doorway:?}").contains(&word[word.len() - 32..]));
        for cut in 0..word.len() {
            assert_eq!(Doorway::parse(&word[..cut]), None);
        }
    }

    #[tokio::test]
    async fn a_line_ends_where_it_ends() {
        let mut rest: &[u8] = b"direct none\nframes";
        assert_eq!(read_line(&mut rest).await.as_deref(), Some("direct none"));
        assert_eq!(rest, b"frames");
        let mut long: &[u8] = &[b'x'; 500];
        assert_eq!(read_line(&mut long).await, None);
        assert_eq!(read_line(&mut &b"no end"[..]).await, None);
    }
}
