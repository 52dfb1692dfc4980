//! What the agent and its keepers say to each other, a message a packet.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, send, sendmsg};

/// To a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToKeeper {
    /// A signal for the command's group; or, with a tick, for what was started since.
    Signal { signal: i32, since: u64 },
    /// Kill everything; or, with a tick, what was started since, and the shell.
    Kill { grace_ms: u32, since: u64 },
    /// Read the descriptors that come along, and forget what they give.
    Drain,
}

/// From a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FromKeeper {
    Started {
        pid: i32,
    },
    NotStarted {
        stage: u8,
        errno: i32,
    },
    /// The command itself has ended; its leftovers may not have.
    Ended {
        signalled: bool,
        value: i32,
    },
    Killed {
        killed: u32,
        survivors: u32,
    },
}

fn pack(kind: u8, a: u32, b: u64) -> [u8; 13] {
    let mut bytes = [0; 13];
    bytes[0] = kind;
    bytes[1..5].copy_from_slice(&a.to_be_bytes());
    bytes[5..].copy_from_slice(&b.to_be_bytes());
    bytes
}

fn unpack(bytes: &[u8]) -> Result<(u8, u32, u64), Errno> {
    let (kind, rest) = bytes.split_first().ok_or(Errno::EBADMSG)?;
    let (a, b) = rest.split_first_chunk::<4>().ok_or(Errno::EBADMSG)?;
    let b: [u8; 8] = b.try_into().map_err(|_| Errno::EBADMSG)?;
    Ok((*kind, u32::from_be_bytes(*a), u64::from_be_bytes(b)))
}

/// One message and the descriptors that came with it.
type Received = (Vec<u8>, Vec<OwnedFd>);

/// One message; nothing at the end.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Received>, Errno> {
    let mut bytes = [0; 64];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let (count, fds) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
        let mut fds = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                fds.extend(raw.into_iter().map(own));
            }
        }
        (message.bytes, fds)
    };
    if count == 0 && fds.is_empty() {
        return Ok(None);
    }
    Ok(Some((bytes[..count].to_vec(), fds)))
}

#[expect(
    unsafe_code,
    reason = "a descriptor that has just been received is nobody else's"
)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for this process.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Sends bytes and descriptors as one message.
pub(crate) fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[RawFd]) -> Result<(), Errno> {
    let slices = [IoSlice::new(bytes)];
    let rights = [ControlMessage::ScmRights(fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights };
    sendmsg::<()>(
        socket.as_raw_fd(),
        &slices,
        rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map(drop)
}

impl ToKeeper {
    pub(crate) fn send(self, socket: BorrowedFd<'_>, fds: &[RawFd]) -> Result<(), Errno> {
        let bytes = match self {
            Self::Signal { signal, since } => pack(1, signal.cast_unsigned(), since),
            Self::Kill { grace_ms, since } => pack(2, grace_ms, since),
            Self::Drain => pack(3, 0, 0),
        };
        send_with(socket, &bytes, fds)
    }

    pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<(Self, Vec<OwnedFd>)>, Errno> {
        let Some((bytes, fds)) = receive(socket)? else {
            return Ok(None);
        };
        let message = match unpack(&bytes)? {
            (1, signal, since) => Self::Signal {
                signal: signal.cast_signed(),
                since,
            },
            (2, grace_ms, since) => Self::Kill { grace_ms, since },
            (3, ..) => Self::Drain,
            _ => return Err(Errno::EBADMSG),
        };
        Ok(Some((message, fds)))
    }
}

impl FromKeeper {
    pub(crate) fn send(self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let bytes = match self {
            Self::Started { pid } => pack(1, pid.cast_unsigned(), 0),
            Self::NotStarted { stage, errno } => pack(2, errno.cast_unsigned(), stage.into()),
            Self::Ended { signalled, value } => pack(3, value.cast_unsigned(), signalled.into()),
            Self::Killed { killed, survivors } => pack(4, killed, survivors.into()),
        };
        send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Option<Self>, Errno> {
        let Some((bytes, _)) = receive(socket)? else {
            return Ok(None);
        };
        let (kind, a, b) = unpack(&bytes)?;
        let low = u32::try_from(b).map_err(|_| Errno::EBADMSG)?;
        Ok(Some(match kind {
            1 => Self::Started {
                pid: a.cast_signed(),
            },
            2 => Self::NotStarted {
                stage: low.to_be_bytes()[3],
                errno: a.cast_signed(),
            },
            3 => Self::Ended {
                signalled: b != 0,
                value: a.cast_signed(),
            },
            4 => Self::Killed {
                killed: a,
                survivors: low,
            },
            _ => return Err(Errno::EBADMSG),
        }))
    }
}
