//! What is found at an address, by its content.

use std::io::{self, Read};

use oci::Digest;
use oci::digest::{Algorithm, Digester};
use serde_json::{Value, json};

/// Bytes read at once.
const BLOCK: usize = 128 << 10;

/// The digest of a file, or the commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// The algorithm's name.
    kind: String,
    /// What it gave, in hexadecimal digits.
    digits: String,
}

impl Checksum {
    /// Of a commit.
    pub(super) fn of_commit(commit: String) -> Self {
        Self { kind: "sha1".to_owned(), digits: commit }
    }

    /// Of a digest as people write it.
    pub(super) fn of_text(digest: &str) -> Option<Self> {
        let (kind, digits) = digest.split_once(':')?;
        Some(Self { kind: kind.to_owned(), digits: digits.to_owned() })
    }

    /// As it is in statements.
    pub(super) fn shown(&self) -> Value {
        json!({ &self.kind: self.digits })
    }
}

impl From<&Digest> for Checksum {
    fn from(digest: &Digest) -> Self {
        Self { kind: digest.algorithm().name().to_owned(), digits: digest.hex().to_owned() }
    }
}

/// A stream whose digest is told at its end.
pub(super) struct Hashed<R> {
    source: R,
    digester: Digester,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, digester: Digester::new(Algorithm::Sha256) }
    }

    /// Reads what nobody has read; the digest of all.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        self.digester.update_from(&mut self.source, BLOCK)?;
        Ok(self.digester.finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digester.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_all_whoever_reads_it() {
        let bytes = b"what is read, and what is not";
        let mut hashed = Hashed::new(&bytes[..]);
        hashed.read_exact(&mut [0; 12]).unwrap();
        let digest = hashed.finish().unwrap();
        assert_eq!(digest, Digest::of(bytes));
        assert_eq!(Checksum::of_text(digest.as_str()), Some(Checksum::from(&digest)));
        assert_eq!(Checksum::of_commit("ab".into()).shown(), json!({ "sha1": "ab" }));
    }
}
