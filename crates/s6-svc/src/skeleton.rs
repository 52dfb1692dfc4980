//! The supervise skeleton: what `s6-supervise` would make in a service directory, made before it,
//! so that it belongs to whoever shall control the service.
//!
//! `s6-supervise` makes `supervise/` with mode 0700 and its FIFO with mode 0600, owned by its own
//! user. Where that is root and an unprivileged user shall control the service, these must be there
//! already: `s6-supervise` leaves what it finds as it is. Deciding what to make is a pure function,
//! [`plan`].

use std::fmt;

use crate::error::FileKind;

/// A user and a group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Identity {
    /// Who the process acts as: its effective ids.
    #[must_use]
    pub fn effective() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// A place in the skeleton, relative to the service directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `event/`: the service's fifodir.
    Event,
    /// `supervise/`: the supervisor's directory.
    Supervise,
    /// `supervise/event/`.
    SuperviseEvent,
    /// `supervise/control`: the FIFO for commands.
    Control,
}

impl Place {
    /// All of them, parents first.
    pub const ALL: [Self; 4] = [
        Self::Event,
        Self::Supervise,
        Self::SuperviseEvent,
        Self::Control,
    ];

    /// Its path in the service directory.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Supervise => "supervise",
            Self::SuperviseEvent => "supervise/event",
            Self::Control => "supervise/control",
        }
    }

    /// What belongs there.
    #[must_use]
    pub fn kind(self) -> FileKind {
        match self {
            Self::Control => FileKind::Fifo,
            _ => FileKind::Directory,
        }
    }

    /// The permission bits of what belongs there.
    #[must_use]
    pub fn mode(self) -> u32 {
        match self {
            Self::Event | Self::SuperviseEvent => 0o3730,
            Self::Supervise => 0o755,
            Self::Control => 0o660,
        }
    }
}

/// What is there: one kind for each [`Place`], `None` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tree {
    /// At `event`.
    pub event: Option<FileKind>,
    /// At `supervise`.
    pub supervise: Option<FileKind>,
    /// At `supervise/event`; nothing where `supervise` is no directory.
    pub supervise_event: Option<FileKind>,
    /// At `supervise/control`; nothing where `supervise` is no directory.
    pub control: Option<FileKind>,
}

impl Tree {
    /// What is at a place.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<FileKind> {
        match place {
            Place::Event => self.event,
            Place::Supervise => self.supervise,
            Place::SuperviseEvent => self.supervise_event,
            Place::Control => self.control,
        }
    }

    /// Puts something at a place.
    pub fn set(&mut self, place: Place, kind: FileKind) {
        let slot = match place {
            Place::Event => &mut self.event,
            Place::Supervise => &mut self.supervise,
            Place::SuperviseEvent => &mut self.supervise_event,
            Place::Control => &mut self.control,
        };
        *slot = Some(kind);
    }
}

/// Why no skeleton is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Something else stands at a place; it is not touched, and nothing is made.
    Occupied {
        /// Where.
        place: Place,
        /// What stands there.
        found: FileKind,
    },
    /// Only root gives files away.
    NotRoot {
        /// Who acts.
        actor: Identity,
        /// Who shall own the skeleton.
        owner: Identity,
    },
}

/// One thing to make: as a whole or not at all, with its owner and its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Make {
    /// Where and what.
    pub place: Place,
    /// Whom to give it to; `None` where it is the maker's already.
    pub give_to: Option<Identity>,
}

/// What to make so that `owner` controls the service; nothing that exists is touched.
///
/// ```
/// use s6_svc::skeleton::{Identity, Tree, plan};
/// let root = Identity { uid: 0, gid: 0 };
/// let hermes = Identity { uid: 10000, gid: 10000 };
/// assert_eq!(plan(&Tree::default(), root, hermes)?.len(), 4);
/// assert!(plan(&Tree::default(), hermes, root).is_err());
/// # Ok::<(), s6_svc::skeleton::Refusal>(())
/// ```
///
/// # Errors
/// [`Refusal`]: then nothing at all is to be made.
pub fn plan(tree: &Tree, actor: Identity, owner: Identity) -> Result<Vec<Make>, Refusal> {
    for place in Place::ALL {
        if let Some(found) = tree.at(place).filter(|found| *found != place.kind()) {
            return Err(Refusal::Occupied { place, found });
        }
    }
    let missing = Place::ALL
        .into_iter()
        .filter(|place| tree.at(*place).is_none());
    let give_to = (actor != owner).then_some(owner);
    let makes: Vec<Make> = missing.map(|place| Make { place, give_to }).collect();
    if give_to.is_some() && actor.uid != 0 && !makes.is_empty() {
        return Err(Refusal::NotRoot { actor, owner });
    }
    Ok(makes)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied { place, found } => write!(f, "{} is {found}", place.path()),
            Self::NotRoot { actor, owner } => {
                write!(f, "{actor} cannot make files that belong to {owner}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = Option<FileKind>> {
        prop_oneof![
            4 => Just(None),
            4 => Just(Some(FileKind::Directory)),
            4 => Just(Some(FileKind::Fifo)),
            1 => Just(Some(FileKind::Regular)),
            1 => Just(Some(FileKind::Symlink)),
            1 => Just(Some(FileKind::Socket)),
            1 => Just(Some(FileKind::Device)),
            1 => Just(Some(FileKind::Unknown)),
        ]
    }

    fn trees() -> impl Strategy<Value = Tree> {
        (kinds(), kinds(), kinds(), kinds()).prop_map(|(event, supervise, inner, control)| {
            let inside = |kind| {
                if supervise == Some(FileKind::Directory) {
                    kind
                } else {
                    None
                }
            };
            let (supervise_event, control) = (inside(inner), inside(control));
            Tree {
                event,
                supervise,
                supervise_event,
                control,
            }
        })
    }

    fn identities() -> impl Strategy<Value = Identity> {
        (0_u32..3, 0_u32..3).prop_map(|(uid, gid)| Identity { uid, gid })
    }

    proptest! {
        #[test]
        fn a_carried_out_plan_leaves_nothing_to_do(tree in trees(), owner in identities()) {
            let mut after = tree;
            for make in plan(&tree, owner, owner).unwrap_or_default() {
                prop_assert_eq!(after.at(make.place), None, "only what is missing is made");
                prop_assert_eq!(make.give_to, None);
                if matches!(make.place, Place::SuperviseEvent | Place::Control) {
                    prop_assert_eq!(after.supervise, Some(FileKind::Directory), "parents first");
                }
                after.set(make.place, make.place.kind());
            }
            if let Ok(makes) = plan(&after, owner, owner) {
                prop_assert!(makes.is_empty());
            } else {
                prop_assert_eq!(after, tree, "a refused tree is not touched");
            }
        }

        #[test]
        fn a_tree_with_anything_else_in_it_is_refused_whole(tree in trees(), actor in identities()) {
            let sound = Place::ALL.iter().all(|place| tree.at(*place).is_none_or(|kind| kind == place.kind()));
            prop_assert_eq!(plan(&tree, actor, actor).is_ok(), sound);
        }

        #[test]
        fn only_root_gives_away(tree in trees(), actor in identities(), owner in identities()) {
            if let Ok(makes) = plan(&tree, actor, owner) {
                prop_assert!(makes.is_empty() || actor == owner || actor.uid == 0);
                prop_assert!(makes.iter().all(|make| make.give_to.is_some() == (actor != owner)));
            }
        }
    }
}
