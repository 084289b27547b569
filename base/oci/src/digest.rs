//! Content digests: `sha256:` or `sha512:` and lower-case hexadecimal digits, nothing else.

use std::fmt;
use std::io;
use std::str::FromStr;

use model::{ErrorKind, Kinded};
use serde::{Deserialize, Serialize};

/// A text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:digits`.
    #[error("invalid checksum digest format")]
    Format,
    /// Another algorithm than sha256 and sha512.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// Too few or too many digits.
    #[error("invalid checksum digest length")]
    Length,
}

impl Kinded for DigestError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A hash function used for content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The usual one.
    Sha256,
    /// Its longer sister.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A verified-form digest, kept as its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The sha256 digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(bytes);
        digester.finish()
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    /// The digits after the colon.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The first twelve digits, the form people see.
    pub fn short(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }

    /// Where a blob of this digest lies in an image layout.
    pub fn blob_path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm().name(), self.hex())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) = text.split_once(':').ok_or(DigestError::Format)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::Algorithm),
        };
        if !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        if digits.len() != algorithm.digits() {
            return Err(DigestError::Length);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Hashes content piece by piece.
#[derive(Clone)]
pub struct Digester {
    algorithm: Algorithm,
    context: ring::digest::Context,
}

impl Digester {
    /// A fresh one.
    pub fn new(algorithm: Algorithm) -> Self {
        let function = match algorithm {
            Algorithm::Sha256 => &ring::digest::SHA256,
            Algorithm::Sha512 => &ring::digest::SHA512,
        };
        Self { algorithm, context: ring::digest::Context::new(function) }
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// Adds what is left of a source, read in blocks of so many bytes at most; how much that was.
    ///
    /// # Errors
    /// What reading gives.
    pub fn update_from(&mut self, source: &mut impl io::Read, block: usize) -> io::Result<u64> {
        let mut block = vec![0; block.max(1)];
        let mut size = 0;
        loop {
            match source.read(&mut block) {
                Ok(0) => return Ok(size),
                Ok(count) => {
                    self.update(block.get(..count).unwrap_or_default());
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        let hash = self.context.finish();
        Digest(format!("{}:{}", self.algorithm.name(), model::id::hex(hash.as_ref())))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Digester({})", self.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        let digest: Digest = empty.parse().unwrap();
        assert_eq!((digest.algorithm(), digest.short()), (Algorithm::Sha256, "e3b0c44298fc"));
        let long = format!("sha512:{}", "ab".repeat(64));
        assert_eq!(long.parse::<Digest>().unwrap().algorithm(), Algorithm::Sha512);
        for (text, error) in [
            ("", DigestError::Format),
            ("abc", DigestError::Format),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::Algorithm),
            ("sha256:abc", DigestError::Length),
            (&empty.to_uppercase().replace("SHA256", "sha256"), DigestError::Format),
            ("sha256:../../etc/passwd", DigestError::Format),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
        assert!(serde_json::from_str::<Digest>("\"sha256:1\"").is_err());
    }
}
