//! Files into a sandbox and out of it.
//!
//! The engine's archive calls do not see a tmpfs of a running container; where a path lies on one,
//! `tar` in the sandbox does the work.

mod error;
mod pack;
mod pump;
mod stage;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::capture::Keep;
use crate::connect::Engine;
use crate::error::Fault;
use crate::exec::{Channel, Exec, Stdin, exec};

pub use error::CopyError;
use pump::{ChannelReader, Piece};
use stage::Stage;
pub use unpack::{Bounds, Skipped, UnpackError, Unpacked, unpack};

/// A container to copy to or from.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// Where it has a tmpfs.
    pub(crate) tmpfs: Vec<String>,
    /// Who is to own what is copied in.
    pub(crate) owner: (u64, u64),
}

/// What became of a copy out of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedOut {
    /// Where it is now.
    pub path: PathBuf,
    /// What it holds.
    pub unpacked: Unpacked,
}

/// A path of the sandbox, split into the directory and the name in it.
fn split(path: &str) -> Result<(&str, &str), CopyError> {
    let bad = || CopyError::Path {
        path: path.to_owned(),
    };
    let trimmed = path.trim_end_matches('/');
    if !path.starts_with('/') || path.contains('\0') {
        return Err(bad());
    }
    let (parent, name) = trimmed.rsplit_once('/').ok_or_else(bad)?;
    if name.is_empty() || name == "." || name == ".." {
        return Err(bad());
    }
    Ok((if parent.is_empty() { "/" } else { parent }, name))
}

impl Place<'_> {
    fn is_on_tmpfs(&self, path: &str) -> bool {
        let below = |mount: &String| {
            let mount = mount.trim_end_matches('/');
            path == mount
                || path
                    .strip_prefix(mount)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        self.tmpfs.iter().any(below)
    }

    fn request(&self, path: &str, fault: Fault) -> CopyError {
        CopyError::Request {
            name: self.name.to_owned(),
            path: path.to_owned(),
            fault: Box::new(fault),
        }
    }

    /// Runs a program in the sandbox for its code.
    async fn ask(&self, command: &[&str]) -> Result<i64, CopyError> {
        let command = Exec::new(command.iter().copied()).user("0");
        let ran = exec(self.engine, self.id, self.name, command, &mut |_, _| {}).await?;
        Ok(i64::from(ran.outcome.end.code()))
    }

    async fn is_directory(&self, path: &str) -> Result<bool, CopyError> {
        if self.is_on_tmpfs(path) {
            let test = ["sh", "-c", "[ -d \"$1\" ]", "sh", path];
            return Ok(self.ask(&test).await? == 0);
        }
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        let found = self
            .engine
            .docker
            .get_container_archive_info(self.id, Some(options))
            .await;
        match found.map_err(Fault::from) {
            // Go's own bit for a directory.
            Ok(found) => Ok(found.file_mode & (1 << 31) != 0),
            Err(fault) if fault.is_not_found() => Ok(false),
            Err(fault) => Err(self.request(path, fault)),
        }
    }

    /// Copies a file or directory of this machine to `to`; into it, where that is a directory.
    pub(crate) async fn copy_in(&self, from: &Path, to: &str) -> Result<String, CopyError> {
        let missing = |source| CopyError::Host {
            path: from.to_owned(),
            source,
        };
        let kind = fs::metadata(from).map_err(missing)?;
        let into = to == "/" || self.is_directory(to).await?;
        let (parent, name) = if into {
            // The name as it is found, not as it was written: `.` has one too.
            let real = fs::canonicalize(from).map_err(missing)?;
            let name = real
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.ok_or_else(|| CopyError::Path {
                path: from.display().to_string(),
            })?;
            (to.trim_end_matches('/').to_owned(), name)
        } else {
            let (parent, name) = split(to)?;
            if to.ends_with('/') && !kind.is_dir() {
                return Err(CopyError::NoDirectory {
                    path: to.to_owned(),
                });
            }
            (parent.to_owned(), name.to_owned())
        };
        let parent = if parent.is_empty() { "/" } else { &parent };
        let at = format!("{}/{name}", parent.trim_end_matches('/'));

        let (sender, receiver) = mpsc::channel(4);
        let packing = pack::pack(from.to_owned(), name, self.owner, sender);
        let packing = tokio::task::spawn_blocking(packing);
        let sent = if self.is_on_tmpfs(&at) {
            self.untar(parent, receiver).await
        } else {
            let body = bollard::body_try_stream(pump::stream(receiver));
            let options = UploadToContainerOptionsBuilder::new().path(parent).build();
            let sent = self
                .engine
                .docker
                .upload_to_container(self.id, Some(options), body)
                .await;
            sent.map_err(|error| self.request(&at, error.into()))
        };
        // Why packing failed says more than that the other side saw it break off.
        let packed = packing.await.map_err(|_| CopyError::Thread)?;
        match (packed, sent) {
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(_)) if !error.is_broken_pipe() => Err(error),
            (_, sent) => sent.map(|()| at),
        }
    }

    async fn untar(&self, parent: &str, archive: mpsc::Receiver<Piece>) -> Result<(), CopyError> {
        let reader = tokio_reader(archive);
        let command = Exec::new(["tar", "-x", "-f", "-", "-C", parent])
            .user("0")
            .stdin(Stdin::Reader(reader));
        let ran = exec(self.engine, self.id, self.name, command, &mut |_, _| {}).await;
        let ran = ran.map_err(|error| error::without_tar(error, parent))?;
        if ran.outcome.end.code() == 0 {
            return Ok(());
        }
        Err(CopyError::Tar {
            name: self.name.to_owned(),
            path: parent.to_owned(),
            said: String::from_utf8_lossy(&ran.outcome.stderr.head)
                .trim()
                .to_owned(),
        })
    }

    /// Copies a file or directory of the sandbox to `to` of this machine; into it, where that is
    /// a directory. It appears there whole or not at all.
    pub(crate) async fn copy_out(
        &self,
        from: &str,
        to: &Path,
        bounds: Bounds,
    ) -> Result<CopiedOut, CopyError> {
        let (parent, name) = split(from)?;
        let host = |path: &Path| {
            let path = path.to_owned();
            move |source| CopyError::Host { path, source }
        };
        let target = if to.is_dir() {
            to.join(name)
        } else {
            to.to_owned()
        };
        match fs::metadata(&target) {
            Ok(there) if there.is_dir() => return Err(CopyError::Exists { path: target }),
            // A device or a FIFO is not a thing to replace.
            Ok(there) if !there.is_file() => return Err(CopyError::NoFile { path: target }),
            Ok(_) | Err(_) => {}
        }
        let directory = match target.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let stage = Stage::new(directory).map_err(host(directory))?;

        let (sender, receiver) = mpsc::channel::<Piece>(4);
        let unpacking = {
            let into = stage.path().to_owned();
            tokio::task::spawn_blocking(move || unpack(ChannelReader::new(receiver), &into, bounds))
        };
        let fetched = if self.is_on_tmpfs(from) {
            self.tar(parent, name, sender).await
        } else {
            self.download(from, sender).await
        };
        let unpacked = unpacking.await.map_err(|_| CopyError::Thread)?;
        let unpacked = match (fetched, unpacked) {
            (Ok(()), Ok(unpacked)) => unpacked,
            // The archive broke off because fetching did.
            (Err(error), Err(UnpackError::Read(_)) | Ok(_)) => return Err(error),
            // Nothing is wrong with what came.
            (_, Err(UnpackError::Write { source, .. })) => return Err(host(&target)(source)),
            (_, Err(source)) => {
                return Err(CopyError::Unpack {
                    name: self.name.to_owned(),
                    path: from.to_owned(),
                    source,
                });
            }
        };
        let staged = stage.path().join(name);
        if fs::symlink_metadata(&staged).is_err() {
            let what = unpacked.skipped.first().map(|skipped| skipped.what);
            return Err(CopyError::NothingCame {
                path: from.to_owned(),
                what: what.unwrap_or("empty"),
            });
        }
        fs::rename(&staged, &target).map_err(host(&target))?;
        Ok(CopiedOut {
            path: target,
            unpacked,
        })
    }

    async fn download(&self, from: &str, into: mpsc::Sender<Piece>) -> Result<(), CopyError> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(from)
            .build();
        let pieces = self
            .engine
            .docker
            .download_from_container(self.id, Some(options));
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| match Fault::from(error) {
                fault if fault.is_not_found() => CopyError::NotFound {
                    name: self.name.to_owned(),
                    path: from.to_owned(),
                },
                fault => self.request(from, fault),
            })?;
            if into.send(Piece::Bytes(piece)).await.is_err() {
                // Unpacking has given up, and says why.
                return Ok(());
            }
        }
        // Nobody to tell where unpacking has given up.
        into.send(Piece::End).await.ok();
        Ok(())
    }

    async fn tar(
        &self,
        parent: &str,
        name: &str,
        into: mpsc::Sender<Piece>,
    ) -> Result<(), CopyError> {
        let from = format!("{}/{name}", parent.trim_end_matches('/'));
        // `./` so that a name with a dash is no option.
        let member = format!("./{name}");
        let (queue, mut queued) = mpsc::unbounded_channel();
        let (cancel, cancelled) = tokio::sync::oneshot::channel();
        let mut command = Exec::new(["tar", "-c", "-f", "-", "-C", parent, &member])
            .user("0")
            .keep(Keep {
                head: 0,
                tail: 4096,
                ..Keep::default()
            });
        command.cancel = Some(cancelled);
        let mut on_output = |channel, bytes: &[u8]| {
            if channel == Channel::Stdout {
                // Nobody to tell where unpacking has given up.
                queue.send(bytes::Bytes::copy_from_slice(bytes)).ok();
            }
        };
        let running = exec(self.engine, self.id, self.name, command, &mut on_output);
        let mut running = std::pin::pin!(running);
        let mut cancel = Some(cancel);
        let ran = loop {
            // Taken first: what is queued is bounded by what is unpacked.
            tokio::select! {
                biased;
                Some(piece) = queued.recv() => {
                    if into.send(Piece::Bytes(piece)).await.is_err()
                        && let Some(cancel) = cancel.take()
                    {
                        // It may have ended already.
                        cancel.send(()).ok();
                    }
                }
                ran = &mut running => break ran,
            }
        };
        let ran = ran.map_err(|error| error::without_tar(error, &from))?;
        while let Ok(piece) = queued.try_recv() {
            if into.send(Piece::Bytes(piece)).await.is_err() {
                break;
            }
        }
        if ran.outcome.end.is_success() {
            // Nobody to tell where unpacking has given up.
            into.send(Piece::End).await.ok();
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.outcome.stderr.tail);
        let (said, name) = (said.trim().to_owned(), self.name.to_owned());
        let path = from;
        Err(
            if said.contains("No such file") || said.contains("Cannot stat") {
                CopyError::NotFound { name, path }
            } else {
                CopyError::Tar { name, path, said }
            },
        )
    }
}

fn tokio_reader(
    archive: mpsc::Receiver<Piece>,
) -> std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> {
    Box::pin(pump::AsyncReader::new(archive))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/a", Some(("/", "a")))]
    #[case("/a/b/", Some(("/a", "b")))]
    #[case("/", None)]
    #[case("a/b", None)]
    #[case("/a/..", None)]
    #[case("", None)]
    fn a_path_has_a_directory_and_a_name(
        #[case] path: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        assert_eq!(split(path).ok(), expected);
    }
}
