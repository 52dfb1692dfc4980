//! Clients that come by a connection of their own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails says where"
)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;

use common::{Agent, Connected, PATIENCE};
use sandbox_agent::client::Client;
use sandbox_agent::wire::{COME, KEY, Offer, RunSpec, STAY, ToAgent, ToClient};

/// A stream to a `connect` that has made an offer.
struct Offered {
    stream: UnixStream,
    connect: Child,
    offer: Offer,
}

/// An agent that serves already.
fn serving() -> Agent {
    let agent = Agent::new();
    drop(agent.client());
    agent
}

impl Agent {
    fn offered(&self) -> Offered {
        let (mut stream, connect) = self.stream_of(&["connect", "--direct"]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        let line = String::from_utf8(line).unwrap();
        let offer = Offer::parse(line.trim_end()).unwrap();
        assert_eq!(Offer::to_line(Some(&offer)), line);
        Offered {
            stream,
            connect,
            offer,
        }
    }
}

fn come(offer: &Offer) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, offer.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether a key lets one in.
fn lets_in(stream: &mut TcpStream, key: &[u8], offer: &Offer) -> bool {
    stream.write_all(key).unwrap();
    let mut shown: Vec<u8> = Vec::new();
    let mut rest = [0; KEY];
    // What was not read there is a connection reset here.
    while shown.len() < KEY
        && let Ok(count @ 1..) = stream.read(&mut rest)
    {
        shown.extend(&rest[..count]);
    }
    shown == offer.agents
}

impl Offered {
    fn come(&self) -> TcpStream {
        come(&self.offer)
    }

    fn lets_in(&self, stream: &mut TcpStream, key: &[u8]) -> bool {
        lets_in(stream, key, &self.offer)
    }

    /// A client that came by a connection of its own.
    fn come_in(mut self) -> (Connected, UnixStream) {
        let mut stream = self.come();
        assert!(lets_in(&mut stream, &self.offer.clients, &self.offer));
        self.stream.write_all(&[COME]).unwrap();
        self.client_over(stream)
    }

    /// A client, and the exec's stream, with which it ends.
    fn client_over(self, stream: impl Into<OwnedFd>) -> (Connected, UnixStream) {
        let stream = stream.into();
        let client = Client::new(stream.try_clone().unwrap(), stream, PATIENCE);
        let connected = Connected {
            client: client.unwrap(),
            connect: self.connect,
        };
        (connected, self.stream)
    }
}

#[test]
fn whoever_knows_the_key_comes_by_a_connection_of_its_own_and_nobody_else() {
    let agent = serving();
    let mut offered = agent.offered();
    let mute: Vec<TcpStream> = (0..40).map(|_| offered.come()).collect();
    assert!(!offered.lets_in(&mut offered.come(), &[b'x'; KEY]));
    let mut almost = offered.offer.clients;
    almost[KEY - 1] ^= 1;
    assert!(!offered.lets_in(&mut offered.come(), &almost));
    assert!(!offered.lets_in(&mut offered.come(), &offered.offer.agents));
    let mut stream = offered.come();
    // In two pieces, the second of which is followed by frames.
    let (first, second) = offered.offer.clients.split_at(5);
    stream.write_all(first).unwrap();
    assert!(offered.lets_in(&mut stream, second));
    offered.stream.write_all(&[COME]).unwrap();
    let port = offered.offer.port;
    let (mut client, _exec) = offered.client_over(stream);
    assert_eq!(client.shell("echo here").text(), "here\n");
    // The port is closed.
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    drop(mute);
    let many = client.shell("head -c 3000000 /dev/zero");
    assert_eq!(many.stdout.len(), 3_000_000);
}

#[test]
fn a_client_that_does_not_come_stays_with_the_stream() {
    let agent = serving();
    let mut offered = agent.offered();
    let mut came = offered.come();
    let key = offered.offer.clients;
    assert!(offered.lets_in(&mut came, &key));
    offered.stream.write_all(&[STAY]).unwrap();
    let stream = offered.stream.try_clone().unwrap();
    let (mut client, _exec) = offered.client_over(stream);
    assert_eq!(client.shell("echo there").text(), "there\n");
    // What was let in and not chosen is closed.
    assert_eq!(came.read(&mut [0]).unwrap(), 0);
}

#[test]
fn who_says_it_comes_and_has_not_and_who_goes_are_waited_for_no_longer() {
    let agent = serving();
    for word in [Some(COME), Some(b'x'), None] {
        let mut offered = agent.offered();
        match word {
            Some(word) => offered.stream.write_all(&[word]).unwrap(),
            None => drop(offered.stream),
        }
        assert_eq!(offered.connect.wait().unwrap().code(), Some(1));
    }
}

/// What ends a client.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Connection,
    /// As where its network is taken away, and it knows that and goes.
    Exec,
}

#[rstest::rstest]
fn where_a_client_ends_so_do_its_command_and_its_connect(
    #[values(Ending::Connection, Ending::Exec)] ending: Ending,
) {
    let agent = serving();
    let mut offered = agent.offered();
    let mut stream = offered.come();
    let key = offered.offer.clients;
    assert!(offered.lets_in(&mut stream, &key));
    offered.stream.write_all(&[COME]).unwrap();
    let (mut client, exec) = offered.client_over(stream.try_clone().unwrap());
    let id = client.id();
    client.send(id, &ToAgent::Run(RunSpec::shell("echo; exec sleep 4711")));
    while !matches!(client.next(id).unwrap(), ToClient::Data(..)) {}
    assert_eq!(agent.count("sleep 4711"), 1);
    match ending {
        Ending::Connection => stream.shutdown(Shutdown::Both).unwrap(),
        Ending::Exec => exec.shutdown(Shutdown::Both).unwrap(),
    }
    let ended = client.connect.wait().unwrap();
    assert!(ended.success(), "{ended}");
    common::wait_until("the command's end", || agent.count("sleep 4711") == 0);
}

#[test]
fn an_agent_that_is_told_to_waits_for_its_first_client_and_no_other() {
    let mut agent = Agent::with(&["serve", "--lease", "60", "--direct"]);
    let stdout = agent.unshare.stdout.take().unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let offer = Offer::parse(line.trim_end()).unwrap();
    let mut mute = come(&offer);
    assert!(!lets_in(&mut come(&offer), &[0; KEY], &offer));
    let mut stream = come(&offer);
    assert!(lets_in(&mut stream, &offer.clients, &offer));
    let fd = OwnedFd::from(stream);
    let mut client = Client::new(fd.try_clone().unwrap(), fd, PATIENCE).unwrap();
    let said = client.run(RunSpec::shell("echo first")).unwrap();
    assert_eq!(said.text(), "first\n");
    // Its door is closed, and others come as ever.
    assert_eq!(mute.read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, offer.port)).is_err());
    assert_eq!(agent.client().shell("echo second").text(), "second\n");
    drop(client);
    let mut third = agent.offered().come_in();
    assert_eq!(third.0.shell("echo third").text(), "third\n");
}
