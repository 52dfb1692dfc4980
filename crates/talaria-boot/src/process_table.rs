//! The processes of the container, as `/proc` shows them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    pub(crate) uid: u32,
    pub(crate) comm: String,
    pub(crate) zombie: bool,
}

impl Process {
    /// The first argument, which tells one s6-supervise from another.
    pub(crate) fn first_argument(&self) -> Option<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).ok()?;
        let argument = line.split(|byte| *byte == 0).nth(1)?;
        (!argument.is_empty()).then(|| String::from_utf8_lossy(argument).into_owned())
    }

    /// Whether the process' working directory is inside `directory`.
    pub(crate) fn works_in(&self, directory: &str) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok_and(|cwd| cwd.starts_with(directory))
    }
}

/// Every process that is there now. One that ends while this looks is left out.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let (Ok(stat), Ok(metadata)) = (fs::read(entry.path().join("stat")), entry.metadata())
        else {
            continue;
        };
        processes.extend(parse(Pid::from_raw(pid), metadata.uid(), &stat));
    }
    Ok(processes)
}

/// Reads `/proc/PID/stat`: the command's name stands in parentheses and may
/// hold any byte, so the fields are counted from the last one that closes.
fn parse(pid: Pid, uid: u32, stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let rest = String::from_utf8_lossy(stat.get(close + 1..)?).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let zombie = fields.next()? == "Z";
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    let group = Pid::from_raw(fields.next()?.parse().ok()?);
    Some(Process {
        pid,
        parent,
        group,
        uid,
        comm,
        zombie,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_no_obstacle() {
        let process = parse(Pid::from_raw(7), 5, b"7 (a) b (c)) Z 3 4 5 0 -1").unwrap();
        assert_eq!(
            (process.comm.as_str(), process.parent.as_raw()),
            ("a) b (c)", 3)
        );
        assert_eq!((process.group.as_raw(), process.zombie), (4, true));
        assert_eq!(parse(Pid::from_raw(7), 5, b"7 (a"), None);
    }

    #[test]
    fn this_process_is_among_all() {
        let own = all()
            .unwrap()
            .into_iter()
            .find(|process| process.pid == Pid::this())
            .unwrap();
        assert_eq!(own.parent, Pid::parent());
    }
}
