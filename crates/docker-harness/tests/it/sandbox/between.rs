//! What stands between a client and the engine: it writes down what is asked, and dies or falls
//! silent when told.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docker_harness::Failure;
use sandbox_engine::Engine;
use sandbox_engine::find::Address;

use super::{Rig, SOCKET};

/// A socket whose connections end at the engine's.
pub(super) struct Between {
    pub(super) path: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    streams: Vec<UnixStream>,
    asked: Vec<String>,
    /// Bytes of answers that still pass.
    left: usize,
    /// What comes then.
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Death,
    Silence,
}

impl Between {
    pub(super) fn new(rig: &Rig<'_>, name: &str) -> Result<Self, Failure> {
        let path = rig.lab.scratch().join(name);
        let listener = UnixListener::bind(&path)?;
        let shared = Arc::new(Mutex::new(Shared {
            streams: Vec::new(),
            asked: Vec::new(),
            left: usize::MAX,
            then: Then::Death,
        }));
        let for_all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = UnixStream::connect(SOCKET) else {
                    return;
                };
                let Ok([near_in, near_out, far_in, far_out]) = ends(&near, &far) else {
                    return;
                };
                locked(&for_all).streams.extend([near, far]);
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || requests(near_in, far_out, &shared));
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || answers(far_in, near_out, &shared));
            }
        });
        Ok(Self { path, shared })
    }

    /// The engine, reached through this.
    pub(super) async fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::at(Address::Unix(self.path.clone())).await?)
    }

    /// Every connection breaks.
    pub(super) fn die(&self) {
        for stream in locked(&self.shared).streams.drain(..) {
            // It may be broken already.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Connections break after so many more bytes of answers.
    pub(super) fn die_after(&self, bytes: usize) {
        let mut shared = locked(&self.shared);
        (shared.left, shared.then) = (bytes, Then::Death);
    }

    /// After so many more bytes of answers nothing more comes, and nothing breaks.
    pub(super) fn hang_after(&self, bytes: usize) {
        let mut shared = locked(&self.shared);
        (shared.left, shared.then) = (bytes, Then::Silence);
    }

    /// The first lines of the requests since the last look, without the API's version.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.shared).asked)
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ends(near: &UnixStream, far: &UnixStream) -> io::Result<[UnixStream; 4]> {
    Ok([
        near.try_clone()?,
        near.try_clone()?,
        far.try_clone()?,
        far.try_clone()?,
    ])
}

fn requests(mut from: UnixStream, mut to: UnixStream, shared: &Mutex<Shared>) {
    let (mut piece, mut first) = ([0; 4096], true);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if std::mem::take(&mut first) {
            let text = String::from_utf8_lossy(&piece[..count]);
            let mut words = text.split_whitespace();
            let (method, path) = (words.next(), words.next().unwrap_or_default());
            // `/v1.41/containers/json?all=true`
            let path = path.strip_prefix("/v1.41").unwrap_or(path);
            let path = path.split('?').next().unwrap_or_default();
            let asked = format!("{} {path}", method.unwrap_or_default());
            locked(shared).asked.push(asked);
        }
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    // The other side may be gone.
    to.shutdown(Shutdown::Write).ok();
}

fn answers(mut from: UnixStream, mut to: UnixStream, shared: &Mutex<Shared>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let (passes, then) = {
            let mut shared = locked(shared);
            let passes = count.min(shared.left);
            shared.left -= passes;
            (passes, shared.then)
        };
        let sent = to.write_all(&piece[..passes]);
        match then {
            Then::Silence if passes < count => {
                // Held open until the client hangs up.
                let mut nothing = Vec::new();
                to.read_to_end(&mut nothing).ok();
                break;
            }
            Then::Death if passes < count => {
                from.shutdown(Shutdown::Both).ok();
                break;
            }
            _ if sent.is_err() => break,
            _ => {}
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
