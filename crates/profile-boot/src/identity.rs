//! Who the agent is, and becoming it.
//!
//! What root does among the agent's files, it does as the agent's user: files
//! of its own there would be out of the agent's reach.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid};

/// Where users are.
pub const PASSWD: &str = "/etc/passwd";
/// Where groups are.
pub const GROUP: &str = "/etc/group";
/// The agent's user in the image.
pub const USER: &str = "hermes";

/// The user that everything of the agent's runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its user id.
    pub uid: Uid,
    /// Its group id.
    pub gid: Gid,
    groups: Vec<Gid>,
    switch: bool,
}

/// Why the agent's user cannot be found, or become.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of users or groups cannot be read.
    #[error("{path}: cannot read it", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no such user.
    #[error("{path}: there is no user {USER:?}", path = .path.display())]
    NoUser {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The process's groups cannot be told.
    #[error("getgroups")]
    Groups(#[source] nix::Error),
    /// The process may not change its user.
    #[error("cannot become uid {uid} gid {gid}")]
    Drop {
        /// Whom.
        uid: u32,
        /// And of which group.
        gid: u32,
        /// Why not.
        source: nix::Error,
    },
}

impl Identity {
    /// The agent's user. Started as root, that is `hermes` of `/etc/passwd`,
    /// with the supplementary groups that the container was given; started as
    /// anybody else, it is whoever that is.
    ///
    /// # Errors
    /// Where root cannot find out who that is.
    pub fn of_agent() -> Result<Self, IdentityError> {
        let uid = Uid::effective();
        if !uid.is_root() {
            return Ok(Self {
                uid,
                gid: Gid::effective(),
                groups: Vec::new(),
                switch: false,
            });
        }
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|source| IdentityError::Read {
                path: path.into(),
                source,
            })
        };
        let passwd = read(PASSWD)?;
        let (uid, gid) = passwd_entry(&passwd, USER).ok_or_else(|| IdentityError::NoUser {
            path: PASSWD.into(),
        })?;
        let held = nix::unistd::getgroups().map_err(IdentityError::Groups)?;
        let groups = supplementary(&held, &read(GROUP).unwrap_or_default());
        Ok(Self {
            uid,
            gid,
            groups,
            switch: true,
        })
    }

    /// Whether becoming the agent's user changes anything.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.switch
    }

    /// Becomes the agent's user, for good.
    ///
    /// # Errors
    /// [`IdentityError::Drop`] where the process lacks `CAP_SETUID` or `CAP_SETGID`.
    pub fn assume(&self) -> Result<(), IdentityError> {
        if !self.switch {
            return Ok(());
        }
        nix::unistd::setgroups(&self.groups)
            .and_then(|()| nix::unistd::setresgid(self.gid, self.gid, self.gid))
            .and_then(|()| nix::unistd::setresuid(self.uid, self.uid, self.uid))
            .map_err(|source| IdentityError::Drop {
                uid: self.uid.as_raw(),
                gid: self.gid.as_raw(),
                source,
            })
    }

    /// Whether the agent's user could write a file with this owner and mode.
    #[must_use]
    pub fn could_write(&self, uid: u32, gid: u32, mode: u32) -> bool {
        let in_group =
            self.gid.as_raw() == gid || self.groups.iter().any(|group| group.as_raw() == gid);
        uid == self.uid.as_raw() || mode & 0o002 != 0 || (in_group && mode & 0o020 != 0)
    }
}

/// The ids that a user has in the text of a password file.
#[must_use]
pub fn passwd_entry(passwd: &str, user: &str) -> Option<(Uid, Gid)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((Uid::from_raw(uid), Gid::from_raw(gid)))
    })
}

/// The groups that the agent keeps: those the container was started with
/// (`--group-add`) and those that `/etc/group` gives to `hermes`; not root's
/// own, and never group 0.
fn supplementary(held: &[Gid], group: &str) -> Vec<Gid> {
    let members = |user: &str| -> Vec<Gid> {
        group
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(':').skip(2);
                let gid = fields.next()?.parse().ok()?;
                let names = fields.next()?;
                names
                    .split(',')
                    .any(|name| name == user)
                    .then(|| Gid::from_raw(gid))
            })
            .collect()
    };
    let of_agent = members(USER);
    let of_root = members("root");
    let mut groups: Vec<Gid> = held
        .iter()
        .copied()
        .filter(|gid| !of_root.contains(gid))
        .chain(of_agent)
        .collect();
    groups.retain(|gid| gid.as_raw() != 0);
    groups.sort_by_key(|gid| gid.as_raw());
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passwd_line_of_the_user_is_found() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nhermes:x:10000:10001::/opt/data:/bin/bash\n";
        assert_eq!(
            passwd_entry(passwd, USER),
            Some((Uid::from_raw(10000), Gid::from_raw(10001)))
        );
        assert_eq!(
            passwd_entry("hermesx:x:1:1::/:\nhermes:x:bad:1::/:\n", USER),
            None
        );
    }

    #[test]
    fn given_groups_survive_and_roots_own_do_not() {
        let group = "root:x:0:\ndisk:x:6:root\nvideo:x:44:\naudio:x:29:alice,hermes\n";
        let held = [0, 6, 44, 999].map(Gid::from_raw);
        assert_eq!(
            supplementary(&held, group),
            [29, 44, 999].map(Gid::from_raw)
        );
    }

    #[test]
    fn who_can_write_a_file() {
        let agent = Identity {
            uid: Uid::from_raw(10000),
            gid: Gid::from_raw(10000),
            groups: vec![Gid::from_raw(44)],
            switch: true,
        };
        assert!(agent.could_write(10000, 0, 0o500));
        assert!(agent.could_write(0, 44, 0o775));
        assert!(agent.could_write(0, 0, 0o777));
        assert!(!agent.could_write(0, 44, 0o755));
        assert!(!agent.could_write(0, 0, 0o775));
    }
}
