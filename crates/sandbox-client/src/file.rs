//! Files, on their way in or out.

use sandbox_agent::wire::{Channel, Entry, EntryKind, ToAgent, ToClient};

use crate::call::Call;
use crate::error::{CallError, Lost};

/// A file or a tree that is being put. Nothing is there until [`Sending::finish`]; dropped before
/// that, nothing ever is.
#[derive(Debug)]
pub struct Sending {
    call: Call,
}

impl Sending {
    pub(crate) fn new(call: Call) -> Self {
        Self { call }
    }

    /// The next file. Its content follows, [`Entry::size`] bytes of it.
    ///
    /// # Errors
    ///
    /// As for [`Sending::content`].
    pub async fn entry(&mut self, entry: &Entry) -> Result<(), CallError> {
        let frame = ToAgent::Entry(entry.clone());
        let sender = self.call.sender();
        self.unless_refused(sender.send_patiently(&frame)).await
    }

    /// Bytes of the last file.
    ///
    /// # Errors
    ///
    /// Why the agent refused what came so far, or [`CallError::Lost`].
    pub async fn content(&mut self, bytes: &[u8]) -> Result<(), CallError> {
        let sender = self.call.sender();
        self.unless_refused(sender.send_data(Channel::Stdin, bytes))
            .await
    }

    /// The agent may refuse in the middle, and then takes no more.
    async fn unless_refused(
        &mut self,
        sending: impl Future<Output = Result<(), Lost>>,
    ) -> Result<(), CallError> {
        tokio::select! {
            biased;
            sent = sending => Ok(sent?),
            answer = self.call.next() => match answer {
                Err(error) => Err(error),
                Ok(_) => Err(CallError::Unexpected),
            },
        }
    }

    /// Publishes it: how many bytes were written.
    ///
    /// # Errors
    ///
    /// Why the agent could not.
    pub async fn finish(self) -> Result<u64, CallError> {
        self.call.send(&ToAgent::Eof(Channel::Stdin));
        match self.call.answer().await? {
            ToClient::Done(bytes) => Ok(bytes),
            _ => Err(CallError::Unexpected),
        }
    }
}

/// A file or a tree that is being got.
#[derive(Debug)]
pub struct Receiving {
    call: Call,
    /// How much of the last file is still to come.
    left: u64,
}

/// What comes of a file or a tree. It is what the sandbox says: names are checked to be below
/// their root and sizes to be kept, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The next file.
    Entry(Entry),
    /// Bytes of the last file.
    Content(Vec<u8>),
}

impl Receiving {
    pub(crate) fn new(call: Call) -> Self {
        Self { call, left: 0 }
    }

    /// What comes next; [`None`] when all is there.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallError::Unexpected`] also where files are not what was announced.
    pub async fn next(&mut self) -> Result<Option<Received>, CallError> {
        loop {
            return match self.call.next().await? {
                Some(ToClient::Entry(entry)) if self.left == 0 && is_below(&entry.path.0) => {
                    self.left = match entry.kind {
                        EntryKind::File => entry.size,
                        EntryKind::Directory | EntryKind::Link => 0,
                    };
                    Ok(Some(Received::Entry(entry)))
                }
                Some(ToClient::Data(Channel::Stdout, bytes)) => {
                    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    self.left = self.left.checked_sub(count).ok_or(CallError::Unexpected)?;
                    Ok(Some(Received::Content(bytes)))
                }
                Some(ToClient::Eof(_)) => continue,
                Some(ToClient::Done(_)) | None if self.left == 0 => Ok(None),
                _ => Err(CallError::Unexpected),
            };
        }
    }
}

/// Whether a path names its root or something below it.
fn is_below(path: &[u8]) -> bool {
    path.is_empty()
        || path
            .split(|byte| *byte == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"", true)]
    #[case(b"a/b", true)]
    #[case(b"..a", true)]
    #[case(b"/a", false)]
    #[case(b"a/../b", false)]
    #[case(b"a//b", false)]
    #[case(b".", false)]
    #[case(b"a\0b", false)]
    fn a_path_stays_below_its_root(#[case] path: &[u8], #[case] below: bool) {
        assert_eq!(is_below(path), below);
    }
}
