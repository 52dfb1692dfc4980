//! An agent of the test's own: it does what the script says, and no sandbox would do some of it.

use sandbox_agent::wire::{
    AgentHello, Channel, Counts, Credit, Decoder, End, Ended, Entry, EntryKind, HEADER, Program,
    RunSpec, SessionEffect, ToAgent, ToClient, VERSION,
};
use sandbox_client::{Client, Patience};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// What the next frame is about.
pub(crate) struct Agent {
    stream: DuplexStream,
    decoder: Decoder<ToAgent>,
}

impl Agent {
    pub(crate) fn new(stream: DuplexStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
        }
    }

    pub(crate) async fn receive(&mut self) -> Option<(u32, ToAgent)> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut piece = vec![0; 65536];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&piece[..count]),
            }
        }
    }

    pub(crate) async fn send(&mut self, id: u32, frame: &ToClient) {
        let mut bytes = Vec::new();
        frame.encode(id, &mut bytes);
        self.send_bytes(&bytes).await;
    }

    /// Bytes as they are. The host may have gone.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    pub(crate) async fn greet(&mut self) {
        assert!(matches!(self.receive().await, Some((0, ToAgent::Hello(_)))));
        self.send(0, &ToClient::Hello(hello(VERSION))).await;
    }
}

pub(crate) fn hello(version: u16) -> AgentHello {
    AgentHello {
        version,
        agent: "test".to_owned(),
        hash: [7; 32],
        pid: 1,
        uid: 0,
        instance: [9; 16],
        boot_id: "boot".to_owned(),
    }
}

pub(crate) fn ended(code: u8, cancelled: bool) -> ToClient {
    ToClient::Ended(Ended {
        end: End::Exited(code),
        stdout: Counts::default(),
        stderr: Counts::default(),
        timed_out: false,
        cancelled,
        killed: 0,
        survivors: 0,
        duration_us: 1,
        cwd: None,
        session: SessionEffect::None,
    })
}

fn word(spec: &RunSpec) -> String {
    match &spec.program {
        Program::Shell(script) => String::from_utf8(script.0.clone()).unwrap(),
        Program::Argv(_) => "argv".to_owned(),
    }
}

/// Behaves as the script of each command says, until the host goes.
pub(crate) async fn behave(stream: DuplexStream) {
    let mut agent = Agent::new(stream);
    agent.greet().await;
    while let Some((id, frame)) = agent.receive().await {
        match frame {
            ToAgent::Ping => agent.send(id, &ToClient::Pong).await,
            ToAgent::Cancel => agent.send(id, &ended(137, true)).await,
            ToAgent::JobKill(number) => agent.send(id, &ToClient::Done(number.into())).await,
            ToAgent::Data(Channel::Stdin, bytes) => {
                let credit = Credit {
                    channel: Channel::Stdin,
                    bytes: u32::try_from(bytes.len()).unwrap(),
                };
                agent.send(id, &ToClient::Credit(credit)).await;
                agent
                    .send(id, &ToClient::Data(Channel::Stdout, bytes))
                    .await;
            }
            ToAgent::Eof(Channel::Stdin) => agent.send(id, &ended(0, false)).await,
            ToAgent::Run(spec) => run(&mut agent, id, &word(&spec)).await,
            ToAgent::Get(_) => {
                // As many files as there may be before the host has looked at one, and more.
                for number in 0..10_000 {
                    let entry = Entry {
                        path: format!("{number}").into(),
                        kind: EntryKind::Directory,
                        mode: 0o755,
                        size: 0,
                        target: "".into(),
                    };
                    agent.send(id, &ToClient::Entry(entry)).await;
                }
                agent.send(id, &ToClient::Done(0)).await;
            }
            _ => {}
        }
    }
}

async fn run(agent: &mut Agent, id: u32, word: &str) {
    let data = |bytes: &[u8]| ToClient::Data(Channel::Stdout, bytes.to_vec());
    match word {
        "hang" | "cat" => agent.send(id, &ToClient::Started(2)).await,
        "flood" => {
            for _ in 0..1000 {
                agent.send(id, &data(&vec![0; 65536])).await;
            }
        }
        "others" => {
            for other in 0..100_000_u32 {
                agent.send(1_000_000 + other, &data(b"for nobody")).await;
            }
            agent.send(id, &ended(0, false)).await;
        }
        "credit" => {
            // As much as there can be, for nothing: what comes is not read.
            for _ in 0..16 {
                let credit = Credit {
                    channel: Channel::Stdin,
                    bytes: u32::MAX,
                };
                agent.send(id, &ToClient::Credit(credit)).await;
            }
            std::future::pending::<()>().await;
        }
        "long" => agent.send_bytes(&[0xff; HEADER]).await,
        "garbage" => agent.send_bytes(&[0, 0, 0, 1, 0x83, 0, 0, 0, 1, 0]).await,
        "unknown" => {
            let mut frame = vec![0, 0, 0, 3, 0xee];
            frame.extend(id.to_be_bytes());
            frame.extend(b"abc");
            agent.send_bytes(&frame).await;
            agent.send(id, &ended(0, false)).await;
        }
        "other answer" => agent.send(id, &ToClient::Jobs(Vec::new())).await,
        said => {
            agent.send(id, &ToClient::Started(2)).await;
            agent.send(id, &data(said.as_bytes())).await;
            agent.send(id, &ended(3, false)).await;
        }
    }
}

pub(crate) const PATIENCE: Patience = Patience {
    greeting: Duration::from_secs(20),
    silence: Duration::from_millis(200),
};

pub(crate) async fn connected() -> Client {
    let (host, agent) = duplex(1 << 16);
    tokio::spawn(behave(agent));
    let (reader, writer) = tokio::io::split(host);
    Client::over(reader, writer, PATIENCE).await.unwrap()
}
