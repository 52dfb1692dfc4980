//! A program on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use docker_harness::{Failure, TestResult};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{Desk, PATIENCE, program, until};

/// Both ends of a terminal, and the program on it.
pub(super) struct Pty {
    ours: File,
    theirs: File,
    before: Termios,
    child: Child,
    read: Receiver<Vec<u8>>,
    screen: String,
}

impl Pty {
    /// `talaria sandbox WORDS…` on a terminal of that size.
    pub(super) fn run(desk: &Desk, words: &[&str], size: (u16, u16)) -> Result<Self, Failure> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let ours = File::from(ours);
        resize(&ours, size)?;
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        let before = tcgetattr(&theirs)?;
        let stream = || Ok::<_, Failure>(Stdio::from(OwnedFd::from(theirs.try_clone()?)));
        // It makes the terminal its own before it becomes the program.
        let mut command = Command::new("setsid");
        desk.dress(
            command
                .arg("--ctty")
                .arg(program())
                .arg("sandbox")
                .args(words),
        );
        let child = command
            .stdin(stream()?)
            .stdout(stream()?)
            .stderr(stream()?)
            .spawn()?;
        let (pieces, read) = channel();
        let mut from = ours.try_clone()?;
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = from.read(&mut piece) {
                if pieces.send(piece[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            ours,
            theirs,
            before,
            child,
            read,
            screen: String::new(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn resize(&self, size: (u16, u16)) -> TestResult {
        resize(&self.ours, size)
    }

    pub(super) fn types(&mut self, keys: &str) -> TestResult {
        Ok(self.ours.write_all(keys.as_bytes())?)
    }

    /// Waits until the screen shows this, after what was seen before.
    pub(super) fn shows(&mut self, what: &str) -> TestResult {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.screen.find(what) {
                self.screen.drain(..at + what.len());
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("no {what:?} on the screen: {:?}", self.screen).into());
            }
            if let Ok(piece) = self.read.recv_timeout(Duration::from_millis(100)) {
                self.screen.push_str(&String::from_utf8_lossy(&piece));
            }
        }
    }

    /// Waits for its end, and makes sure that the terminal is as it was.
    pub(super) fn ends(&mut self) -> Result<ExitStatus, Failure> {
        let mut status = None;
        until("the program on the terminal has ended", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let now = tcgetattr(&self.theirs)?;
        assert_eq!(
            (now.local_modes, now.input_modes, now.output_modes),
            (
                self.before.local_modes,
                self.before.input_modes,
                self.before.output_modes
            ),
        );
        status.ok_or_else(|| "it has not ended".into())
    }

    /// Whether keys go through as they are.
    pub(super) fn is_raw(&self) -> Result<bool, Failure> {
        Ok(tcgetattr(&self.theirs)?.local_modes != self.before.local_modes)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn resize(terminal: &File, (rows, columns): (u16, u16)) -> TestResult {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}
