//! Reads ahead in a thread of its own, so that decompressing and hashing run beside unpacking.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes in one piece.
const PIECE: usize = 256 << 10;
/// Pieces waiting at most.
const DEPTH: usize = 8;

/// The bytes of a stream that is read ahead.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spare: SyncSender<Vec<u8>>,
    present: Vec<u8>,
    position: usize,
    ended: bool,
}

/// Starts the thread; it ends with the stream, or soon after the answer is dropped.
pub fn ahead(source: impl Read + Send + 'static) -> io::Result<Ahead> {
    let (sender, pieces) = sync_channel(DEPTH);
    let (spare, spares) = sync_channel(DEPTH + 2);
    std::thread::Builder::new().name("read-ahead".into()).spawn(move || fill(source, &sender, &spares))?;
    Ok(Ahead { pieces, spare, present: Vec::new(), position: 0, ended: false })
}

fn fill(mut source: impl Read, pieces: &SyncSender<io::Result<Vec<u8>>>, spares: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = spares.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut filled = 0;
        let result = loop {
            match source.read(piece.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break Ok(()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        piece.truncate(filled);
        if filled > 0 && pieces.send(Ok(piece)).is_err() {
            return;
        }
        match result {
            Err(error) => return drop(pieces.send(Err(error))),
            Ok(()) if filled < PIECE => return drop(pieces.send(Ok(Vec::new()))),
            Ok(()) => {}
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.present.len() {
            let empty = std::mem::take(&mut self.present);
            // The thread may have ended: then nobody wants spare buffers.
            let _ = self.spare.try_send(empty);
            self.position = 0;
            match self.pieces.recv() {
                Ok(piece) => {
                    self.ended = piece.as_ref().is_ok_and(Vec::is_empty);
                    self.present = piece?;
                }
                // An empty piece marked the end before; a thread that died without one left nothing to trust.
                Err(_) if self.ended => return Ok(0),
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let rest = self.present.get(self.position..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(target), Some(bytes)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(bytes);
        }
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_errors_come_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
        let mut out = Vec::new();
        ahead(io::Cursor::new(bytes.clone())).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == bytes);
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no"))
            }
        }
        let mut failing = ahead(io::Cursor::new(vec![1; 10]).chain(Failing)).unwrap();
        assert_eq!(failing.read(&mut [0; 100]).unwrap(), 10);
        assert!(failing.read(&mut [0; 1]).is_err());
        drop(ahead(io::repeat(0)).unwrap());
    }
}
