//! Opening the gate of a created container from another process.

use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::step::Step;

/// Lets a container's command run through a connection to its gate's socket, and waits until it does.
pub fn open(connection: impl AsFd) -> Result<()> {
    linux::descriptor::send(&connection, &[1], &[]).map_err(Error::system(Step::Channel, ""))?;
    let mut byte = [0; 1];
    linux::descriptor::receive(&connection, &mut byte, drop).map_err(Error::system(Step::Channel, ""))?;
    Ok(())
}
