//! Bytes the client holds: a Dockerfile or a context that came from its stdin.

use std::io::{self, Read};

use grpc::{Cancellation, Metadata, Status};

use super::pieces::Piece;
use super::{Session, Under};
use crate::services::{BytesMessage, method};

/// The host in addresses that mean bytes of the session: `http://buildkit-session/ID`.
pub const HOST: &str = "buildkit-session";

/// The bytes, as they come. Each address can be read once.
#[derive(Debug)]
pub struct Upload {
    under: Under,
    piece: Piece,
}

impl Session {
    /// Starts reading what an address of the session means; `path` is the address's path.
    ///
    /// # Errors
    /// When the client does not serve that. Whether it knows the path shows when reading.
    pub fn upload(&self, path: &str, until: &Cancellation) -> Result<Upload, Status> {
        let metadata = Metadata::new().with("urlpath", path);
        let under = self.start(method::PULL, metadata, until)?;
        Ok(Upload { under, piece: Piece::default() })
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let inbound = &mut self.under.call.inbound;
        self.piece.read(into, || {
            let next = inbound.recv::<BytesMessage>().map_err(io::Error::other)?;
            Ok(next.map(|next| next.data))
        })
    }
}
