//! Who calls: what a spec would otherwise read from the surroundings.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{getgid, getuid};
use sandbox_core::{Caller, DigestKey, HostPath, Owner, Secret};
use sandbox_engine::find::Surroundings;

use super::failure::{Failure, Result};

pub(super) fn surroundings() -> Surroundings {
    let mut around = Surroundings::from_vars(|name| env::var_os(name), getuid().as_raw());
    // Under the name of `docker` it would run itself.
    around.not = env::current_exe().ok();
    around
}

/// Where this user's sandboxes keep what outlives them, and the installation its id.
pub(super) fn data_directory() -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(set("HOME")?.join(".local/share")));
    base.map(|base| base.join("talaria")).ok_or(Failure::NoHome)
}

/// The installation's id and the user's: two people on one engine never share a sandbox.
pub(super) fn owner() -> Result<Owner> {
    let bad = |_| Failure::Usage {
        why: "TALARIA_OWNER is not a name",
        hint: "give it up to 255 characters without control characters",
    };
    if let Ok(named) = env::var("TALARIA_OWNER")
        && !named.is_empty()
    {
        return Owner::new(named).map_err(bad);
    }
    let path = data_directory()?.join("installation");
    let id = installation(&path).map_err(|source| Failure::File { path, source })?;
    Owner::new(format!("{id}:{}", getuid().as_raw())).map_err(bad)
}

/// The installation's id, made where there is none.
fn installation(path: &Path) -> io::Result<String> {
    kept::<16>(path).map(|bytes| hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Random bytes that are made once and kept in a file that is its user's alone, in hexadecimal
/// digits. Of several that make it at a time, one wins.
fn kept<const N: usize>(path: &Path) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    match fs::read_to_string(path) {
        Ok(text) => {
            let digits = text.trim().as_bytes().chunks_exact(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let read: Vec<u8> = digits.map_while(byte).collect();
            return read.try_into().map_err(|_| {
                io::Error::other("it does not hold what was kept there: remove it for a new one")
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    // The name of the staged file is no part of what is kept: others can list it.
    let mut mark = [0; 8];
    for random in [&mut bytes[..], &mut mark[..]] {
        rustix::rand::getrandom(random, rustix::rand::GetRandomFlags::empty())?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let staged = directory.join(format!(".{name}-{}", hex(&mark)));
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&staged)?;
    file.write_all(format!("{}\n", hex(&bytes)).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&staged, path);
    fs::remove_file(&staged)?;
    match linked {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => kept(path),
        Err(error) => Err(error),
    }
}

pub(super) fn caller() -> Result<Caller> {
    let host = |path: PathBuf| HostPath::new(path.to_str()?).ok();
    let mut caller = Caller::new(owner()?);
    caller.home = env::var_os("HOME").map(PathBuf::from).and_then(host);
    caller.cwd = env::current_dir().ok().and_then(host);
    caller.data_dir = data_directory().ok().and_then(host);
    // Without one, digests of plans leave secrets out; drift compares those one by one.
    let key = data_directory()?.join("digest-key");
    caller.digest_key = kept(&key).ok().map(DigestKey::new);
    caller.uid = Some(getuid().as_raw());
    caller.gid = Some(getgid().as_raw());
    caller.env = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    let sockets = sandbox_engine::find::candidates(&surroundings(), None);
    caller.engine_sockets = sockets
        .into_iter()
        .filter_map(|candidate| match candidate.address {
            sandbox_engine::find::Address::Unix(path) => host(path),
            _ => None,
        })
        .collect();
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use super::installation;

    #[test]
    fn of_many_at_once_all_have_one_id() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talaria/installation");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| installation(&path).unwrap()))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(
            ids.iter().all(|id| id == &ids[0] && id.len() == 32),
            "{ids:?}"
        );
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(left.count(), 1);
    }
}
