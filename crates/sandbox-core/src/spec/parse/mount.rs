//! Mounts, one by one.

use crate::mount::{self, Mount, Role, Selinux, Source};
use crate::path::{AbsPath, HostPath};
use crate::problem::Problem;
use crate::spec::{Caller, MountFile, MountTable};

pub(super) fn engine_socket(path: &str) -> Result<Mount, Problem> {
    let path = HostPath::new(path).map_err(|error| {
        Problem::new("engine_socket", format!("{error}")).hint("write the socket's whole path")
    })?;
    let target = AbsPath::new(path.as_str()).map_err(|error| {
        Problem::new("engine_socket", format!("{error}")).hint("write the socket's whole path")
    })?;
    if path
        .as_str()
        .rsplit_once('.')
        .is_none_or(|(_, end)| end != "sock")
    {
        return Err(Problem::new(
            "engine_socket",
            format!("{path} is not named like a socket"),
        )
        .hint("write the socket itself, such as /var/run/docker.sock, not its directory"));
    }
    Ok(Mount {
        source: Source::Bind(path),
        target,
        read_only: false,
        selinux: None,
        role: Role::EngineSocket,
    })
}

/// A mount as it is written, taken apart.
fn table(field: &str, written: &MountFile) -> Result<MountTable, Problem> {
    let text = match written {
        MountFile::Table(table) => return Ok(table.clone()),
        MountFile::Text(text) => text,
    };
    let error = || {
        Problem::new(field, format!("`{text}` is not HOST:CONTAINER[:OPTIONS]")).hint(
            "write source:target, then :ro, :rw, :z or :Z; for paths with a colon, write a table \
             with source and target",
        )
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, *options),
        _ => return Err(error()),
    };
    if source.is_empty() || target.is_empty() {
        return Err(error());
    }
    let mut read_only = false;
    let mut selinux = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" | "Z" => selinux = Some(option.to_owned()),
            _ => return Err(error()),
        }
    }
    Ok(MountTable {
        source: (*source).to_owned(),
        target: (*target).to_owned(),
        read_only,
        selinux,
    })
}

pub(super) fn one_mount(
    field: &str,
    written: &MountFile,
    role: Role,
    caller: &Caller,
) -> Result<Mount, Problem> {
    let table = table(field, written)?;
    let selinux = match table.selinux.as_deref() {
        None => None,
        Some("z") => Some(Selinux::Shared),
        Some("Z") => Some(Selinux::Private),
        Some(other) => {
            return Err(
                Problem::new(field, format!("`{other}` is not an SELinux option"))
                    .hint("write `z` (shared) or `Z` (for this container alone)"),
            );
        }
    };
    let target = match table.target.as_str() {
        "~" => AbsPath::new("/root"),
        target => AbsPath::new(
            target
                .strip_prefix("~/")
                .map_or_else(|| target.to_owned(), |rest| format!("/root/{rest}")),
        ),
    }
    .map_err(|error| {
        Problem::new(field, format!("the path in the container {error}"))
            .hint("write an absolute path, or one that begins with ~/ (that is /root)")
    })?;
    mount::check_target(field, &target)?;
    let source = source(field, &table.source, caller)?;
    if let Source::Bind(path) = &source
        && let Some(why) = mount::brings_engine(path, &caller.engine_sockets)
    {
        return Err(Problem::new(field, why).hint(
            "mount a directory that holds nothing else; a sandbox that is to have the engine, and with \
             it the host, names its socket as `engine_socket`",
        ));
    }
    if selinux.is_some() && (source.as_str().contains(':') || target.as_str().contains(':')) {
        return Err(
            Problem::new(field, "a path with a colon cannot have an SELinux option")
                .hint("leave the option out, or choose paths without a colon"),
        );
    }
    Ok(Mount {
        source,
        target,
        read_only: table.read_only || role != Role::User,
        selinux,
        role,
    })
}

fn source(field: &str, text: &str, caller: &Caller) -> Result<Source, Problem> {
    let bad = |error: crate::path::PathError| {
        Problem::new(field, format!("the path on the host {error}"))
            .hint("write a path of at most 4095 bytes without control characters")
    };
    let under = |base: Option<&HostPath>, what: &str, rest: &str| match base {
        Some(base) => base.join(rest).map(Source::Bind).map_err(bad),
        None => Err(
            Problem::new(field, format!("`{text}` needs {what}, and there is none"))
                .hint("write an absolute path"),
        ),
    };
    if text == "~" || text.starts_with("~/") {
        return under(caller.home.as_ref(), "a home directory", &text[1..]);
    }
    if text.starts_with('~') {
        return Err(
            Problem::new(field, format!("`{text}` names another user's home"))
                .hint("write an absolute path"),
        );
    }
    if text.starts_with('/') {
        return HostPath::new(text).map(Source::Bind).map_err(bad);
    }
    if text == "." || text == ".." || text.contains('/') {
        return under(caller.cwd.as_ref(), "a working directory", text);
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if text.len() > 1 && text.as_bytes()[0].is_ascii_alphanumeric() && text.bytes().all(known) {
        return Ok(Source::Volume(text.into()));
    }
    Err(Problem::new(
        field,
        format!("`{text}` is neither a path nor a volume's name"),
    )
    .hint("paths begin with /, ./ or ~/"))
}
