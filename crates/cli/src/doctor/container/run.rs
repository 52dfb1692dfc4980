//! `/run`: where supervision lives.

use profile_boot::lifecycle::Site;
use rustix::fs::{Access, access, statfs, statvfs};

use super::super::finding::Finding;

const TMPFS: i64 = 0x0102_1994;
/// A slot takes some ten blocks.
const LITTLE: u64 = 1 << 20;

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let (name, path) = ("run", site.scandir().path());
    let shown = path.display();
    if let Err(error) = access(path, Access::WRITE_OK | Access::EXEC_OK) {
        let hint = "it has to be the agent's user's own: docker restart makes it anew; with --read-only \
                    add --tmpfs /run:rw,noexec,nosuid,size=64m";
        return vec![Finding::bad(
            name,
            format!("{shown}: cannot be written: {error}"),
            hint,
        )];
    }
    let kind = match statfs(path) {
        Ok(found) if found.f_type == TMPFS => "tmpfs",
        Ok(_) => "the container's own file system, cleared at each start",
        Err(error) => return vec![unknown(path, error)],
    };
    let free = match statvfs(path) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return vec![unknown(path, error)],
    };
    if free < LITTLE {
        let hint = "find /run -xdev -size +100k names what fills it; a tmpfs of 64m is enough";
        return vec![Finding::bad(
            name,
            format!("{shown}: {free} bytes free"),
            hint,
        )];
    }
    vec![Finding::good(
        name,
        format!("{shown} can be written ({kind})"),
    )]
}

fn unknown(path: &std::path::Path, error: rustix::io::Errno) -> Finding {
    let detail = format!("{}: {error}", path.display());
    Finding::bad("run", detail, "docker restart makes it anew")
}
