//! What is mounted.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use nix::sys::statvfs::statvfs;

use super::found::{Found, Probe};

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub(super) target: PathBuf,
    /// Of this mount: `rw`, `nosuid` …
    pub(super) options: Vec<String>,
    /// Of what kind.
    pub(super) kind: String,
    /// Of the file system: for a cgroup its controllers.
    pub(super) inner: Vec<String>,
}

impl Mount {
    /// Whether it may be written.
    pub(super) fn is_writable(&self) -> bool {
        self.options.iter().any(|option| option == "rw")
    }
}

pub(super) fn read() -> Vec<Mount> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect()
}

fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let target = unescape(words.nth(4)?);
    let options = list(words.next()?);
    let mut rest = words.skip_while(|word| *word != b"-").skip(1);
    let kind = String::from_utf8_lossy(rest.next()?).into_owned();
    let inner = list(rest.nth(1)?);
    Some(Mount {
        target,
        options,
        kind,
        inner,
    })
}

fn list(word: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(word)
        .split(',')
        .map(str::to_owned)
        .collect()
}

/// Undoes the kernel's `\040` for a space.
fn unescape(word: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => plain.push(*first),
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

pub(super) fn probes(mounts: &[Mount]) -> Vec<Probe> {
    let temporary = mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let described = temporary.map(|mount| {
        let options = ["ro", "nosuid", "nodev", "noexec"].into_iter();
        let set = options.filter(|wanted| mount.options.iter().any(|option| option == wanted));
        let described = [
            ("size", Found::from(size(&mount.target))),
            ("options", set.collect()),
        ];
        (mount.target.display().to_string(), Found::map(described))
    });
    let shm = size(&PathBuf::from("/dev/shm"));
    vec![
        Probe::new("tmpfs", Found::map(described)),
        Probe::new("limit.shm", shm),
    ]
}

/// Bytes that the file system can hold.
fn size(path: &PathBuf) -> Option<u64> {
    let status = statvfs(path).ok()?;
    Some(status.blocks().saturating_mul(status.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_space_in_its_name() {
        let line =
            br"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).expect("it is one");
        assert_eq!(PathBuf::from("/mnt 2"), mount.target);
        assert_eq!(("ext3", true), (&*mount.kind, mount.is_writable()));
        assert_eq!(["rw", "errors=continue"], *mount.inner);
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        for line in [&b""[..], b"36 35", b"36 35 98:0 / /x rw"] {
            assert_eq!(None, parse(line));
        }
    }
}
