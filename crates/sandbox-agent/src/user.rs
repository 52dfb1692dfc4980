//! Users and groups, as the sandbox's own files name them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use crate::failure::Problem;
use crate::wire::Failure;

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// Name, home and shell, where the user is known.
    pub(crate) name: Option<String>,
    pub(crate) home: Option<OsString>,
    pub(crate) shell: Option<OsString>,
    /// Whether the agent is somebody else.
    pub(crate) switch: bool,
}

/// The lines of a file of users or groups, in fields. Nothing beyond a MiB is read, and nothing
/// from what is no regular file: root in the sandbox may have put anything there.
fn table(path: &str) -> Vec<Vec<String>> {
    let mut bytes = Vec::new();
    let flags = (nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let Some(file) = file.ok().filter(is_regular) else {
        return Vec::new();
    };
    if file.take(1 << 20).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect()
}

fn is_regular(file: &std::fs::File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Whether a shell of the table runs commands: users that nobody logs in as have one that does not.
fn is_shell(path: &OsString) -> bool {
    let name = Path::new(path).file_name().unwrap_or_default();
    Path::new(path).is_absolute() && name != "nologin" && name != "false"
}

fn path_in(entry: Option<&Vec<String>>, at: usize) -> Option<OsString> {
    let field = entry?.get(at)?;
    Some(OsString::from_vec(field.clone().into_bytes()))
}

/// The id that means "no change" to the kernel, which would leave a command the agent's own.
const NO_ID: u32 = u32::MAX;

impl Identity {
    /// The agent's own user.
    pub(crate) fn own() -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let users = table("/etc/passwd");
        let own = uid.to_string();
        let entry = users.iter().find(|fields| fields.get(2) == Some(&own));
        Self {
            uid,
            gid,
            groups: vec![gid],
            name: entry.and_then(|fields| fields.first().cloned()),
            home: path_in(entry, 5),
            shell: path_in(entry, 6).filter(is_shell),
            switch: false,
        }
    }

    /// Whom `user`, `uid`, `user:group` or `uid:gid` means.
    pub(crate) fn find(spec: &str) -> Result<Self, Problem> {
        let (agent_user, agent_group) = (geteuid().as_raw(), getegid().as_raw());
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec, None),
        };
        let users = table("/etc/passwd");
        let entry = users
            .iter()
            .find(|fields| fields.first().is_some_and(|name| name == user));
        let entry = entry.or_else(|| {
            users
                .iter()
                .find(|fields| fields.get(2).is_some_and(|uid| uid == user))
        });
        let number = |at: usize| entry.and_then(|fields| fields.get(at)?.parse::<u32>().ok());
        let unknown = |what: &str, name: &str| {
            Problem::new(Failure::User, format!("no {what} {name:?} in the sandbox"))
        };
        let uid = user
            .parse()
            .ok()
            .or(number(2))
            .ok_or_else(|| unknown("user", user))?;
        let groups = table("/etc/group");
        let named = |name: &str| {
            let found = groups
                .iter()
                .find(|fields| fields.first().is_some_and(|group| group == name));
            found.and_then(|fields| fields.get(2)?.parse::<u32>().ok())
        };
        let gid = match group {
            Some(group) => group
                .parse()
                .ok()
                .or_else(|| named(group))
                .ok_or_else(|| unknown("group", group))?,
            None => number(3).unwrap_or(if uid == agent_user { agent_group } else { 0 }),
        };
        if uid == NO_ID || gid == NO_ID {
            return Err(unknown("user", spec));
        }
        let name = entry.and_then(|fields| fields.first().cloned());
        let member = |fields: &&Vec<String>| {
            fields.get(3).is_some_and(|members| {
                members
                    .split(',')
                    .any(|member| Some(member) == name.as_deref())
            })
        };
        let mut all = vec![gid];
        all.extend(
            groups
                .iter()
                .filter(member)
                .filter_map(|fields| fields.get(2)?.parse::<u32>().ok())
                .filter(|gid| *gid != NO_ID),
        );
        all.dedup();
        let switch = uid != agent_user || gid != agent_group;
        if switch && agent_user != 0 {
            let message = format!(
                "the agent runs as uid {agent_user} and cannot become uid {uid}, gid {gid}"
            );
            return Err(Problem::new(Failure::User, message));
        }
        Ok(Self {
            uid,
            gid,
            groups: all,
            name,
            home: path_in(entry, 5),
            shell: path_in(entry, 6).filter(is_shell),
            switch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_lets_nobody_in_is_none() {
        for (path, is_one) in [
            ("/bin/bash", true),
            ("/usr/sbin/nologin", false),
            ("/bin/false", false),
            ("", false),
            ("sh", false),
        ] {
            assert_eq!(is_shell(&path.into()), is_one, "{path}");
        }
    }
}
