//! Which port a profile's gateway listens on.
//!
//! A named profile's first choice follows from its name, so that it is the same
//! in every container; where another profile holds that port, the next free one
//! above is taken, wrapping around. What was once assigned is recorded with the
//! profile and never moves.

mod ledger;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::atomic;
use crate::dotenv;
use crate::profile::{self, ProfileName};
use crate::read::{self, Odd};
use ledger::Ledger;

/// The variable that tells a gateway its port.
pub const VARIABLE: &str = "API_SERVER_PORT";

/// The default profile's port, which the agent has by itself.
pub const DEFAULT: Port = Port(8642);

/// The ports of named profiles: `FIRST` and the `COUNT - 1` above it.
const FIRST: u16 = 9200;
const COUNT: u16 = 600;

/// Where a profile's port is recorded, in its directory.
const RECORD: &str = ".gateway-port";

/// What is locked while ports are assigned, in the home; who was last given which.
const LOCK: &str = "profiles/.gateway-ports.lock";

/// A TCP port that a gateway may listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

impl Port {
    /// The number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|port| *port != 0).map(Self)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a profile has no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Every port of the range is another profile's.
    #[error("profile {profile}: all {COUNT} ports from {FIRST} on are taken by other profiles")]
    Full {
        /// Who is left over.
        profile: ProfileName,
    },
    /// Ports cannot be looked up or recorded.
    #[error("{path}: cannot record a gateway's port", path = .path.display())]
    Record {
        /// Where.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The port that a profile of this name gets where nobody else holds it.
///
/// The first eight bytes of the SHA-256 of the name, big-endian, modulo 600,
/// above 9200.
#[must_use]
pub fn first_choice(profile: &ProfileName) -> Port {
    let digest = Sha256::digest(profile.as_str());
    let head = digest
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let offset = u16::try_from(head % u64::from(COUNT)).unwrap_or(0);
    Port(FIRST + offset)
}

/// The port for `profile` where `taken` are other profiles'; `None` where all are.
#[must_use]
pub fn choose(profile: &ProfileName, taken: &BTreeSet<Port>) -> Option<Port> {
    let first = first_choice(profile).0 - FIRST;
    (0..COUNT)
        .map(|step| Port(FIRST + (first + step) % COUNT))
        .find(|port| !taken.contains(port))
}

/// The port of a profile's gateway, and whether the profile's own `.env` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// The port.
    pub port: Port,
    /// Whether the profile's own `.env` names it: then the agent reads it there.
    pub by_profile: bool,
}

/// The port that a profile has now, without assigning one.
#[must_use]
pub fn lookup(home: &Path, profile: &ProfileName) -> Option<Assigned> {
    claim(home, profile).map(|(assigned, _)| assigned)
}

/// The same of a profile whose directory is open.
pub(crate) fn lookup_at(directory: impl AsFd, profile: &ProfileName) -> Option<Assigned> {
    claim_at(directory, profile).map(|(assigned, _)| assigned)
}

/// How good a profile's title to its port is; the better one keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// Its record is another profile's, or of a time when records had no names.
    Copied,
    /// Its record is its own.
    Own,
    /// Its own `.env` says so, or it is the default profile's.
    Said,
}

fn claim(home: &Path, profile: &ProfileName) -> Option<(Assigned, Claim)> {
    // Opened once: where the root file system is a slow one, each way from there costs.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(profile.directory(home), flags, Mode::empty()) {
        Ok(directory) => claim_at(&directory, profile),
        Err(_) => by_default(profile).map(|assigned| (assigned, Claim::Said)),
    }
}

fn claim_at(directory: impl AsFd, profile: &ProfileName) -> Option<(Assigned, Claim)> {
    let dotenv = read::small_file_at(&directory, ".env").ok().flatten();
    let own = dotenv::parse(&String::from_utf8_lossy(&dotenv.unwrap_or_default()))
        .into_iter()
        .rev()
        .find(|(name, _)| name == VARIABLE)
        .and_then(|(_, value)| Port::parse(&value));
    let assigned = |port, by_profile| Assigned { port, by_profile };
    if let Some(port) = own {
        return Some((assigned(port, true), Claim::Said));
    }
    if let Some(default) = by_default(profile) {
        return Some((default, Claim::Said));
    }
    recorded(directory, profile).map(|(port, claim)| (assigned(port, false), claim))
}

/// The default profile has its port by itself.
fn by_default(profile: &ProfileName) -> Option<Assigned> {
    profile.is_default().then_some(Assigned {
        port: DEFAULT,
        by_profile: false,
    })
}

/// What a profile's record says: `PORT NAME`, one line.
///
/// The name tells a record of the profile's own from one that came with a copy
/// of another profile, or from a time before a renaming.
fn recorded(directory: impl AsFd, profile: &ProfileName) -> Option<(Port, Claim)> {
    let bytes = read::small_file_at(directory, RECORD).ok()??;
    let mut words = std::str::from_utf8(&bytes).ok()?.split_whitespace();
    let port = Port::parse(words.next()?)?;
    let claim = if words.next() == Some(profile.as_str()) {
        Claim::Own
    } else {
        Claim::Copied
    };
    (FIRST..FIRST + COUNT)
        .contains(&port.0)
        .then_some((port, claim))
}

/// Whether a profile's record of its port can be read, where it has one.
///
/// # Errors
/// [`Odd`], where something else than a small regular file stands there: it is
/// replaced when a port is assigned.
pub fn check_record(home: &Path, profile: &ProfileName) -> Result<(), Odd> {
    let path = profile.directory(home).join(RECORD);
    match read::small_file(&path) {
        Ok(_) => Ok(()),
        Err(reason) => Err(Odd { path, reason }),
    }
}

/// The port of a profile, assigned and recorded now where it has none.
///
/// Two profiles that ask at once get different ports: the assignment is made
/// under a lock on the home. A profile that was the last to be given the port of
/// its own record keeps it, without a look at the others: what they may have come
/// to say meanwhile is for their own next start to settle.
///
/// # Errors
/// [`PortError::Full`] where no port is left, [`PortError::Record`] where the
/// home cannot be read or written.
pub fn assign(home: &Path, profile: &ProfileName) -> Result<Assigned, PortError> {
    let path = home.join(LOCK);
    let mut ledger = Ledger::lock(&path).map_err(cannot_record(&path))?;
    let claim = claim(home, profile);
    let own = match claim {
        Some((assigned, Claim::Said)) => Some(assigned),
        Some((assigned, Claim::Own)) if ledger.is_last(assigned.port, profile) => Some(assigned),
        _ => None,
    };
    let assigned = match own {
        Some(assigned) => assigned,
        None => assign_among_all(home, profile, claim)?,
    };
    ledger.note(assigned.port, profile);
    Ok(assigned)
}

/// The same with a look at every profile.
fn assign_among_all(
    home: &Path,
    profile: &ProfileName,
    claim: Option<(Assigned, Claim)>,
) -> Result<Assigned, PortError> {
    let held = held_by_others(home, profile, claim).map_err(cannot_record(home))?;
    let kept = claim.filter(|(assigned, _)| !held.contains(&assigned.port));
    let port = match kept {
        Some((assigned, Claim::Own | Claim::Said)) => return Ok(assigned),
        Some((assigned, Claim::Copied)) => assigned.port,
        None => choose(profile, &held).ok_or_else(|| PortError::Full {
            profile: profile.clone(),
        })?,
    };
    let record = profile.directory(home).join(RECORD);
    atomic::write(&record, format!("{port} {profile}\n").as_bytes(), 0o644)
        .map_err(cannot_record(&record))?;
    Ok(Assigned {
        port,
        by_profile: false,
    })
}

fn cannot_record(path: &Path) -> impl FnOnce(io::Error) -> PortError {
    let path = path.to_owned();
    move |source| PortError::Record { path, source }
}

/// The ports of the others. A copied profile has the record of the one that it
/// was copied from, and gives way to that one; among copies, or records without
/// names, it is the later name that gives way.
fn held_by_others(
    home: &Path,
    profile: &ProfileName,
    own: Option<(Assigned, Claim)>,
) -> io::Result<BTreeSet<Port>> {
    let mut held = BTreeSet::new();
    for other in profile::discover(home)?.profiles {
        if other == *profile {
            continue;
        }
        let Some((theirs, their_claim)) = claim(home, &other) else {
            continue;
        };
        let yields = own.is_some_and(|(ours, our_claim)| {
            ours.port == theirs.port && (our_claim, &other) > (their_claim, profile)
        });
        if !yields {
            held.insert(theirs.port);
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;

    fn name(text: &str) -> ProfileName {
        text.parse().unwrap()
    }

    /// A home with these profiles.
    fn home(profiles: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for profile in profiles {
            add(home.path(), profile);
        }
        home
    }

    fn add(home: &Path, profile: &str) {
        let directory = home.join("profiles").join(profile);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("SOUL.md"), "").unwrap();
    }

    /// Computed with Python's hashlib.
    #[rstest]
    #[case("coder", 9653)]
    #[case("a", 9450)]
    #[case("alice", 9607)]
    #[case("bot-1", 9725)]
    #[case(
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        9792
    )]
    fn the_first_choice_follows_from_the_name(#[case] profile: &str, #[case] port: u16) {
        assert_eq!(first_choice(&name(profile)), Port(port));
    }

    #[test]
    fn a_port_is_kept_when_another_profile_would_rather_have_it() {
        let home = home(&["coder"]);
        fs::write(home.path().join("profiles/coder/.gateway-port"), "9450\n").unwrap();
        assert_eq!(
            assign(home.path(), &name("coder")).unwrap().port,
            Port(9450)
        );
        add(home.path(), "a");
        assert_eq!(assign(home.path(), &name("a")).unwrap().port, Port(9451));
        assert_eq!(
            assign(home.path(), &name("coder")).unwrap().port,
            Port(9450)
        );
    }

    #[test]
    fn the_profiles_own_word_wins_and_counts_as_taken() {
        let home = home(&["a", "b"]);
        fs::write(
            home.path().join("profiles/b/.env"),
            "export API_SERVER_PORT=9450 # mine\n",
        )
        .unwrap();
        let own = assign(home.path(), &name("b")).unwrap();
        assert_eq!(
            own,
            Assigned {
                port: Port(9450),
                by_profile: true
            }
        );
        assert_eq!(assign(home.path(), &name("a")).unwrap().port, Port(9451));
    }

    #[test]
    fn a_copied_profile_gives_way() {
        let home = home(&["a", "b"]);
        for profile in ["a", "b"] {
            fs::write(
                home.path().join("profiles").join(profile).join(RECORD),
                "9300",
            )
            .unwrap();
        }
        assert_eq!(
            assign(home.path(), &name("b")).unwrap().port,
            first_choice(&name("b"))
        );
        assert_eq!(assign(home.path(), &name("a")).unwrap().port, Port(9300));
    }

    #[test]
    fn a_record_that_is_none_is_made_anew() {
        let home = home(&["a"]);
        for record in ["", "0", "80", "70000", "x", "9800"] {
            fs::write(home.path().join("profiles/a/.gateway-port"), record).unwrap();
            assert_eq!(
                assign(home.path(), &name("a")).unwrap().port,
                Port(9450),
                "{record}"
            );
        }
    }

    #[test]
    fn the_range_fills_and_then_says_so() {
        let mut taken = BTreeSet::new();
        for profile in 0..COUNT {
            let port = choose(&name(&format!("p{profile}")), &taken).unwrap();
            assert!(taken.insert(port));
        }
        assert_eq!(taken.first(), Some(&Port(9200)));
        assert_eq!(taken.last(), Some(&Port(9799)));
        assert_eq!(choose(&name("one-more"), &taken), None);
    }
}
