//! Packing files of this machine.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::error::CopyError;
use super::pump::Piece;

/// Packs `from` under `name`, owned by `owner`, in a thread that blocks.
pub(crate) fn pack(
    from: PathBuf,
    name: String,
    owner: (u64, u64),
    into: mpsc::Sender<Piece>,
) -> impl FnOnce() -> Result<(), CopyError> {
    move || {
        let sink = io::BufWriter::with_capacity(64 << 10, Sink(into));
        let mut builder = Builder::new(sink);
        builder.follow_symlinks(false);
        // A link that was named is what it points to; links below stay links.
        let from = fs::canonicalize(&from).map_err(host(&from))?;
        add(&mut builder, &from, Path::new(&name), owner)?;
        let mut sink = builder.into_inner().map_err(host(&from))?;
        sink.flush().map_err(host(&from))?;
        let sink = sink
            .into_inner()
            .map_err(|error| host(&from)(error.into_error()))?;
        let told = sink.0.blocking_send(Piece::End);
        told.map_err(|_| host(&from)(io::ErrorKind::BrokenPipe.into()))
    }
}

fn host(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    move |source| CopyError::Host { path, source }
}

fn add(
    builder: &mut Builder<impl Write>,
    from: &Path,
    name: &Path,
    owner: (u64, u64),
) -> Result<(), CopyError> {
    let found = fs::symlink_metadata(from).map_err(host(from))?;
    let mut header = Header::new_gnu();
    header.set_metadata(&found);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    let kind = found.file_type();
    if kind.is_dir() {
        builder
            .append_data(&mut header, name, io::empty())
            .map_err(host(from))?;
        let mut names: Vec<_> = fs::read_dir(from)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(host(from))?
            .into_iter()
            .map(|entry| entry.file_name())
            .collect();
        names.sort();
        for below in names {
            add(builder, &from.join(&below), &name.join(&below), owner)?;
        }
        Ok(())
    } else if kind.is_file() {
        let file = fs::File::open(from).map_err(host(from))?;
        builder
            .append_data(&mut header, name, Exactly::new(file, found.len()))
            .map_err(host(from))
    } else if kind.is_symlink() {
        let target = fs::read_link(from).map_err(host(from))?;
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, name, target)
            .map_err(host(from))
    } else {
        Err(CopyError::NoFile {
            path: from.to_owned(),
        })
    }
}

/// As many bytes as the header said, whatever happens to the file meanwhile.
struct Exactly {
    file: fs::File,
    left: u64,
}

impl Exactly {
    fn new(file: fs::File, left: u64) -> Self {
        Self { file, left }
    }
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

struct Sink(mpsc::Sender<Piece>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Piece::Bytes(Bytes::copy_from_slice(bytes));
        match self.0.blocking_send(piece) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
