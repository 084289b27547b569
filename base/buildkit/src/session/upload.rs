//! Bytes the client holds: a Dockerfile or a context that came from its stdin.

use std::io::{self, Read};

use grpc::{Cancellation, Metadata, Status};

use super::{Session, Under};
use crate::services::{BytesMessage, method};

/// The host in addresses that mean bytes of the session: `http://buildkit-session/ID`.
pub const HOST: &str = "buildkit-session";

/// The bytes, as they come. Each address can be read once.
#[derive(Debug)]
pub struct Upload {
    under: Under,
    piece: Vec<u8>,
    read: usize,
}

impl Session {
    /// Starts reading what an address of the session means; `path` is the address's path.
    ///
    /// # Errors
    /// When the client does not serve that. Whether it knows the path shows when reading.
    pub fn upload(&self, path: &str, until: &Cancellation) -> Result<Upload, Status> {
        let metadata = Metadata::new().with("urlpath", path);
        let under = self.start(method::PULL, metadata, until)?;
        Ok(Upload { under, piece: Vec::new(), read: 0 })
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            let Some(next) = self.under.call.inbound.recv::<BytesMessage>().map_err(io::Error::other)? else {
                return Ok(0);
            };
            (self.piece, self.read) = (next.data, 0);
        }
        let left = &self.piece[self.read..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.read += count;
        Ok(count)
    }
}
