//! Who owns what is in the home: after a remap, what the agent's user owned
//! under its former ids becomes the agent's; at every boot, what root left does.
//!
//! The home is the agent's, who may have put anything anywhere in it. So every
//! step goes through a directory descriptor, no link is followed, and only
//! directories and regular files with one name change their owner.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{Uid, fchownat};

use crate::identity::Identity;
use crate::owner_record::{self, Ids};
use crate::report;

/// Directories in each other, at most: each takes two descriptors.
const DEEPEST: usize = 200;

/// How many entries of one directory are looked at before the boot goes on.
const AT_ONCE: usize = 1024;

/// Where the boot itself needs the agent to be at home, besides the home itself.
const KNOWN: [&CStr; 3] = [c"logs", c"logs/gateways", c"profiles"];

/// What tells that root was at work in a profile.
const KNOWN_IN_PROFILE: [&CStr; 6] = [
    c".",
    c"SOUL.md",
    c"gateway_state.json",
    c".env",
    c"config.yaml",
    c"logs",
];

/// The ids that the image gives the agent's user.
const IMAGE: Ids = Ids {
    uid: 10000,
    gid: 10000,
};

/// Whose files are given to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Former {
    uid: u32,
    /// The group that changes as well; `None` is any.
    gid: Option<u32>,
}

/// Root, who left files in the agent's home.
const ROOT: Former = Former { uid: 0, gid: None };

impl From<Ids> for Former {
    fn from(ids: Ids) -> Self {
        Self {
            uid: ids.uid,
            gid: Some(ids.gid),
        }
    }
}

/// Whose files become the agent's before it starts.
///
/// Its own of former ids, where the record does not say that it was done: those
/// of the image, and those of the record, if the home's `owner` says the same or
/// the agent still has that uid. Only root can change either, so the agent could
/// at most bring an old record back, and that names the home's owner no more.
///
/// And root's, where the home is root's: the volume is new or was made by root.
fn former(now: Ids, owner: u32, record: Option<Ids>) -> Vec<Former> {
    let mut former = Vec::new();
    if record != Some(now) {
        let trusted = record.filter(|record| record.uid == owner || record.uid == now.uid);
        for ids in [(now != IMAGE).then_some(IMAGE), trusted]
            .into_iter()
            .flatten()
        {
            if !former.contains(&ids.into()) {
                former.push(ids.into());
            }
        }
    }
    if owner == 0 {
        former.push(ROOT);
    }
    former
}

/// Who may have been the agent before, and may as well be a user of the host's:
/// nothing of that uid is given away.
fn stranger(now: Ids, owner: u32, record: Option<Ids>) -> Option<u32> {
    let is_known = |uid: u32| uid == 0 || uid == IMAGE.uid || uid == now.uid;
    match record {
        Some(record) if record.uid == owner || is_known(record.uid) && is_known(owner) => None,
        _ if !is_known(owner) => Some(owner),
        record => record.map(|record| record.uid),
    }
}

/// Gives the agent what was its own in `home`, whose `directory` is open, under
/// former ids, and notes its present ones. The note comes after the work, so that
/// whoever is killed meanwhile does it all again, and the home itself last.
pub(crate) fn follow(home: &Path, directory: &OwnedFd, identity: &Identity) {
    let now = Ids {
        uid: identity.uid.as_raw(),
        gid: identity.gid.as_raw(),
    };
    let Ok(stat) = fstat(directory) else {
        return;
    };
    let owner = stat.st_uid;
    let record = owner_record::read(directory);
    if let Some(stranger) = stranger(now, owner, record) {
        report::warning(format_args!(
            "{}: uid {owner} owns it, and root's record names {}: what else uid {stranger} owns \
             there stays as it is",
            home.display(),
            record.map_or_else(
                || "nobody".to_owned(),
                |record| format!("uid {}", record.uid)
            )
        ));
    }
    let former = former(now, owner, record);
    if !former.is_empty() {
        sweep(home, directory, identity, &former);
    }
    let kept = match record {
        Some(record) if record == now => Ok(()),
        Some(_) if now == IMAGE => owner_record::remove(directory),
        None if now == IMAGE => Ok(()),
        _ => owner_record::write(directory, now),
    };
    if let Err(error) = kept {
        report::warning(format_args!(
            "{}: cannot note there that the agent is {}:{}: {error}",
            home.display(),
            now.uid,
            now.gid
        ));
    }
    Sweep::new(identity, &former).give_sound(directory, &stat);
}

/// Gives the agent what root owns where the boot needs the agent to be at home:
/// at the top of the home, of its logs, and of the profiles in which root was at
/// work. What is deeper can wait.
pub(crate) fn heal_known(directory: &OwnedFd, identity: &Identity) {
    let mut sweep = Sweep::new(identity, &[ROOT]);
    sweep.shallow(directory, true, |_, _| {});
    for known in KNOWN {
        let Ok(at) = open_below(directory, known) else {
            continue;
        };
        let is_profiles = known == c"profiles";
        sweep.shallow(&at, false, |sweep, name| {
            if is_profiles
                && is_touched_by_root(&at, name)
                && let Ok(profile) = open_below(&at, name)
            {
                sweep.shallow(&profile, false, |_, _| {});
            }
        });
    }
}

/// Whether root owns something in a profile that its gateway cannot do without.
fn is_touched_by_root(profiles: &OwnedFd, name: &CStr) -> bool {
    let Ok(profile) = open_below(profiles, name) else {
        return false;
    };
    KNOWN_IN_PROFILE.iter().any(|known| {
        fstatat(&profile, *known, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_uid == 0)
    })
}

/// A directory below another one, on the same file system and through no link.
fn open_below(directory: &OwnedFd, path: &CStr) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_XDEV
                | ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
    openat2(directory, path, how)
}

/// Gives the agent what root owns in `home`: what a `docker exec` as root made
/// there would otherwise be out of the agent's reach.
pub(crate) fn heal(home: &Path, directory: &OwnedFd, identity: &Identity) {
    sweep(home, directory, identity, &[ROOT]);
}

fn sweep(home: &Path, directory: &OwnedFd, identity: &Identity, from: &[Former]) {
    let mut sweep = Sweep::new(identity, from);
    sweep.directory(directory, 0);
    sweep.report(home);
}

struct Sweep<'a> {
    identity: &'a Identity,
    /// Whose files are given away.
    from: &'a [Former],
    /// Where in the home it is.
    at: PathBuf,
    /// What is neither a directory nor a regular file with one name.
    odd: Passed,
    /// What could not be looked into or given away.
    refused: Passed,
}

/// What was passed over: how much, and where it began.
#[derive(Default)]
struct Passed {
    count: usize,
    first: PathBuf,
}

impl Passed {
    fn note(&mut self, at: &Path) {
        if self.count == 0 {
            at.clone_into(&mut self.first);
        }
        self.count += 1;
    }
}

impl<'a> Sweep<'a> {
    fn new(identity: &'a Identity, from: &'a [Former]) -> Self {
        Self {
            identity,
            from,
            at: PathBuf::new(),
            odd: Passed::default(),
            refused: Passed::default(),
        }
    }

    /// Looks at the entries of one directory, up to a bound, and not below them;
    /// `then` is called for each of them.
    fn shallow(&mut self, at: &OwnedFd, is_home: bool, mut then: impl FnMut(&mut Self, &CStr)) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // What cannot be looked into is said by whoever looks at all of it.
        let Ok(mut entries) = Dir::openat(at, ".", flags, Mode::empty()) else {
            return;
        };
        for entry in entries.iter().flatten().take(AT_ONCE) {
            let name = entry.file_name();
            let is_record = is_home && name == owner_record::NAME;
            if !is_record && !matches!(name.to_bytes(), b"." | b"..") {
                if let Ok(Some((entry, stat))) = Self::open(at, name) {
                    self.give_sound(&entry, &stat);
                }
                then(self, name);
            }
        }
    }

    fn directory(&mut self, at: &OwnedFd, depth: usize) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(mut entries) = Dir::openat(at, ".", flags, Mode::empty()) else {
            self.refused.note(&self.at);
            return;
        };
        for entry in entries.iter() {
            match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                // Root's it has to stay, or it would not count.
                Ok(entry) if depth == 0 && entry.file_name() == owner_record::NAME => {}
                Ok(entry) => {
                    self.at
                        .push(OsStr::from_bytes(entry.file_name().to_bytes()));
                    self.entry(at, entry.file_name(), depth);
                    self.at.pop();
                }
                Err(_) => self.refused.note(&self.at),
            }
        }
    }

    /// An entry and what it is; `None` for what is mounted in the home, which is
    /// somebody else's, on whatever file system.
    fn open(directory: &OwnedFd, name: &CStr) -> nix::Result<Option<(OwnedFd, FileStat)>> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(directory, name, how) {
            Ok(entry) => fstat(&entry).map(|stat| Some((entry, stat))),
            Err(Errno::EXDEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn entry(&mut self, directory: &OwnedFd, name: &CStr, depth: usize) {
        let (entry, stat) = match Self::open(directory, name) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(_) => {
                self.refused.note(&self.at);
                return;
            }
        };
        if kind(&stat) == SFlag::S_IFDIR {
            if depth < DEEPEST {
                self.directory(&entry, depth + 1);
            } else {
                self.refused.note(&self.at);
            }
        }
        if !self.give_sound(&entry, &stat) && self.change(&stat).is_some() {
            self.odd.note(&self.at);
        }
    }

    /// Gives the agent a directory or a file with one name; whether it is one.
    fn give_sound(&mut self, entry: &OwnedFd, stat: &FileStat) -> bool {
        let kind = kind(stat);
        let is_sound = kind == SFlag::S_IFDIR || (kind == SFlag::S_IFREG && stat.st_nlink == 1);
        if is_sound && let Some((uid, gid)) = self.change(stat) {
            let gid = gid.then_some(self.identity.gid);
            if fchownat(entry.as_fd(), c"", Some(uid), gid, AtFlags::AT_EMPTY_PATH).is_err() {
                self.refused.note(&self.at);
            }
        }
        is_sound
    }

    /// Whose an entry becomes, and whether its group follows; `None` where it
    /// stays as it is.
    fn change(&self, stat: &FileStat) -> Option<(Uid, bool)> {
        let mut whose = self.from.iter().filter(|from| from.uid == stat.st_uid);
        let first = whose.next()?;
        let group = |from: &Former| from.gid.is_none_or(|gid| gid == stat.st_gid);
        let follows = group(first) || whose.any(group);
        let changes = stat.st_uid != self.identity.uid.as_raw()
            || (follows && stat.st_gid != self.identity.gid.as_raw());
        changes.then_some((self.identity.uid, follows))
    }

    fn report(&self, home: &Path) {
        let uid: Uid = self.identity.uid;
        if self.odd.count > 0 {
            report::warning(format_args!(
                "{}: {} links and special files keep their owner, uid {}, the first of them {}",
                home.display(),
                self.odd.count,
                self.from
                    .iter()
                    .map(|from| from.uid.to_string())
                    .collect::<Vec<_>>()
                    .join(" or "),
                self.odd.first.display()
            ));
        }
        if self.refused.count > 0 {
            report::warning(format_args!(
                "{}: {} entries could not be given to uid {uid}, the first of them {}",
                home.display(),
                self.refused.count,
                self.refused.first.display()
            ));
        }
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const fn ids(uid: u32, gid: u32) -> Ids {
        Ids { uid, gid }
    }

    #[rstest]
    #[case::as_the_image_has_it(IMAGE, 10000, None, &[])]
    #[case::never_remapped_before(ids(99, 100), 10000, None, &[IMAGE])]
    #[case::done(ids(99, 100), 99, Some(ids(99, 100)), &[])]
    #[case::done_but_for_the_home(ids(99, 100), 10000, Some(ids(99, 100)), &[])]
    #[case::again(ids(7, 8), 99, Some(ids(99, 100)), &[IMAGE, ids(99, 100)])]
    #[case::back(IMAGE, 99, Some(ids(99, 100)), &[ids(99, 100)])]
    #[case::the_group_alone(ids(10000, 20), 10000, None, &[IMAGE])]
    #[case::the_group_again(ids(99, 20), 99, Some(ids(99, 100)), &[IMAGE, ids(99, 100)])]
    #[case::a_record_that_was_brought_back(ids(7, 8), 7, Some(ids(99, 100)), &[IMAGE])]
    #[case::a_home_of_a_users(ids(7, 8), 1000, Some(ids(99, 100)), &[IMAGE])]
    fn whose_files_follow(
        #[case] now: Ids,
        #[case] owner: u32,
        #[case] record: Option<Ids>,
        #[case] expected: &[Ids],
    ) {
        let expected: Vec<Former> = expected.iter().copied().map(Former::from).collect();
        assert_eq!(former(now, owner, record), expected);
    }

    #[rstest]
    #[case::a_new_volume(IMAGE, 0, None, None)]
    #[case::the_images_own(IMAGE, 10000, None, None)]
    #[case::remapped(ids(99, 100), 99, Some(ids(99, 100)), None)]
    #[case::remapped_again(ids(7, 8), 99, Some(ids(99, 100)), None)]
    #[case::remapped_but_for_the_home(ids(99, 100), 10000, Some(ids(99, 100)), None)]
    #[case::a_home_of_a_users(IMAGE, 1000, None, Some(1000))]
    #[case::a_record_of_others(ids(7, 8), 99, Some(ids(1234, 1234)), Some(99))]
    #[case::a_home_that_was_given_by_hand(ids(7, 8), 7, Some(ids(99, 100)), Some(99))]
    fn who_is_not_known_for_sure(
        #[case] now: Ids,
        #[case] owner: u32,
        #[case] record: Option<Ids>,
        #[case] expected: Option<u32>,
    ) {
        assert_eq!(stranger(now, owner, record), expected);
    }

    #[test]
    fn roots_follow_where_the_home_is_roots() {
        assert_eq!(former(IMAGE, 0, None), [ROOT]);
        assert_eq!(former(IMAGE, 10000, None), []);
    }
}
