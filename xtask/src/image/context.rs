//! The build context: a tree of files in memory, written as an archive with nothing of this
//! machine in it, or as a folder for people.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// One file of a [`Tree`]. The mode is 0755 or 0644 and nothing else: the builder's cache looks
/// at modes, and a checkout's follow its umask.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File { bytes: Vec<u8>, executable: bool },
    Link { target: String },
}

/// Files by their path, which has no leading slash. Folders are implied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Node>);

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}", path = path.display())]
pub(crate) struct FileError {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What the kernel said.
    pub(crate) source: io::Error,
}

impl FileError {
    /// For `map_err`: the error of an act on `path`.
    pub(crate) fn on(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { path, source }
    }
}

impl Tree {
    /// No files.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many files and links there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, executable: bool) {
        let node = Node::File {
            bytes: bytes.into(),
            executable,
        };
        self.0.insert(path.trim_start_matches('/').to_owned(), node);
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        let node = Node::Link {
            target: target.to_owned(),
        };
        self.0.insert(path.trim_start_matches('/').to_owned(), node);
    }

    /// Appends the file `from` to the file `to`, and drops it.
    pub(crate) fn append(&mut self, to: &str, from: &str) {
        if let Some(Node::File { bytes: tail, .. }) = self.0.remove(from)
            && let Some(Node::File { bytes, .. }) = self.0.get_mut(to)
        {
            bytes.extend(tail);
        }
    }

    /// Adds everything of `other`, below the folder `at`.
    pub(crate) fn graft(&mut self, at: &str, other: Self) {
        let grafted = other
            .0
            .into_iter()
            .map(|(path, node)| (format!("{at}/{path}"), node));
        self.0.extend(grafted);
    }

    /// The tree without what is below the folder `at`.
    pub(crate) fn without(&self, at: &str) -> Self {
        let kept = self.0.iter().filter(|(path, _)| !is_below(path, at));
        Self(
            kept.map(|(path, node)| (path.clone(), node.clone()))
                .collect(),
        )
    }

    /// Reads a folder.
    pub(crate) fn read(root: &Path) -> Result<Self, FileError> {
        let mut tree = Self::new();
        tree.read_into(root, "")?;
        Ok(tree)
    }

    fn read_into(&mut self, dir: &Path, prefix: &str) -> Result<(), FileError> {
        for entry in fs::read_dir(dir).map_err(FileError::on(dir))? {
            let entry = entry.map_err(FileError::on(dir))?;
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| {
                let why = io::Error::new(io::ErrorKind::InvalidFilename, "name is not UTF-8");
                FileError::on(&path)(why)
            })?;
            let inner = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            let kind = entry.file_type().map_err(FileError::on(&path))?;
            if kind.is_dir() {
                self.read_into(&path, &inner)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(FileError::on(&path))?;
                self.link(&inner, &target.to_string_lossy());
            } else {
                let bytes = fs::read(&path).map_err(FileError::on(&path))?;
                let mode = entry
                    .metadata()
                    .map_err(FileError::on(&path))?
                    .permissions()
                    .mode();
                self.file(&inner, bytes, mode & 0o100 != 0);
            }
        }
        Ok(())
    }

    /// The tree as a tar archive that depends on names, contents and execute bits alone: owner
    /// 0:0, canonical modes, time 0, sorted, with every folder before what is in it.
    pub(crate) fn to_tar(&self) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        let mut folder = String::new();
        for (path, node) in &self.0 {
            for parent in parents(path) {
                if !is_below(&folder, parent) && folder != parent {
                    parent.clone_into(&mut folder);
                    let mut header = header(EntryType::Directory, 0o755, 0);
                    archive.append_data(&mut header, format!("{parent}/"), io::empty())?;
                }
            }
            match node {
                Node::File { bytes, executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes.as_slice())?;
                }
                Node::Link { target } => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    archive.append_link(&mut header, path, target)?;
                }
            }
        }
        archive.into_inner()
    }

    /// Writes the tree as the folder `root`, in place of whatever was there.
    pub(crate) fn write(&self, root: &Path) -> Result<(), FileError> {
        match fs::remove_dir_all(root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::on(root)(error));
            }
            _ => {}
        }
        for (path, node) in &self.0 {
            let path = root.join(path);
            let parent = path.parent().unwrap_or(root);
            fs::create_dir_all(parent).map_err(FileError::on(parent))?;
            match node {
                Node::File { bytes, executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::File::create(&path)
                        .and_then(|mut file| file.write_all(bytes))
                        .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(mode)))
                        .map_err(FileError::on(&path))?;
                }
                Node::Link { target } => symlink(target, &path).map_err(FileError::on(&path))?,
            }
        }
        set_folder_modes(root)
    }
}

fn set_folder_modes(dir: &Path) -> Result<(), FileError> {
    fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).map_err(FileError::on(dir))?;
    for entry in fs::read_dir(dir).map_err(FileError::on(dir))? {
        let entry = entry.map_err(FileError::on(dir))?;
        if entry.file_type().map_err(FileError::on(dir))?.is_dir() {
            set_folder_modes(&entry.path())?;
        }
    }
    Ok(())
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// `a`, `a/b` for `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.file("b/run", "#!/bin/sh\n", true);
        tree.file("/a.txt", "text", false);
        tree.link("b/c/link", "/somewhere");
        tree.file("b-c", "sorts between b and b/c", false);
        tree
    }

    fn listing(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 0);
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let link = entry
                .link_name()
                .unwrap()
                .map(|link| format!(" -> {}", link.display()));
            format!(
                "{:o} {path}{}",
                header.mode().unwrap(),
                link.unwrap_or_default()
            )
        });
        entries.collect()
    }

    #[test]
    fn an_archive_is_sorted_and_holds_each_folder_once_before_its_files() {
        insta::assert_snapshot!(listing(&sample().to_tar().unwrap()).join("\n"), @r"
        644 a.txt
        644 b-c
        755 b/
        755 b/c/
        777 b/c/link -> /somewhere
        755 b/run
        ");
    }

    #[test]
    fn a_folder_written_under_any_umask_reads_back_as_the_same_archive() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("context");
        sample().write(&root).unwrap();
        fs::set_permissions(root.join("a.txt"), PermissionsExt::from_mode(0o600)).unwrap();
        fs::set_permissions(root.join("b/run"), PermissionsExt::from_mode(0o700)).unwrap();
        let again = Tree::read(&root).unwrap();
        assert_eq!(again.to_tar().unwrap(), sample().to_tar().unwrap());
    }

    #[test]
    fn writing_replaces_what_was_there_and_sets_canonical_modes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("context");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("stale"), "").unwrap();
        sample().write(&root).unwrap();
        assert!(!root.join("stale").exists());
        assert_eq!(
            fs::metadata(root.join("b/run")).unwrap().mode() & 0o7777,
            0o755
        );
        assert_eq!(fs::metadata(root.join("b")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn grafting_and_leaving_out_move_whole_folders() {
        let mut tree = Tree::new();
        tree.graft("x", sample());
        tree.file("xy", "", false);
        let rest = tree.without("x");
        assert_eq!(rest.0.keys().collect::<Vec<_>>(), ["xy"]);
    }

    #[test]
    fn names_longer_than_a_tar_header_survive() {
        let name = format!("wheels/{}.whl", "n".repeat(200));
        let mut tree = Tree::new();
        tree.file(&name, "", false);
        assert!(listing(&tree.to_tar().unwrap()).contains(&format!("644 {name}")));
    }
}
