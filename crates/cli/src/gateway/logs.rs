//! `talaria gateway logs`: what `s6-log` keeps of a gateway's output.
//!
//! It writes to `current`, which it renames to `@STAMP.s` once it is full; the names sort by time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use profile_boot::lifecycle::Site;
use rustix::fs::{OFlags, inotify};

use super::args::Logs;
use crate::failure::Failure;

pub(super) fn run(site: &Site, logs: &Logs) -> Result<(), Failure> {
    let profile = &logs.of.profile;
    site.check(profile)?;
    let directory = site.logs(profile);
    let current = directory.join("current");
    let failed = |source| Failure::File {
        action: "read it",
        path: current.clone(),
        source,
    };
    // From here on nothing that is written goes unnoticed.
    let watch = logs.follow.then(|| watch(&directory)).transpose();
    let (watch, mut file) = match (watch, open(&current)) {
        (Ok(watch), Ok(file)) => (watch, file),
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::NoLog {
                profile: profile.clone(),
                path: current,
            });
        }
        (Err(error), _) | (_, Err(error)) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    let mut out = io::stdout().lock();
    out.write_all(&tail(&directory, text, logs.lines).map_err(failed)?)?;
    out.flush()?;
    match watch {
        Some(watch) => follow(&watch, &current, file, &mut out),
        None => Ok(()),
    }
}

/// A regular file, and nothing that would keep us waiting in its place.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// The last lines of a log of which `text` is the newest part.
fn tail(directory: &Path, mut text: Vec<u8>, lines: usize) -> io::Result<Vec<u8>> {
    let mut older = archives(directory)?;
    while count(&text) < lines
        && let Some(path) = older.pop()
    {
        let mut before = Vec::new();
        match open(&path) {
            Ok(mut file) => file.read_to_end(&mut before)?,
            // s6-log keeps ten of them, and has just removed this one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        before.extend(text);
        text = before;
    }
    let begin = last_lines(&text, lines);
    text.drain(..begin);
    Ok(text)
}

/// The full parts of a log, oldest first.
fn archives(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('@') {
            archives.push(entry.path());
        }
    }
    archives.sort();
    Ok(archives)
}

fn count(text: &[u8]) -> usize {
    text.split_inclusive(|byte| *byte == b'\n').count()
}

/// Where the last so many lines begin.
fn last_lines(text: &[u8], lines: usize) -> usize {
    let skipped = count(text).saturating_sub(lines);
    text.split_inclusive(|byte| *byte == b'\n')
        .take(skipped)
        .map(<[u8]>::len)
        .sum()
}

fn watch(directory: &Path) -> io::Result<std::os::fd::OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    let what = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, directory, what)?;
    Ok(watch)
}

/// Prints what is added, for ever; ends where nobody reads it any more.
fn follow(
    watch: impl std::os::fd::AsFd,
    current: &Path,
    mut file: File,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let failed = |source| Failure::File {
        action: "follow it",
        path: current.to_owned(),
        source,
    };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch, &mut buffer);
    loop {
        copy(&mut file, out)?;
        match open(current) {
            Ok(next) if !is_same(&file, &next).map_err(failed)? => {
                // What was written between the last look and the rename.
                copy(&mut file, out)?;
                file = next;
                continue;
            }
            Ok(_) => {}
            // It is being renamed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        loop {
            match events.next().map(drop) {
                Ok(()) if events.is_buffer_empty() => break,
                Ok(()) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }
}

fn copy(file: &mut File, out: &mut impl Write) -> Result<(), Failure> {
    io::copy(file, out)?;
    Ok(out.flush()?)
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok(one.dev() == other.dev() && one.ino() == other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", 3, "")]
    #[case("a\nb\nc\n", 2, "b\nc\n")]
    #[case("a\nb\nc", 2, "b\nc")]
    #[case("a\n", 5, "a\n")]
    #[case("a\nb\n", 0, "")]
    fn the_last_lines_are_cut_at_their_beginning(
        #[case] text: &str,
        #[case] lines: usize,
        #[case] expected: &str,
    ) {
        assert_eq!(&text[last_lines(text.as_bytes(), lines)..], expected);
    }

    #[test]
    fn a_log_that_has_just_been_rotated_goes_back_into_what_was_before() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("@4000000001.s"), "1\n2\n").unwrap();
        fs::write(directory.path().join("@4000000002.s"), "3\n4\n").unwrap();
        let read = |lines| tail(directory.path(), b"5\n".to_vec(), lines).unwrap();
        assert_eq!(read(1), b"5\n");
        assert_eq!(read(3), b"3\n4\n5\n");
        assert_eq!(read(9), b"1\n2\n3\n4\n5\n");
    }
}
