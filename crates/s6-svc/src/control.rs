//! Writing to control FIFOs.

use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{ControlError, FileKind};

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
