//! Bytes that come in messages, read as one stream.

use std::io::{self, Cursor, Read};

/// What is left of the message that came last.
#[derive(Debug, Default)]
pub(super) struct Piece(Cursor<Vec<u8>>);

impl Piece {
    /// Reads from it; when nothing is left, from the next one. Nothing is read when there is no next one.
    pub(super) fn read(
        &mut self,
        into: &mut [u8],
        mut next: impl FnMut() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<usize> {
        loop {
            let count = self.0.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            let Some(bytes) = next()? else { return Ok(0) };
            self.0 = Cursor::new(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pieces_do_not_end_a_stream() {
        let mut rest = vec![b"cd".to_vec(), Vec::new(), b"ab".to_vec(), Vec::new()];
        let mut piece = Piece::default();
        let mut read = |size: usize| {
            let mut into = vec![0; size];
            let count = piece.read(&mut into, || Ok(rest.pop())).expect("reads");
            into.truncate(count);
            into
        };
        assert!(read(0).is_empty());
        assert_eq!([read(1), read(3), read(2)], [b"a".to_vec(), b"b".to_vec(), b"cd".to_vec()]);
        assert!(read(1).is_empty());
    }
}
