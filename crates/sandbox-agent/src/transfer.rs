//! Files into and out of the sandbox, by a fork that has become the user they are for.
//!
//! It speaks the frames of the protocol over a socket to the agent, which passes them on as credit
//! allows. So a slow file system stops one transfer only, and the user's links and devices lead it
//! nowhere that the user could not go.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, open, openat, readlinkat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use crate::failure::Problem;
use crate::probe;
use crate::user::Identity;
use crate::wire::{
    Channel, Decoder, Entry, EntryKind, Failure, Get, MAX_DATA, Overwrite, Put, ToAgent, ToClient,
};

/// How deep a tree may be.
const DEPTH: usize = 256;

/// What is asked of a transfer.
pub(crate) enum Task {
    Put(Put),
    Get(Get),
    /// No transfer, but something that may take long and fail in odd ways, just as one may.
    Probe,
}

/// Does the task, in a fork, as `identity`; ends with its last frame.
pub(crate) fn run(socket: OwnedFd, task: &Task, identity: &Identity) -> i32 {
    let mut stream = UnixStream::from(socket);
    if matches!(task, Task::Probe) {
        let settings = probe::Settings {
            agent: std::os::unix::process::parent_id().cast_signed(),
        };
        let json = probe::to_json(&probe::run_with(settings));
        return i32::from(send(&mut stream, &ToClient::Probes(json.into())).is_err());
    }
    let done = become_user(identity).and_then(|()| match task {
        Task::Put(put) => Putting::new(&mut stream, put).and_then(|mut putting| putting.run()),
        Task::Get(get) => get_tree(&mut stream, get),
        Task::Probe => Ok(0),
    });
    let last = match done {
        Ok(bytes) => ToClient::Done(bytes),
        Err(problem) => ToClient::Failed(problem.frame()),
    };
    i32::from(send(&mut stream, &last).is_err())
}

fn become_user(identity: &Identity) -> Result<(), Problem> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    if identity.switch {
        crate::sys::assume(identity.uid, identity.gid, &identity.groups)
            .map_err(|errno| Problem::errno(Failure::User, errno, "cannot become the user"))?;
        crate::sys::become_undumpable().map_err(Problem::system("prctl"))?;
    }
    Ok(())
}

fn send(stream: &mut UnixStream, frame: &ToClient) -> Result<(), Problem> {
    let mut bytes = Vec::new();
    frame.encode(0, &mut bytes);
    stream
        .write_all(&bytes)
        .map_err(|_| Problem::new(Failure::Cancelled, "the transfer was given up"))
}

/// A failure about a path, of the kind that the error number stands for.
fn about(path: &Path) -> impl FnOnce(Errno) -> Problem + '_ {
    move |errno| {
        let failure = match errno {
            Errno::ENOENT | Errno::ENOTDIR => Failure::NotFound,
            Errno::EACCES | Errno::EPERM | Errno::EROFS => Failure::Denied,
            Errno::EEXIST | Errno::ENOTEMPTY => Failure::Exists,
            _ => Failure::System,
        };
        Problem::errno(failure, errno, &path.display().to_string())
    }
}

fn path_of(bytes: &[u8]) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(OsStr::from_bytes(bytes));
    if !path.is_absolute() || bytes.contains(&0) {
        return Err(Problem::new(
            Failure::Invalid,
            format!("{} is no absolute path", path.display()),
        ));
    }
    Ok(path)
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

const HERE: OFlag = OFlag::O_DIRECTORY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
const QUIET: OFlag = OFlag::O_NONBLOCK
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NOCTTY);

fn get_tree(stream: &mut UnixStream, get: &Get) -> Result<u64, Problem> {
    let path = path_of(&get.path.0)?;
    // A look without opening first: opening a device may do something.
    let stat = nix::sys::stat::stat(&path).map_err(about(&path))?;
    if kind(&stat) == SFlag::S_IFDIR {
        let fd = open(&path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(about(&path))?;
        return get_directory(stream, fd, &path, &mut Vec::new());
    }
    if kind(&stat) != SFlag::S_IFREG {
        return Err(Problem::new(
            Failure::Invalid,
            format!("{} is neither a file nor a directory", path.display()),
        ));
    }
    let fd = open(&path, QUIET, Mode::empty()).map_err(about(&path))?;
    get_file(stream, fd, &path, &[])
}

fn join(at: &[OsString]) -> Vec<u8> {
    at.iter()
        .map(|part| part.as_bytes())
        .collect::<Vec<_>>()
        .join(&b'/')
}

fn entry(
    at: &[OsString],
    kind: EntryKind,
    stat: &FileStat,
    size: u64,
    target: Vec<u8>,
) -> ToClient {
    ToClient::Entry(Entry {
        path: join(at).into(),
        kind,
        mode: stat.st_mode & 0o7777,
        size,
        target: target.into(),
    })
}

fn get_file(
    stream: &mut UnixStream,
    fd: OwnedFd,
    path: &Path,
    at: &[OsString],
) -> Result<u64, Problem> {
    let stat = fstat(&fd).map_err(about(path))?;
    if kind(&stat) != SFlag::S_IFREG {
        return Err(Problem::new(
            Failure::Invalid,
            format!("{} is no regular file", path.display()),
        ));
    }
    let size = stat.st_size.unsigned_abs();
    send(stream, &entry(at, EntryKind::File, &stat, size, Vec::new()))?;
    let mut file = File::from(fd);
    let mut left = size;
    let mut buffer = vec![0; MAX_DATA];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(MAX_DATA).min(MAX_DATA);
        let count = file
            .read(&mut buffer[..most])
            .map_err(|error| about(path)(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        if count == 0 {
            // A transfer that is not what it announced is none.
            return Err(Problem::new(
                Failure::System,
                format!("{} has shrunk meanwhile", path.display()),
            ));
        }
        left -= count as u64;
        send(
            stream,
            &ToClient::Data(Channel::Stdout, buffer[..count].to_vec()),
        )?;
    }
    Ok(size)
}

fn get_directory(
    stream: &mut UnixStream,
    fd: OwnedFd,
    path: &Path,
    at: &mut Vec<OsString>,
) -> Result<u64, Problem> {
    if at.len() > DEPTH {
        return Err(Problem::new(
            Failure::Invalid,
            format!("{} is too deep", path.display()),
        ));
    }
    let stat = fstat(&fd).map_err(about(path))?;
    send(
        stream,
        &entry(at, EntryKind::Directory, &stat, 0, Vec::new()),
    )?;
    let mut dir = Dir::from_fd(fd).map_err(about(path))?;
    let mut names = Vec::new();
    for found in dir.iter() {
        let name = found.map_err(about(path))?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    let mut total = 0;
    for name in names {
        let below = path.join(&name);
        let stat = match fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            stat => stat.map_err(about(&below))?,
        };
        at.push(name.clone());
        match kind(&stat) {
            SFlag::S_IFDIR => {
                let fd =
                    openat(&dir, name.as_os_str(), HERE, Mode::empty()).map_err(about(&below))?;
                total += get_directory(stream, fd, &below, at)?;
            }
            SFlag::S_IFREG => {
                let flags = QUIET | OFlag::O_NOFOLLOW;
                let fd =
                    openat(&dir, name.as_os_str(), flags, Mode::empty()).map_err(about(&below))?;
                total += get_file(stream, fd, &below, at)?;
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(&dir, name.as_os_str()).map_err(about(&below))?;
                send(
                    stream,
                    &entry(at, EntryKind::Link, &stat, 0, target.into_vec()),
                )?;
            }
            // Sockets, FIFOs and devices are no content.
            _ => {}
        }
        at.pop();
    }
    Ok(total)
}

/// A put under way.
struct Putting<'a> {
    stream: &'a mut UnixStream,
    put: &'a Put,
    decoder: Decoder<ToAgent>,
    parent: OwnedFd,
    path: PathBuf,
    name: OsString,
    staged: OsString,
    /// Directories whose modes are set when all is in them.
    modes: Vec<(Vec<OsString>, u32)>,
}

impl<'a> Putting<'a> {
    fn new(stream: &'a mut UnixStream, put: &'a Put) -> Result<Self, Problem> {
        let path = path_of(&put.path.0)?;
        let name = path.file_name().map(OsStr::to_owned);
        let (Some(name), Some(parent)) = (name, path.parent()) else {
            return Err(Problem::new(
                Failure::Invalid,
                format!("{} cannot be put", path.display()),
            ));
        };
        if put.parents {
            std::fs::create_dir_all(parent).map_err(|error| {
                about(parent)(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            })?;
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let parent = open(parent, flags, Mode::empty()).map_err(about(parent))?;
        if put.overwrite == Overwrite::Refuse
            && fstatat(&parent, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
        {
            return Err(about(&path)(Errno::EEXIST));
        }
        let random = crate::sys::random_name();
        let staged = OsString::from(format!(".talaria-{random}.tmp"));
        Ok(Self {
            stream,
            put,
            decoder: Decoder::new(),
            parent,
            path,
            name,
            staged,
            modes: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<u64, Problem> {
        let done = self
            .receive()
            .and_then(|total| self.publish().map(|()| total));
        remove_tree(&self.parent, &self.staged);
        done
    }

    fn next(&mut self) -> Result<ToAgent, Problem> {
        let given_up = || Problem::new(Failure::Cancelled, "the transfer was given up");
        loop {
            match self.decoder.next_frame() {
                Ok(Some((_, frame))) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(Problem::new(Failure::Protocol, error.to_string())),
            }
            let mut buffer = vec![0; MAX_DATA];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return Err(given_up()),
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    fn receive(&mut self) -> Result<u64, Problem> {
        let mut total = 0;
        let mut any = false;
        loop {
            match self.next()? {
                ToAgent::Entry(entry) => {
                    total += self.entry(&entry, any)?;
                    any = true;
                }
                ToAgent::Eof(_) if any => break,
                ToAgent::Eof(_) => return Err(Problem::new(Failure::Invalid, "a put of nothing")),
                _ => {
                    return Err(Problem::new(
                        Failure::Invalid,
                        "data that belongs to no file",
                    ));
                }
            }
        }
        for (at, mode) in std::mem::take(&mut self.modes).iter().rev() {
            let fd = self.descend(at)?;
            fchmod(&fd, Mode::from_bits_truncate(*mode)).map_err(about(&self.path))?;
        }
        Ok(total)
    }

    /// The directory of these parts below the staged root; no link is followed.
    fn descend(&self, at: &[OsString]) -> Result<OwnedFd, Problem> {
        let open = |fd: &OwnedFd, name: &OsStr| {
            openat(fd, name, HERE, Mode::empty()).map_err(about(&self.path))
        };
        let mut fd = open(&self.parent, &self.staged)?;
        for part in at {
            fd = open(&fd, part)?;
        }
        Ok(fd)
    }

    fn entry(&mut self, entry: &Entry, any: bool) -> Result<u64, Problem> {
        let parts = parts(&entry.path.0)?;
        if parts.is_empty() == any {
            return Err(Problem::new(
                Failure::Invalid,
                "the root of a tree is its first entry, and only that",
            ));
        }
        let (directory, name) = match parts.split_last() {
            None => (
                self.parent
                    .try_clone()
                    .map_err(|_| about(&self.path)(Errno::EMFILE))?,
                self.staged.clone(),
            ),
            Some((name, above)) => (self.descend(above)?, name.clone()),
        };
        let here = self.path.join(parts.iter().collect::<PathBuf>());
        let mode = Mode::from_bits_truncate(entry.mode);
        match entry.kind {
            EntryKind::Directory => {
                mkdirat(
                    &directory,
                    name.as_os_str(),
                    Mode::from_bits_truncate(0o700),
                )
                .map_err(about(&here))?;
                self.modes.push((parts, entry.mode));
                Ok(0)
            }
            EntryKind::Link => {
                symlinkat(
                    OsStr::from_bytes(&entry.target.0),
                    &directory,
                    name.as_os_str(),
                )
                .map_err(about(&here))?;
                Ok(0)
            }
            EntryKind::File => {
                let flags = OFlag::O_CREAT
                    | OFlag::O_EXCL
                    | OFlag::O_WRONLY
                    | OFlag::O_CLOEXEC
                    | OFlag::O_NOFOLLOW;
                let fd = openat(
                    &directory,
                    name.as_os_str(),
                    flags,
                    Mode::from_bits_truncate(0o600),
                )
                .map_err(about(&here))?;
                let fd = self.content(fd, entry.size, &here)?;
                fchmod(&fd, mode).map_err(about(&here))?;
                if !any {
                    nix::unistd::fsync(&fd).map_err(about(&here))?;
                }
                Ok(entry.size)
            }
        }
    }

    fn content(&mut self, fd: OwnedFd, size: u64, here: &Path) -> Result<OwnedFd, Problem> {
        let mut left = size;
        while left > 0 {
            let ToAgent::Data(_, bytes) = self.next()? else {
                return Err(Problem::new(
                    Failure::Invalid,
                    format!("{} is shorter than announced", here.display()),
                ));
            };
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                Problem::new(
                    Failure::Invalid,
                    format!("{} is longer than announced", here.display()),
                )
            })?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match nix::unistd::write(fd.as_fd(), rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(about(here)(errno)),
                }
            }
        }
        Ok(fd)
    }

    fn publish(&mut self) -> Result<(), Problem> {
        let rename = |flags| {
            renameat2(
                &self.parent,
                self.staged.as_os_str(),
                &self.parent,
                self.name.as_os_str(),
                flags,
            )
        };
        let plain = || {
            nix::fcntl::renameat(
                &self.parent,
                self.staged.as_os_str(),
                &self.parent,
                self.name.as_os_str(),
            )
        };
        let done = match self.put.overwrite {
            Overwrite::Refuse => match rename(RenameFlags::RENAME_NOREPLACE) {
                // A file system without it: nothing was there when this began.
                Err(Errno::EINVAL | Errno::ENOSYS) => plain(),
                done => done,
            },
            // What was there goes with the staging, which has its name then.
            Overwrite::Replace => match rename(RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::ENOENT | Errno::EINVAL | Errno::ENOSYS) => plain(),
                done => done,
            },
        };
        done.map_err(about(&self.path))
    }
}

fn parts(path: &[u8]) -> Result<Vec<OsString>, Problem> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let bad = parts
        .iter()
        .any(|part| part.is_empty() || *part == b"." || *part == b".." || part.contains(&0));
    if bad || parts.len() > DEPTH {
        return Err(Problem::new(
            Failure::Invalid,
            format!("{} is no path of a tree", path.escape_ascii()),
        ));
    }
    Ok(parts
        .into_iter()
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect())
}

/// Removes what is there, without following links. Best effort: it is staging, or was replaced.
fn remove_tree(parent: &OwnedFd, name: &OsStr) {
    if unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) != Err(Errno::EISDIR) {
        return;
    }
    if let Ok(fd) = openat(parent, name, HERE, Mode::empty())
        && let Ok(again) = fd.try_clone()
        && let Ok(mut dir) = Dir::from_fd(fd)
    {
        let names: Vec<Vec<u8>> = dir
            .iter()
            .filter_map(Result::ok)
            .map(|found| found.file_name().to_bytes().to_vec())
            .filter(|name| name != b"." && name != b"..")
            .collect();
        for name in names {
            remove_tree(&again, OsStr::from_bytes(&name));
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir).unwrap_or_default();
}
