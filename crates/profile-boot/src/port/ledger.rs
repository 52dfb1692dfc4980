//! Who was last given which port, in the file that is locked meanwhile.
//!
//! It saves most starts of gateways from looking at every other profile, and
//! says nothing that the profiles do not: where it is missing, torn or older
//! than them, it costs a look at all of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::Port;
use crate::profile::ProfileName;

/// Begun anew beyond this many bytes: all ports with the longest names take less.
const FULL: u64 = 256 << 10;

/// The ledger of a home, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    /// `PORT NAME` lines; the last one of a port or a name counts.
    text: String,
    /// Whether it may be written: a file with a second name is somebody else's too.
    is_sole: bool,
}

impl Ledger {
    /// Opens and locks the ledger, made where it is missing.
    pub(super) fn lock(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // Whatever stands there: to open a FIFO would wait for ever.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        file.lock()?;
        let metadata = file.metadata()?;
        let is_sole = metadata.nlink() == 1;
        let mut bytes = Vec::new();
        if metadata.len() <= FULL {
            (&mut file).take(FULL).read_to_end(&mut bytes)?;
        } else if is_sole {
            file.set_len(0)?;
        }
        Ok(Self {
            file,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            is_sole,
        })
    }

    /// Whether this profile was the last to be given this port, and this port the
    /// last that it was given.
    pub(super) fn is_last(&self, port: Port, profile: &ProfileName) -> bool {
        let mut found = false;
        for (its, whose) in self.text.split_inclusive('\n').filter_map(entry) {
            let (same_port, same_profile) = (its == port, whose == profile.as_str());
            if same_port || same_profile {
                found = same_port && same_profile;
            }
        }
        found
    }

    /// Notes that this profile has this port.
    pub(super) fn note(&mut self, port: Port, profile: &ProfileName) {
        if self.is_sole && !self.is_last(port, profile) {
            // A line that a killed writer has left half is ended, and counts for nobody.
            let torn = !self.text.is_empty() && !self.text.ends_with('\n');
            let line = format!("{}{port} {profile}\n", if torn { "\n" } else { "" });
            let written = self.file.seek(SeekFrom::End(0));
            if written
                .and_then(|_| self.file.write_all(line.as_bytes()))
                .is_ok()
            {
                self.text.push_str(&line);
            }
            // Where it could not be, the profile's own record still says it.
        }
    }
}

fn entry(line: &str) -> Option<(Port, &str)> {
    let (port, name) = line.strip_suffix('\n')?.split_once(' ')?;
    Some((Port::parse(port)?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProfileName {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_word_on_a_port_or_a_profile_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let (a, b) = (name("a"), name("b"));
        let mut ledger = Ledger::lock(&path).unwrap();
        assert!(!ledger.is_last(Port(9200), &a));
        ledger.note(Port(9200), &a);
        ledger.note(Port(9200), &a);
        drop(ledger);
        assert_eq!(fs::read_to_string(&path).unwrap(), "9200 a\n");
        let mut ledger = Ledger::lock(&path).unwrap();
        assert!(ledger.is_last(Port(9200), &a));
        ledger.note(Port(9200), &b);
        assert!(ledger.is_last(Port(9200), &b) && !ledger.is_last(Port(9200), &a));
        ledger.note(Port(9201), &b);
        assert!(!ledger.is_last(Port(9200), &b) && !ledger.is_last(Port(9200), &a));
    }

    #[test]
    fn what_is_torn_or_too_large_says_nothing_and_is_mended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        fs::write(&path, "9200 a\n9201 b").unwrap();
        let mut ledger = Ledger::lock(&path).unwrap();
        assert!(ledger.is_last(Port(9200), &name("a")));
        assert!(!ledger.is_last(Port(9201), &name("b")));
        ledger.note(Port(9202), &name("c"));
        drop(ledger);
        let ledger = Ledger::lock(&path).unwrap();
        assert!(ledger.is_last(Port(9202), &name("c")));
        drop(ledger);
        File::create(&path).unwrap().set_len(2 << 30).unwrap();
        drop(Ledger::lock(&path).unwrap());
        assert_eq!(path.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_file_with_a_second_name_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("ledger"), directory.path().join("x"));
        fs::write(&other, "mine").unwrap();
        fs::hard_link(&other, &path).unwrap();
        Ledger::lock(&path).unwrap().note(Port(9200), &name("a"));
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    }
}
