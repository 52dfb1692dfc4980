//! The engine's command line, for people who want to see or run the commands themselves.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Surroundings;

/// A command line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Its path.
    pub path: PathBuf,
}

impl Binary {
    /// Whether it is Podman's, by its name.
    #[must_use]
    pub fn is_podman(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("podman"))
    }
}

/// Where macOS installers put it without touching `PATH`.
const ELSEWHERE: [&str; 3] = [
    "/usr/local/bin/docker",
    "/opt/homebrew/bin/docker",
    "/Applications/Docker.app/Contents/Resources/bin/docker",
];

/// The places to look at, in order: `HERMES_DOCKER_BINARY`, docker on `PATH`, podman on `PATH`,
/// and where macOS has it.
#[must_use]
pub fn binaries(around: &Surroundings) -> Vec<PathBuf> {
    let on_path = |name: &'static str| {
        let directories = around.path.iter().flat_map(std::env::split_paths);
        // A relative entry would depend on where one stands.
        directories
            .filter(|directory| directory.is_absolute())
            .map(move |directory| directory.join(name))
    };
    let elsewhere = ELSEWHERE.iter().map(PathBuf::from);
    let named = around.docker_binary.iter().cloned();
    named
        .chain(on_path("docker"))
        .chain(on_path("podman"))
        .chain(elsewhere)
        .collect()
}

/// The first of [`binaries`] that is a file which may be executed.
#[must_use]
pub fn find_binary(around: &Surroundings) -> Option<Binary> {
    let file = |path: &Path| path.metadata().ok().map(|it| (it.dev(), it.ino()));
    let not = around.not.as_deref().and_then(file);
    let is_program = |path: &Path| {
        path.is_file()
            && access(path, Access::EXEC_OK).is_ok()
            && (not.is_none() || file(path) != not)
    };
    let found = binaries(around).into_iter().find(|path| is_program(path));
    found.map(|path| Binary { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_one_comes_first_and_docker_before_podman() {
        let around = Surroundings {
            docker_binary: Some("/opt/d".into()),
            path: Some("/a:relative:/b".into()),
            ..Surroundings::default()
        };
        let found = binaries(&around);
        let expected = ["/opt/d", "/a/docker", "/b/docker", "/a/podman", "/b/podman"];
        assert_eq!(found[..5], expected.map(PathBuf::from));
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn what_cannot_be_executed_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let docker = directory.path().join("docker");
        std::fs::write(&docker, "").unwrap();
        let podman = directory.path().join("podman");
        std::fs::write(&podman, "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&podman, mode).unwrap();
        let around = Surroundings {
            path: Some(directory.path().into()),
            ..Surroundings::default()
        };
        let found = find_binary(&around).unwrap();
        // Root may execute anything that has one x; this file has none.
        assert_eq!(found.path, podman);
        assert!(found.is_podman());
    }

    #[test]
    fn what_is_known_to_be_something_else_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let ours = directory.path().join("talaria");
        std::fs::write(&ours, "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&ours, mode).unwrap();
        std::os::unix::fs::symlink(&ours, directory.path().join("docker")).unwrap();
        std::fs::copy(&ours, directory.path().join("podman")).unwrap();
        let around = Surroundings {
            docker_binary: Some(ours.clone()),
            path: Some(directory.path().into()),
            not: Some(ours),
            ..Surroundings::default()
        };
        let found = find_binary(&around).unwrap();
        assert_eq!(found.path, directory.path().join("podman"));
    }
}
