//! The first words with an engine: `GET /_ping`, whose headers say what answers there.
//!
//! `GET /version` says the same, but Docker starts other programs for that, which takes longer than
//! all that a caller who attaches asks beside it.

use std::io::{self, ErrorKind};

use sandbox_core::Flavour;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::connect::Miss;
use crate::find::Address;

/// No engine sends more before its body.
const HEAD: usize = 16 << 10;

const REQUEST: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n";

/// Who answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) flavour: Flavour,
    /// The engine's own version.
    pub(crate) version: String,
    /// The newest API that it speaks.
    pub(crate) api: String,
}

/// Asks what is there.
pub(crate) async fn greet(address: &Address) -> Result<Greeting, Miss> {
    let head = match address {
        Address::Unix(path) => ask(UnixStream::connect(path).await).await,
        Address::Tcp(host) => ask(TcpStream::connect(host).await).await,
        Address::Unsupported(_) => return Err(Miss::Unsupported),
    };
    let head = head.map_err(|error| miss(&error))?;
    understand(&head).ok_or(Miss::NotAnEngine)
}

/// The beginning of the answer, up to its body at least where there is one.
async fn ask(connected: io::Result<impl AsyncRead + AsyncWrite + Unpin>) -> io::Result<Vec<u8>> {
    let mut stream = connected?;
    stream.write_all(REQUEST).await?;
    let mut head = Vec::new();
    while head.len() < HEAD && !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

/// Nothing where no engine speaks so.
fn understand(head: &[u8]) -> Option<Greeting> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    if !answer.parse(head).ok()?.is_complete() || answer.code != Some(200) {
        return None;
    }
    let header = |name: &str| {
        let mut all = answer.headers.iter();
        let found = all.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    // `Docker/20.10.24 (linux)`, `Libpod/4.3.1 (linux)`; what stands between may leave it out.
    let server = header("Server").and_then(|server| server.split_whitespace().next());
    let version = server.and_then(|server| Some(server.split_once('/')?.1));
    let podman = header("Libpod-API-Version");
    Some(Greeting {
        flavour: if podman.is_some() {
            Flavour::Podman
        } else {
            Flavour::Docker
        },
        version: podman.or(version).unwrap_or("unknown").to_owned(),
        api: header("Api-Version")?.to_owned(),
    })
}

fn miss(error: &io::Error) -> Miss {
    match error.kind() {
        ErrorKind::NotFound => Miss::Absent,
        ErrorKind::PermissionDenied => Miss::NotPermitted,
        ErrorKind::ConnectionRefused => Miss::Deaf,
        _ => Miss::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // As Docker 20.10.24 answers, and Podman 4.3.1.
    const DOCKER: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nCache-Control: no-cache, \
        no-store, must-revalidate\r\nDocker-Experimental: false\r\nOstype: linux\r\nPragma: \
        no-cache\r\nServer: Docker/20.10.24+dfsg1 (linux)\r\nContent-Length: 2\r\n\r\nOK";
    const PODMAN: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nBuildkit-Version: \r\n\
        Cache-Control: no-cache\r\nDocker-Experimental: true\r\nLibpod-Api-Version: 4.3.1\r\n\
        Libpod-Buildah-Version: 1.28.0\r\nOstype: linux\r\nPragma: no-cache\r\nServer: \
        Libpod/4.3.1 (linux)\r\nContent-Length: 2\r\n\r\nOK";

    #[rstest]
    #[case::docker(DOCKER, Flavour::Docker, "20.10.24+dfsg1")]
    #[case::podman(PODMAN, Flavour::Podman, "4.3.1")]
    #[case::behind_a_proxy(
        "HTTP/1.0 200 OK\r\napi-version: 1.41\r\n\r\n",
        Flavour::Docker,
        "unknown"
    )]
    fn an_engine_says_who_it_is(
        #[case] head: &str,
        #[case] flavour: Flavour,
        #[case] version: &str,
    ) {
        let expected = Greeting {
            flavour,
            version: version.to_owned(),
            api: "1.41".to_owned(),
        };
        assert_eq!(understand(head.as_bytes()), Some(expected));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_http("\x1b[2Jhello\r\n\r\n")]
    #[case::cut("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n")]
    #[case::web("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\nhello")]
    #[case::refused("HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\n\r\n")]
    fn anything_else_is_no_engine(#[case] head: &str) {
        assert_eq!(understand(head.as_bytes()), None);
    }
}
