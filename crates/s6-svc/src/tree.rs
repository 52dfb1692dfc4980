//! Making and removing what a slot is made of, below an open directory.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::definition::{Item, Node};
use crate::dir::{self, Dir, Links};
use crate::error::{FileKind, FsError};
use crate::skeleton::{Identity, Make, Place, Tree};
use crate::step::{Action, Steps};

/// Deeper trees are not ours.
const MAX_DEPTH: usize = 32;

/// How often a directory is emptied that others fill meanwhile.
const MAX_ROUNDS: usize = 16;

/// Makes a directory with exactly this mode and owner.
pub(crate) fn make_dir(
    parent: &Dir,
    name: &str,
    mode: u32,
    give_to: Option<Identity>,
    steps: &mut Steps<'_>,
) -> Result<Dir, FsError> {
    let path = parent.join(name);
    steps.before(Action::MakeDirectory, &path);
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))
        .map_err(|errno| parent.fail("make", name, FileKind::Directory, errno))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(|errno| parent.fail("open", name, FileKind::Directory, errno))?;
    dress(&fd, &path, mode, give_to, steps)?;
    Ok(Dir::from_fd(fd, path))
}

/// Sets mode, then owner: a directory keeps its set-group-id bit, and no capability is needed but
/// the one to give away.
fn dress(
    fd: &OwnedFd,
    path: &Path,
    mode: u32,
    give_to: Option<Identity>,
    steps: &mut Steps<'_>,
) -> Result<(), FsError> {
    steps.before(Action::SetMode, path);
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
        .map_err(|errno| dir::os("set the mode of", path.to_owned(), errno))?;
    if let Some(Identity { uid, gid }) = give_to {
        steps.before(Action::SetOwner, path);
        rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|errno| dir::os("set the owner of", path.to_owned(), errno))?;
    }
    Ok(())
}

/// Gives a directory away.
pub(crate) fn give(dir: &Dir, owner: Identity, steps: &mut Steps<'_>) -> Result<(), FsError> {
    let path = dir.path().to_owned();
    steps.before(Action::SetOwner, &path);
    rustix::fs::fchown(
        dir,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
    )
    .map_err(|errno| dir::os("set the owner of", path, errno))
}

/// Makes one item of a definition. Its parent has been made before.
pub(crate) fn make_item(
    slot: &Dir,
    item: &Item,
    give_to: Option<Identity>,
    steps: &mut Steps<'_>,
) -> Result<(), FsError> {
    let (parent, name) = match item.place.rsplit_once('/') {
        Some((parent, name)) => (Some(descend(slot, parent)?), name),
        None => (None, item.place.as_str()),
    };
    let parent = parent.as_ref().unwrap_or(slot);
    match &item.node {
        Node::Directory => make_dir(parent, name, 0o755, give_to, steps).map(drop),
        Node::File { bytes, mode } => make_file(parent, name, bytes, *mode, give_to, steps),
        Node::Link(target) => make_link(parent, name, target, give_to, steps),
    }
}

/// Opens a directory some levels down; no link is followed on the way.
pub(crate) fn descend(slot: &Dir, path: &str) -> Result<Dir, FsError> {
    let mut parts = path.split('/');
    let first = slot.below(parts.next().unwrap_or_default(), Links::Refuse)?;
    parts.try_fold(first, |dir, part| dir.below(part, Links::Refuse))
}

pub(crate) fn make_file(
    parent: &Dir,
    name: &str,
    bytes: &[u8],
    mode: u32,
    give_to: Option<Identity>,
    steps: &mut Steps<'_>,
) -> Result<(), FsError> {
    let path = parent.join(name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    steps.before(Action::MakeFile, &path);
    let fd = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
        .map_err(|errno| parent.fail("make", name, FileKind::Regular, errno))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        steps.before(Action::Write, &path);
        match rustix::io::write(&fd, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(dir::os("write", path, errno)),
        }
    }
    dress(&fd, &path, mode, give_to, steps)
}

fn make_link(
    parent: &Dir,
    name: &str,
    target: &Path,
    give_to: Option<Identity>,
    steps: &mut Steps<'_>,
) -> Result<(), FsError> {
    let path = parent.join(name);
    steps.before(Action::MakeLink, &path);
    rustix::fs::symlinkat(target, parent, name)
        .map_err(|errno| parent.fail("make", name, FileKind::Symlink, errno))?;
    if let Some(Identity { uid, gid }) = give_to {
        steps.before(Action::SetOwner, &path);
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| dir::os("set the owner of", path, errno))?;
    }
    Ok(())
}

/// Looks at the places of the skeleton.
pub(crate) fn observe(service: &Dir) -> Result<Tree, FsError> {
    let mut tree = Tree::default();
    for place in Place::ALL {
        let inside = matches!(place, Place::SuperviseEvent | Place::Control);
        if inside && tree.supervise != Some(FileKind::Directory) {
            continue;
        }
        let stat = if inside {
            let (parent, name) = place.path().split_once('/').unwrap_or_default();
            service.below(parent, Links::Refuse)?.stat(name)?
        } else {
            service.stat(place.path())?
        };
        if let Some(stat) = stat {
            tree.set(place, dir::kind(&stat));
        }
    }
    Ok(tree)
}

/// Makes one thing of the skeleton: under another name first, so that it is there with its owner or
/// not at all.
pub(crate) fn make_place(service: &Dir, make: Make, steps: &mut Steps<'_>) -> Result<(), FsError> {
    let (parent, name) = match make.place.path().split_once('/') {
        Some((parent, name)) => (Some(service.below(parent, Links::Refuse)?), name),
        None => (None, make.place.path()),
    };
    let parent = parent.as_ref().unwrap_or(service);
    let staged = format!(".{name}.s6");
    remove_tree(parent, staged.as_ref(), steps)?;
    match make.place.kind() {
        FileKind::Fifo => make_fifo(parent, &staged, make, steps)?,
        _ => {
            make_dir(parent, &staged, make.place.mode(), make.give_to, steps)?;
        }
    }
    match rename_new(parent, staged.as_ref(), parent, name.as_ref(), steps) {
        Err(error) => match parent.stat(name)?.map(|stat| dir::kind(&stat)) {
            // A supervisor came and made its own meanwhile.
            Some(kind) if kind == make.place.kind() => {
                remove_tree(parent, staged.as_ref(), steps)?;
                Ok(())
            }
            Some(found) => Err(parent.wrong_kind(name, make.place.kind(), found)),
            None => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

fn make_fifo(parent: &Dir, name: &str, make: Make, steps: &mut Steps<'_>) -> Result<(), FsError> {
    let path = parent.join(name);
    steps.before(Action::MakeFifo, &path);
    rustix::fs::mkfifoat(parent, name, Mode::from_raw_mode(0o600))
        .map_err(|errno| parent.fail("make", name, FileKind::Fifo, errno))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(|errno| parent.fail("open", name, FileKind::Fifo, errno))?;
    if parent.expect(&fd, name, FileKind::Fifo)?.st_nlink > 1 {
        return Err(FsError::Linked { path });
    }
    dress(&fd, &path, make.place.mode(), make.give_to, steps)
}

/// Renames, and fails where something is there already.
pub(crate) fn rename_new(
    from: &Dir,
    old: &OsStr,
    to: &Dir,
    new: &OsStr,
    steps: &mut Steps<'_>,
) -> Result<(), FsError> {
    steps.before(Action::Rename, to.join(new));
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // A file system without the flag: the caller holds the slot's lock and has looked.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(from, old, to, new),
        result => result,
    }
    .map_err(|errno| to.fail("rename to", new, FileKind::Unknown, errno))
}

/// Removes whatever is there; a link, not what it leads to. Whether anything was there.
pub(crate) fn remove_tree(
    parent: &Dir,
    name: &OsStr,
    steps: &mut Steps<'_>,
) -> Result<bool, FsError> {
    remove_to_depth(parent, name, MAX_DEPTH, steps)
}

fn remove_to_depth(
    parent: &Dir,
    name: &OsStr,
    depth: usize,
    steps: &mut Steps<'_>,
) -> Result<bool, FsError> {
    let fail = |errno| parent.fail("remove", name, FileKind::Unknown, errno);
    match parent.stat(name)?.map(|stat| dir::kind(&stat)) {
        None => return Ok(false),
        Some(FileKind::Directory) => {}
        Some(_) => {
            steps.before(Action::Remove, parent.join(name));
            return match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                Err(Errno::NOENT) => Ok(false),
                Err(errno) => Err(fail(errno)),
            };
        }
    }
    if depth == 0 {
        return Err(fail(Errno::NAMETOOLONG));
    }
    for _ in 0..MAX_ROUNDS {
        let dir = parent.below(name, Links::Refuse)?;
        for entry in names(&dir)? {
            remove_to_depth(&dir, &entry, depth - 1, steps)?;
        }
        steps.before(Action::Remove, parent.join(name));
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => return Ok(true),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::NOTEMPTY) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(Errno::NOTEMPTY))
}

/// The entries of a directory, without `.` and `..`.
pub(crate) fn names(dir: &Dir) -> Result<Vec<OsString>, FsError> {
    let mut names = Vec::new();
    for entry in dir.list(".")? {
        let entry = entry.map_err(|errno| dir.fail("list", ".", FileKind::Directory, errno))?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}

/// Whether a slot holds exactly this item.
pub(crate) fn holds(slot: &Dir, item: &Item) -> Result<bool, FsError> {
    let (parent, name) = match item.place.rsplit_once('/') {
        Some((parent, name)) => match descend(slot, parent) {
            Ok(parent) => (Some(parent), name),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        },
        None => (None, item.place.as_str()),
    };
    let parent = parent.as_ref().unwrap_or(slot);
    let kind = parent.stat(name)?.map(|stat| dir::kind(&stat));
    match (&item.node, kind) {
        (Node::Directory, Some(FileKind::Directory)) => Ok(true),
        (Node::File { bytes, .. }, Some(FileKind::Regular)) => {
            Ok(parent.read(name, bytes.len())? == *bytes)
        }
        (Node::Link(target), Some(FileKind::Symlink)) => {
            let found = rustix::fs::readlinkat(parent.as_fd(), name, Vec::new())
                .map_err(|errno| parent.fail("read", name, FileKind::Symlink, errno))?;
            Ok(found.as_bytes() == target.as_os_str().as_bytes())
        }
        _ => Ok(false),
    }
}
