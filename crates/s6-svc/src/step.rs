//! The steps of an operation that changes something, told one by one before each is taken.

use std::fmt;
use std::path::{Path, PathBuf};

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Make a directory.
    MakeDirectory,
    /// Make a FIFO.
    MakeFifo,
    /// Make a file.
    MakeFile,
    /// Make a symbolic link.
    MakeLink,
    /// Write to a file.
    Write,
    /// Set permission bits.
    SetMode,
    /// Set the owner.
    SetOwner,
    /// Rename to this path.
    Rename,
    /// Remove a file or an empty directory.
    Remove,
    /// Write a command to a control FIFO.
    Send,
}

/// One step: it is about to be taken, and everything before it has been.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What is about to be done.
    pub action: Action,
    /// With what.
    pub path: PathBuf,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::MakeDirectory => "make directory",
            Action::MakeFifo => "make FIFO",
            Action::MakeFile => "make file",
            Action::MakeLink => "make link",
            Action::Write => "write",
            Action::SetMode => "set mode of",
            Action::SetOwner => "set owner of",
            Action::Rename => "rename to",
            Action::Remove => "remove",
            Action::Send => "send to",
        };
        write!(f, "{verb} {}", self.path.display())
    }
}

type Observer<'a> = Box<dyn FnMut(&Step) + 'a>;

/// Whom to tell.
#[derive(Default)]
pub(crate) struct Steps<'a>(Option<Observer<'a>>);

impl<'a> Steps<'a> {
    pub(crate) fn tell(observer: impl FnMut(&Step) + 'a) -> Self {
        Self(Some(Box::new(observer)))
    }

    pub(crate) fn before(&mut self, action: Action, path: impl AsRef<Path>) {
        if let Some(observer) = &mut self.0 {
            observer(&Step {
                action,
                path: path.as_ref().to_owned(),
            });
        }
    }
}

impl fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Steps").field(&self.0.is_some()).finish()
    }
}
