//! Files for a container, put there before it starts.

use std::io;

use tar::{Builder, EntryType, Header};

/// Files, directories, links and FIFOs for a container, with owner and mode, in the order given.
///
/// Parents that are not listed must exist in the image; a directory that is listed gets the
/// given owner and mode even if it exists.
///
/// ```
/// use docker_harness::Tree;
///
/// let files = Tree::new()
///     .directory("/etc/services.d/ticker", 0o755)
///     .script("/etc/services.d/ticker/run", "exec sleep 1000");
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Tree {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: String,
    mode: u32,
    owner: (u64, u64),
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    Fifo,
}

impl Tree {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to put.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A regular file of root's.
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.with(path, mode, Kind::File(content.into()))
    }

    /// A shell script of root's, mode 0755; `body` comes after the `#!/bin/sh` line.
    pub fn script(self, path: &str, body: &str) -> Self {
        self.file(path, 0o755, format!("#!/bin/sh\n{body}\n"))
    }

    /// A directory of root's.
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.with(path, mode, Kind::Directory)
    }

    /// A symbolic link.
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.with(path, 0o777, Kind::Symlink(target.to_owned()))
    }

    /// A named pipe of root's.
    pub fn fifo(self, path: &str, mode: u32) -> Self {
        self.with(path, mode, Kind::Fifo)
    }

    /// Gives the entry added last to `uid:gid`.
    pub fn owned_by(mut self, uid: u64, gid: u64) -> Self {
        if let Some(entry) = self.entries.last_mut() {
            entry.owner = (uid, gid);
        }
        self
    }

    /// These entries, then those of `other`.
    pub fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    fn with(mut self, path: &str, mode: u32, kind: Kind) -> Self {
        self.entries.push(Entry {
            path: path.to_owned(),
            mode,
            owner: (0, 0),
            kind,
        });
        self
    }

    /// The archive that the engine unpacks at `/`.
    pub(crate) fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for entry in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.0);
            header.set_gid(entry.owner.1);
            header.set_size(0);
            let path = entry.path.trim_start_matches('/');
            match &entry.kind {
                Kind::File(content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, path, content.as_slice())?;
                }
                Kind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, path, io::empty())?;
                }
                Kind::Symlink(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, path, target)?;
                }
                Kind::Fifo => {
                    header.set_entry_type(EntryType::Fifo);
                    archive.append_data(&mut header, path, io::empty())?;
                }
            }
        }
        archive.into_inner()
    }
}
