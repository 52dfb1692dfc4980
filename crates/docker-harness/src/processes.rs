//! The process table inside a container, as data.

use std::collections::BTreeMap;

use crate::container::Container;
use crate::error::EngineError;
use crate::exec::Identity;

/// A process inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number in the container.
    pub pid: u32,
    /// Its parent's number; 0 for PID 1 and for what `docker exec` starts.
    pub ppid: u32,
    /// The real, effective, saved and file system uid.
    pub uids: [u32; 4],
    /// The real, effective, saved and file system gid.
    pub gids: [u32; 4],
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// `R`, `S`, `Z`, …
    pub state: char,
    /// The kernel's name for it, at most 15 bytes.
    pub comm: String,
    /// Its command line, empty for a zombie.
    pub args: Vec<String>,
    /// The effective capabilities, a bit for each.
    pub capabilities: u64,
}

impl Process {
    /// Its effective uid.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uids[1]
    }

    /// Its effective gid.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gids[1]
    }

    /// Its command line, joined by blanks.
    #[must_use]
    pub fn line(&self) -> String {
        self.args.join(" ")
    }
}

/// The processes of a container by number, without those of `docker exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes(BTreeMap<u32, Process>);

impl Processes {
    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }

    /// The process of that number.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// The children of a process.
    #[must_use]
    pub fn children(&self, pid: u32) -> Vec<&Process> {
        self.iter().filter(|process| process.ppid == pid).collect()
    }

    /// Those whose command line, joined by blanks, is this.
    #[must_use]
    pub fn with_line(&self, line: &str) -> Vec<&Process> {
        self.iter()
            .filter(|process| process.line() == line)
            .collect()
    }

    /// A process's descendants, nearest first.
    #[must_use]
    pub fn descendants(&self, pid: u32) -> Vec<&Process> {
        let mut found = self.children(pid);
        let mut next = 0;
        while let Some(process) = found.get(next) {
            let children = self.children(process.pid);
            found.extend(children);
            next += 1;
        }
        found
    }

    /// The tree under PID 1 as indented lines of uid and command line, siblings sorted by line.
    #[must_use]
    pub fn drawn(&self) -> String {
        let mut lines = Vec::new();
        self.draw(1, 0, &mut lines);
        lines.concat()
    }

    fn draw(&self, pid: u32, depth: usize, lines: &mut Vec<String>) {
        let Some(process) = self.get(pid) else { return };
        let line = if process.args.is_empty() {
            format!("[{}] {}", process.comm, process.state)
        } else {
            process.line()
        };
        lines.push(format!("{}{} {line}\n", "  ".repeat(depth), process.uid()));
        let mut children = self.children(pid);
        children.sort_by_key(|child| (child.line(), child.pid));
        for child in children {
            self.draw(child.pid, depth + 1, lines);
        }
    }

    /// Reads what [`READER`] wrote.
    fn parse(table: &[u8]) -> Result<Self, String> {
        let mut all = BTreeMap::<u32, Process>::new();
        // A command line may hold newlines: a line without the prefix goes on from the last one.
        let mut arguments: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for line in table
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let (pid, file, text) = split(line).ok_or_else(|| lossy(line))?;
            let process = all.entry(pid).or_default();
            process.pid = pid;
            if file == b"cmdline" {
                let known = arguments.entry(pid).or_default();
                if !known.is_empty() {
                    known.push(b'\n');
                }
                known.extend_from_slice(text);
            } else {
                process.take(&lossy(text)).ok_or_else(|| lossy(line))?;
            }
        }
        for (pid, bytes) in arguments {
            let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
            let words = bytes.split(|byte| *byte == 0).map(lossy).collect();
            if let Some(process) = all.get_mut(&pid) {
                process.args = words;
            }
        }
        // One that ended between its two files has a command line but no status.
        all.retain(|_, process| !process.comm.is_empty());
        let mut processes = Self(all);
        processes.drop_execs();
        Ok(processes)
    }

    /// Drops what `docker exec` started: a parent of 0, though not PID 1, and all below.
    fn drop_execs(&mut self) {
        let roots = self
            .iter()
            .filter(|process| process.ppid == 0 && process.pid != 1);
        let roots: Vec<u32> = roots.map(|process| process.pid).collect();
        for root in roots {
            let below: Vec<u32> = self
                .descendants(root)
                .iter()
                .map(|process| process.pid)
                .collect();
            self.0.retain(|pid, _| *pid != root && !below.contains(pid));
        }
    }
}

impl Process {
    /// Takes in one line of `/proc/PID/status`; nothing for a line that cannot be read.
    fn take(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(':')?;
        let numbers = || {
            value
                .split_ascii_whitespace()
                .map(|word| word.parse::<u32>().ok())
        };
        let four = || numbers().collect::<Option<Vec<_>>>()?.try_into().ok();
        match key {
            "Name" => value.trim_start_matches('\t').clone_into(&mut self.comm),
            "State" => self.state = value.trim().chars().next()?,
            "PPid" => self.ppid = value.trim().parse().ok()?,
            "Uid" => self.uids = four()?,
            "Gid" => self.gids = four()?,
            "Groups" => self.groups = numbers().collect::<Option<_>>()?,
            "CapEff" => self.capabilities = u64::from_str_radix(value.trim(), 16).ok()?,
            _ => {}
        }
        Some(())
    }
}

/// `PID/FILE:TEXT` in its parts.
fn split(line: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let slash = line.iter().position(|byte| *byte == b'/')?;
    let (pid, rest) = (&line[..slash], &line[slash + 1..]);
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let pid = str::from_utf8(pid).ok()?.parse().ok()?;
    Some((pid, &rest[..colon], &rest[colon + 1..]))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Prints every line of every status and command line with `PID/FILE:` before it, in one
/// process: an image without procps has grep.
const READER: &str = "cd /proc && exec grep -asH '' [0-9]*/status [0-9]*/cmdline";

impl Container {
    /// The process table now, as uid 10000 sees it, without the processes of `docker exec`.
    ///
    /// # Errors
    ///
    /// When the engine cannot run the reader or what it wrote is no process table.
    pub async fn processes(&self) -> Result<Processes, EngineError> {
        let read = self
            .exec_as(Identity::Hermes, ["sh", "-c", READER], None)
            .await?;
        let name = self.name().to_owned();
        Processes::parse(&read.bytes).map_err(|line| EngineError::ProcessTable { name, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
1/status:Name:\ts6-svscan\n1/status:State:\tS (sleeping)\n1/status:PPid:\t0\n\
1/status:Uid:\t0\t0\t0\t0\n1/status:Gid:\t0\t0\t0\t0\n1/status:Groups:\t \n\
1/status:CapEff:\t00000000a80425fb\n\
17/status:Name:\tsh\n17/status:State:\tS (sleeping)\n17/status:PPid:\t1\n\
17/status:Uid:\t10000\t10000\t10000\t10000\n17/status:Gid:\t10000\t10000\t10000\t10000\n\
17/status:Groups:\t4 20 \n\
40/status:Name:\tgrep\n40/status:State:\tR (running)\n40/status:PPid:\t0\n\
1/cmdline:s6-svscan\0/run/s6/services\0\n\
17/cmdline:sh\0-c\0echo a\n17/cmdline:echo b\0\n\
40/cmdline:grep\0\n\
41/cmdline:gone\0\n";

    #[test]
    fn a_table_is_read_without_the_reader_itself() {
        let processes = Processes::parse(TABLE).unwrap();
        assert_eq!(2, processes.iter().count());
        let shell = processes.get(17).unwrap();
        assert_eq!(
            (1, 10_000, 10_000, 'S'),
            (shell.ppid, shell.uid(), shell.gid(), shell.state)
        );
        assert_eq!(vec![4, 20], shell.groups);
        assert_eq!(["sh", "-c", "echo a\necho b"], *shell.args);
        assert_eq!(0xa804_25fb, processes.get(1).unwrap().capabilities);
    }

    #[test]
    fn the_tree_is_drawn_by_depth() {
        let drawn = Processes::parse(TABLE).unwrap().drawn();
        assert_eq!(
            "0 s6-svscan /run/s6/services\n  10000 sh -c echo a\necho b\n",
            drawn
        );
    }

    #[test]
    fn a_line_that_is_no_status_is_told() {
        assert_eq!(
            Err("grep: what?".to_owned()),
            Processes::parse(b"grep: what?\n")
        );
        let uid = b"1/status:Uid:\tx\n";
        assert_eq!(Err("1/status:Uid:\tx".to_owned()), Processes::parse(uid));
    }
}
