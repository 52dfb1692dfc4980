//! A service that does what it is told, and whose end takes as long as it is told.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use s6_svc::{Definition, Program, Registration, ServiceDir};

use crate::support::{Tree, name, script, until};

/// Reads words from the FIFO `words`: `ready`, `exit N`, `kill SIGNAL`.
const RUN: &str = r#"exec <>words
while read -r what how; do
  case $what in
    ready) echo >&3 ;;
    exit) exit "$how" ;;
    kill) kill -s "$how" $$ ;;
  esac
done"#;

/// Does what the file `mode` says: `fast`, `slow` until a line comes through the FIFO `release`, or
/// `fail`.
const FINISH: &str = r"#!/bin/sh
read -r mode <mode
case $mode in
  slow) read -r go <>release ;;
  fail) exit 125 ;;
esac
exit 0
";

pub(crate) struct Rig {
    pub(crate) service: ServiceDir,
    words: File,
    release: File,
}

impl Rig {
    pub(crate) fn register(tree: &Tree, text: &str) -> Self {
        let slot = tree.path().join(text);
        let definition = Self::definition().down();
        let registration_name = name(text);
        Registration::new(&tree.scandir, &registration_name, &definition)
            .execute()
            .unwrap();
        let fifo = |file: &str| {
            let path = slot.join(file);
            rustix::fs::mkfifoat(
                rustix::fs::CWD,
                &path,
                rustix::fs::Mode::from_raw_mode(0o600),
            )
            .unwrap();
            // Open for both, so that nobody blocks.
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        let (words, release) = (fifo("words"), fifo("release"));
        let rig = Self {
            service: tree.service(text),
            words,
            release,
        };
        rig.mode("fast");
        rig
    }

    fn definition() -> Definition {
        script(RUN)
            .finish(Program::Script(FINISH.to_owned()))
            .notification_fd(3)
            .unwrap()
            .timeout_finish(Duration::ZERO)
            .unwrap()
    }

    pub(crate) fn mode(&self, mode: &str) {
        fs::write(self.service.path().join("mode"), format!("{mode}\n")).unwrap();
    }

    pub(crate) fn say(&self, words: &str) {
        (&self.words)
            .write_all(format!("{words}\n").as_bytes())
            .unwrap();
    }

    pub(crate) fn release(&self) {
        (&self.release).write_all(b"go\n").unwrap();
    }

    /// Waits until its state is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&s6_svc::Status) -> bool) {
        until(what, || {
            self.service.status().is_ok_and(|status| is_so(&status))
        });
    }
}

/// The version of Debian's package, such as `2.13.1.0`.
pub(crate) fn package_version() -> String {
    let arguments = ["-W", "-f", "${Version}", "s6"];
    let output = crate::support::s6("dpkg-query", &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('-').next().unwrap().to_owned()
}
