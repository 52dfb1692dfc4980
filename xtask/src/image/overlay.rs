//! `--init s6-overlay=DIR`: release archives, checked against known sums before use.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::context::{FileError, Tree};
use crate::digest::{Sum, SumsError, parse_sums};
use crate::process::{self, ProcessError};
use crate::progress::Step;

/// The release that the sums below belong to.
const RELEASE: &str = "3.2.3.0";
const RELEASE_PAGE: &str = "https://github.com/just-containers/s6-overlay/releases/download";

/// The sums of s6-overlay 3.2.3.0, as published with the release.
const PINNED: &[(&str, &str)] = &[
    (
        "s6-overlay-noarch.tar.xz",
        "b720f9d9340efc8bb07528b9743813c836e4b02f8693d90241f047998b4c53cf",
    ),
    (
        "s6-overlay-x86_64.tar.xz",
        "a93f02882c6ed46b21e7adb5c0add86154f01236c93cd82c7d682722e8840563",
    ),
    (
        "s6-overlay-aarch64.tar.xz",
        "0952056ff913482163cc30e35b2e944b507ba1025d78f5becbb89367bf344581",
    ),
    (
        "s6-overlay-symlinks-noarch.tar.xz",
        "a60dc5235de3ecbcf874b9c1f18d73263ab99b289b9329aa950e8729c4789f0e",
    ),
];

/// Why the archives cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OverlayError {
    /// A file could not be read.
    #[error("cannot read s6-overlay's files")]
    File(#[from] FileError),
    /// The file of `--init-checksums` is malformed.
    #[error("{path}", path = path.display())]
    Sums {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SumsError,
    },
    /// No sum is known for an archive that is needed.
    #[error("no checksum for {name} in {path}", path = path.display())]
    NoSum {
        /// The archive.
        name: String,
        /// The file of sums.
        path: PathBuf,
    },
    /// An archive is not in the folder, and could not be fetched.
    #[error("{path} is not there, and cannot be fetched", path = path.display())]
    Unreachable {
        /// Where it should be.
        path: PathBuf,
        /// Why fetching failed.
        source: ProcessError,
    },
    /// An archive of a release that we know nothing of is not in the folder.
    #[error("{path} is not there", path = path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// An archive is something else than what was asked for.
    #[error("checksum mismatch: {path}: expected {expected}, found {found}", path = path.display())]
    Mismatch {
        /// The archive.
        path: PathBuf,
        /// From the table, or the file of `--init-checksums`.
        expected: Sum,
        /// Of the file as it is.
        found: Sum,
    },
    /// The archive is not an xz stream.
    #[error("cannot unpack {path}: {why}", path = path.display())]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// What the decoder said.
        why: String,
    },
}

impl OverlayError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { path, .. } => Some(format!(
                "download {} of s6-overlay {RELEASE} into {}",
                path.file_name().unwrap_or_default().to_string_lossy(),
                path.parent().unwrap_or(path).display()
            )),
            Self::Mismatch { .. } => Some(format!(
                "for another release than {RELEASE}, give its own sums with --init-checksums FILE"
            )),
            Self::NoSum { .. } => {
                Some("the file has one line an archive, as sha256sum writes it".to_owned())
            }
            Self::File(_) | Self::Sums { .. } | Self::Missing { .. } | Self::Unpack { .. } => None,
        }
    }
}

/// s6-overlay's name of this machine's architecture.
fn architecture() -> &'static str {
    std::env::consts::ARCH
}

/// The archives that make up an installation, in the order in which they are unpacked.
pub(crate) fn archives() -> [String; 3] {
    [
        "s6-overlay-noarch.tar.xz".to_owned(),
        format!("s6-overlay-{}.tar.xz", architecture()),
        "s6-overlay-symlinks-noarch.tar.xz".to_owned(),
    ]
}

/// The sums to check against: the pinned ones, or those of a file.
fn sums(checksums: Option<&Path>) -> Result<BTreeMap<String, Sum>, OverlayError> {
    if let Some(path) = checksums {
        let text = fs::read_to_string(path).map_err(FileError::on(path))?;
        return parse_sums(&text).map_err(|source| OverlayError::Sums {
            path: path.to_path_buf(),
            source,
        });
    }
    let pinned = PINNED
        .iter()
        .filter_map(|(name, sum)| Some(((*name).to_owned(), sum.parse().ok()?)));
    Ok(pinned.collect())
}

/// Reads, checks and unpacks the archives of `dir` into plain tar files for the context.
pub(crate) fn load(dir: &Path, checksums: Option<&Path>) -> Result<Tree, OverlayError> {
    let sums = sums(checksums)?;
    let mut tree = Tree::new();
    for (index, name) in archives().iter().enumerate() {
        let expected = *sums.get(name).ok_or_else(|| OverlayError::NoSum {
            name: name.clone(),
            path: checksums.unwrap_or(dir).to_path_buf(),
        })?;
        let path = dir.join(name);
        if !path.exists() {
            if checksums.is_some() {
                return Err(OverlayError::Missing { path });
            }
            fetch(name, dir)?;
        }
        let packed = fs::read(&path).map_err(FileError::on(&path))?;
        let found = Sum::of(&packed);
        if found != expected {
            return Err(OverlayError::Mismatch {
                path,
                expected,
                found,
            });
        }
        let plain = unpack(&packed).map_err(|error| OverlayError::Unpack {
            path: path.clone(),
            why: error.to_string(),
        })?;
        // The builder unpacks them in the order of their names.
        tree.file(
            &format!("{index}-{}", name.trim_end_matches(".xz")),
            plain,
            false,
        );
    }
    Ok(tree)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, lzma_rs::error::Error> {
    let mut plain = Vec::new();
    lzma_rs::xz_decompress(&mut BufReader::new(packed), &mut plain)?;
    Ok(plain)
}

/// Tries the release page, for as long as a person would.
fn fetch(name: &str, dir: &Path) -> Result<(), OverlayError> {
    let path = dir.join(name);
    fs::create_dir_all(dir).map_err(FileError::on(dir))?;
    let step = Step::begin(format!("fetch {name}"));
    let partial = dir.join(format!(".{name}.part"));
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--proto",
        "=https",
    ]);
    curl.args(["--connect-timeout", "5", "--max-time", "120", "--output"]);
    curl.arg(&partial)
        .arg(format!("{RELEASE_PAGE}/v{RELEASE}/{name}"));
    match process::run(&mut curl, &step) {
        Ok(()) => {
            fs::rename(&partial, &path).map_err(FileError::on(&path))?;
            step.done("fetched");
            Ok(())
        }
        Err(source) => {
            if let Err(error) = fs::remove_file(&partial)
                && error.kind() != io::ErrorKind::NotFound
            {
                step.note(format!("{}: {error}", partial.display()));
            }
            Err(OverlayError::Unreachable { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty tar archive, packed by `xz`.
    const EMPTY_TAR_XZ: &[u8] = include_bytes!("../../testdata/empty.tar.xz");

    fn folder_with(archive: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in archives() {
            fs::write(dir.path().join(name), archive).unwrap();
        }
        dir
    }

    fn sums_for(dir: &Path, sum: Sum) -> PathBuf {
        let path = dir.join("sums");
        let lines = archives().map(|name| format!("{sum}  {name}\n")).concat();
        fs::write(&path, lines).unwrap();
        path
    }

    #[test]
    fn every_pinned_sum_parses_and_covers_what_is_needed_here() {
        let sums = sums(None).unwrap();
        assert_eq!(sums.len(), PINNED.len());
        assert!(archives().iter().all(|name| sums.contains_key(name)));
    }

    #[test]
    fn archives_with_the_right_sums_become_plain_tar_files_in_order() {
        let dir = folder_with(EMPTY_TAR_XZ);
        let sums = sums_for(dir.path(), Sum::of(EMPTY_TAR_XZ));
        let mut expected = Tree::new();
        for name in [
            "0-s6-overlay-noarch.tar",
            &format!("1-s6-overlay-{}.tar", architecture()),
            "2-s6-overlay-symlinks-noarch.tar",
        ] {
            expected.file(name, vec![0; 10240], false);
        }
        assert_eq!(load(dir.path(), Some(&sums)).unwrap(), expected);
    }

    #[test]
    fn a_mismatch_names_the_file_and_both_sums() {
        let dir = folder_with(b"something else");
        let error = load(dir.path(), None).unwrap_err().to_string();
        let expected = format!(
            "checksum mismatch: {}/s6-overlay-noarch.tar.xz: expected {}, found {}",
            dir.path().display(),
            PINNED[0].1,
            Sum::of(b"something else"),
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn a_file_of_sums_must_name_every_archive() {
        let dir = folder_with(EMPTY_TAR_XZ);
        let path = dir.path().join("sums");
        fs::write(&path, "").unwrap();
        let error = load(dir.path(), Some(&path)).unwrap_err();
        assert!(matches!(error, OverlayError::NoSum { name, .. } if name == archives()[0]));
    }

    #[test]
    fn nothing_is_fetched_for_a_release_of_which_only_the_sums_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let sums = sums_for(dir.path(), Sum::of(b""));
        let error = load(dir.path(), Some(&sums)).unwrap_err();
        assert!(
            matches!(error, OverlayError::Missing { path } if path == dir.path().join(&archives()[0]))
        );
    }

    #[test]
    fn what_is_not_xz_is_refused_even_with_the_right_sum() {
        let dir = folder_with(b"not xz");
        let sums = sums_for(dir.path(), Sum::of(b"not xz"));
        let error = load(dir.path(), Some(&sums)).unwrap_err();
        assert!(matches!(error, OverlayError::Unpack { .. }));
    }
}
