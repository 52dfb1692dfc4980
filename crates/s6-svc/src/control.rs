//! Writing to control FIFOs.

use rustix::io::Errno;

use crate::dir::{Dir, Links};
use crate::error::{ControlError, FileKind, FsError};

/// Writes command bytes to the supervisor whose control directory is `name` in `dir`. `owner` is what
/// is supervised, for errors.
pub(crate) fn tell(
    dir: &Dir,
    name: &str,
    owner: &std::path::Path,
    bytes: &[u8],
) -> Result<(), ControlError> {
    let told = dir
        .below(name, Links::Refuse)
        // What is asked for is the FIFO: say so, with who bars the way to it.
        .map_err(|error| name_the_fifo(error).into())
        .and_then(|control_dir| send(&control_dir, owner, bytes));
    match told {
        Err(ControlError::Fs(FsError::Missing { .. })) => Err(ControlError::NotSupervised {
            path: owner.to_owned(),
        }),
        result => result,
    }
}

/// Where a directory bars the way to the FIFO, it is the FIFO that was asked for.
pub(crate) fn name_the_fifo(error: FsError) -> FsError {
    match error {
        FsError::Denied {
            path,
            at,
            owner,
            source,
        } => FsError::Denied {
            path: path.join("control"),
            at,
            owner,
            source,
        },
        other => other,
    }
}

/// Writes command bytes to `control` in a control directory. `owner` is what is supervised, for
/// errors.
pub(crate) fn send(
    control_dir: &Dir,
    owner: &std::path::Path,
    bytes: &[u8],
) -> Result<(), ControlError> {
    let not_supervised = || ControlError::NotSupervised {
        path: owner.to_owned(),
    };
    let fifo = control_dir
        .open_fifo("control")?
        .ok_or_else(not_supervised)?;
    // A FIFO takes up to PIPE_BUF bytes whole or not at all.
    for chunk in bytes.chunks(512) {
        loop {
            match rustix::io::write(&fifo, chunk) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(not_supervised()),
                Err(Errno::AGAIN) => {
                    return Err(ControlError::Stuck {
                        path: control_dir.join("control"),
                    });
                }
                Err(errno) => {
                    return Err(control_dir
                        .fail("write to", "control", FileKind::Fifo, errno)
                        .into());
                }
            }
        }
    }
    Ok(())
}
