//! Opening the gate of a created container from another process.

use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::report::{self, Message};
use crate::step::Step;

/// Lets a container's command run through a connection to its gate's socket, and waits until it does.
pub fn open(connection: impl AsFd) -> Result<()> {
    linux::descriptor::send(&connection, &[1], &[]).map_err(Error::system(Step::Channel, ""))?;
    started(connection)
}

/// Waits until the command runs: the other side then closes without a word.
pub(crate) fn started(connection: impl AsFd) -> Result<()> {
    match report::receive(connection).map_err(Error::system(Step::Channel, ""))? {
        Message::Failed(failure) if failure.step == Step::Hook => Err(Error::Hook {
            kind: "startContainer",
            number: usize::try_from(failure.index).unwrap_or_default(),
            reason: linux::errno::text(failure.errno).to_owned(),
        }),
        Message::Failed(failure) => {
            Err(Error::Setup { step: failure.step, subject: failure.subject, errno: failure.errno })
        }
        _ => Ok(()),
    }
}
