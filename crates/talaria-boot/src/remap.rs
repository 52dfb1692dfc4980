//! `HERMES_UID` and `HERMES_GID`: the agent's user gets the ids that the owner
//! of a bind mount has, and what it owned follows.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Gid, Uid};

use crate::error::BootError;
use crate::identity::{self, GROUP, PASSWD, USER};
use crate::report;

/// The highest id to be had. 0, which is root's, is not.
const HIGHEST: u32 = 65534;

/// Gives the agent's user the ids that were asked for, before anything runs.
pub(crate) fn apply() -> Result<(), BootError> {
    let variable = |name: &str| std::env::var(name).ok();
    let uid = wish(["HERMES_UID", "PUID"], variable)?;
    let gid = wish(["HERMES_GID", "PGID"], variable)?;
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        let same = |id: Option<u32>, own: u32| id.is_none_or(|id| id == own);
        if !same(uid, Uid::effective().as_raw()) || !same(gid, Gid::effective().as_raw()) {
            report::warning(
                "HERMES_UID and HERMES_GID take effect only where the container starts as root",
            );
        }
        return Ok(());
    }
    let passwd = fs::read_to_string(PASSWD).map_err(BootError::file("read it", PASSWD))?;
    let (user, group) =
        identity::passwd_entry(&passwd, USER).ok_or_else(|| BootError::NoAgentUser {
            path: PASSWD.into(),
        })?;
    let now = (user.as_raw(), group.as_raw());
    let new = (uid.unwrap_or(now.0), gid.unwrap_or(now.1));
    if new == now {
        return Ok(());
    }
    // The group first: a crash in between leaves a user whose group has its name still.
    let group = fs::read_to_string(GROUP).map_err(BootError::file("read it", GROUP))?;
    replace(GROUP, &with_ids(&group, &[(2, new.1)]))?;
    replace(PASSWD, &with_ids(&passwd, &[(2, new.0), (3, new.1)]))
}

/// The first of the variables that is set. Whatever cannot be granted is refused:
/// an agent under another id than was meant leaves files that nobody expects.
fn wish(
    names: [&'static str; 2],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<u32>, BootError> {
    for name in names {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let id = value.parse().ok().filter(|id| (1..=HIGHEST).contains(id));
        return match id {
            Some(id) => Ok(Some(id)),
            None => Err(BootError::UnusableId {
                variable: name,
                value,
            }),
        };
    }
    Ok(None)
}

/// A password or group file in which the agent's line has other ids in some fields.
fn with_ids(file: &str, ids: &[(usize, u32)]) -> String {
    let line = |line: &str| {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        if fields[0] == USER {
            for (field, id) in ids {
                if let Some(field) = fields.get_mut(*field) {
                    *field = id.to_string();
                }
            }
        }
        fields.join(":") + "\n"
    };
    file.lines().map(line).collect()
}

/// Puts `text` in a system file's place, whole.
fn replace(path: &str, text: &str) -> Result<(), BootError> {
    let staged = format!("{path}.talaria");
    let write = || {
        let mut file = fs::File::create(&staged)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&staged, path)
    };
    write().map_err(|source: io::Error| BootError::Remap {
        path: Path::new(path).into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], Ok(None))]
    #[case::empty(&[("HERMES_UID", "")], Ok(None))]
    #[case::own(&[("HERMES_UID", "99")], Ok(Some(99)))]
    #[case::alias(&[("PUID", "1000")], Ok(Some(1000)))]
    #[case::own_wins(&[("HERMES_UID", "99"), ("PUID", "1000")], Ok(Some(99)))]
    #[case::highest(&[("PUID", "65534")], Ok(Some(65534)))]
    #[case::root(&[("PUID", "0")], Err("PUID=\"0\" is no id for the agent: 1 to 65534 are"))]
    #[case::negative(&[("HERMES_UID", "-1")], Err("HERMES_UID=\"-1\" is no id for the agent: 1 to 65534 are"))]
    #[case::high(&[("HERMES_UID", "70000")], Err("HERMES_UID=\"70000\" is no id for the agent: 1 to 65534 are"))]
    #[case::word(&[("HERMES_UID", "abc")], Err("HERMES_UID=\"abc\" is no id for the agent: 1 to 65534 are"))]
    fn what_is_asked_for_is_granted_or_refused(
        #[case] variables: &[(&str, &str)],
        #[case] expected: Result<Option<u32>, &str>,
    ) {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let found = wish(["HERMES_UID", "PUID"], variable);
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn only_the_agents_line_changes() {
        let passwd = "root:x:0:0::/root:/bin/sh\nhermes:x:10000:10000:a:/opt/data:/bin/sh\nx:x:10000:1::/:/\n";
        assert_eq!(
            with_ids(passwd, &[(2, 99), (3, 100)]),
            "root:x:0:0::/root:/bin/sh\nhermes:x:99:100:a:/opt/data:/bin/sh\nx:x:10000:1::/:/\n"
        );
    }
}
