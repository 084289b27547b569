//! Keys that sign and verify tokens: read from PEM files only, never from a token.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// Object identifiers, as they are encoded.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Es256,
    Rs256,
    EdDsa,
}

impl Method {
    /// The method of a token's `alg`; `none` and shared secrets are no methods.
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EdDsa => &ED25519,
        }
    }
}

/// A key that verifies.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    method: Method,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// The keys of a PEM file: `PUBLIC KEY` and `CERTIFICATE` sections.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>, String> {
        let failed = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut keys = Vec::new();
        for section in SubjectPublicKeyInfoDer::pem_slice_iter(&text) {
            let section = section.map_err(|error| failed(error.to_string()))?;
            keys.push(Self::from_der(&section).ok_or_else(|| failed("unknown kind of key".to_owned()))?);
        }
        for section in CertificateDer::pem_slice_iter(&text) {
            let section = section.map_err(|error| failed(error.to_string()))?;
            let key = key_of_certificate(&section).and_then(Self::from_der);
            keys.push(key.ok_or_else(|| failed("unknown kind of key".to_owned()))?);
        }
        if keys.is_empty() { Err(failed("no key in it".to_owned())) } else { Ok(keys) }
    }

    /// A SubjectPublicKeyInfo (RFC 5280 4.1).
    fn from_der(der: &[u8]) -> Option<Self> {
        let mut info = Der(Der(der).expect(SEQUENCE)?);
        let mut algorithm = Der(info.expect(SEQUENCE)?);
        let kind = algorithm.expect(OBJECT)?;
        let method = match kind {
            RSA => Method::Rs256,
            ED => Method::EdDsa,
            EC if algorithm.expect(OBJECT)? == P256 => Method::Es256,
            _ => return None,
        };
        // The first byte of a bit string counts unused bits.
        let (unused, bytes) = info.expect(BIT_STRING)?.split_first()?;
        (*unused == 0).then(|| Self { method, bytes: bytes.to_vec() })
    }

    /// Whether this key made a signature, by the method that a token names.
    pub(crate) fn verifies(&self, method: Method, message: &[u8], signature: &[u8]) -> bool {
        self.method == method
            && UnparsedPublicKey::new(method.algorithm(), &self.bytes).verify(message, signature).is_ok()
    }
}

/// The key of a certificate (RFC 5280 4.1): the seventh field of what is signed, the version being optional.
fn key_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut certificate = Der(Der(der).expect(SEQUENCE)?);
    let mut signed = Der(certificate.expect(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        signed.next()?;
    }
    let before = signed.0;
    signed.next()?;
    before.get(..before.len() - signed.0.len())
}

/// Reads tagged values one after another.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(*short), rest),
            0x81 | 0x82 => {
                let count = usize::from(first - 0x80);
                let (digits, rest) = rest.split_at_checked(count)?;
                (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'d [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, value)| value)
    }
}

/// The key that signs our own tokens (ES256).
pub(crate) struct SigningKey(EcdsaKeyPair);

impl SigningKey {
    /// Reads a PKCS #8 key of curve P-256; a missing file is made, with mode 0600.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let failed = |why: String| format!("{}: {why}", path.display());
        let document = match std::fs::read(path) {
            Ok(text) => PrivatePkcs8KeyDer::from_pem_slice(&text)
                .map_err(|error| failed(error.to_string()))?
                .secret_pkcs8_der()
                .to_vec(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path).map_err(failed)?,
            Err(error) => return Err(failed(error.to_string())),
        };
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &SystemRandom::new())
            .map(Self)
            .map_err(|error| failed(error.to_string()))
    }

    /// The key that verifies what this one signs.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey { method: Method::Es256, bytes: self.0.public_key().as_ref().to_vec() }
    }

    /// The signature of a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
    }
}

fn make(path: &Path) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|error| error.to_string())?;
    let body = base64::engine::general_purpose::STANDARD.encode(document.as_ref());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    store::file::replace(path, text.as_bytes(), store::Durability::Durable)
        .map_err(|error| model::error::chain(&error))?;
    Ok(document.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_keys_are_no_keys() {
        let good = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03][..], ED, &[0x03, 0x21, 0x00], &[7; 32]].concat();
        assert!(PublicKey::from_der(&good).is_some());
        for end in 0..good.len() {
            assert!(PublicKey::from_der(good.get(..end).unwrap()).is_none(), "{end}");
            assert!(key_of_certificate(good.get(..end).unwrap()).is_none(), "{end}");
        }
        assert!(Der(&[0x30, 0x84, 1, 1, 1, 1]).next().is_none());
    }

    #[test]
    fn a_made_key_signs_and_is_found_again() {
        let path = std::env::temp_dir().join(format!("wharf-registry-key-{}.pem", std::process::id()));
        let first = SigningKey::open(&path).unwrap();
        let second = SigningKey::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let signature = first.sign(b"message").unwrap();
        assert!(second.public().verifies(Method::Es256, b"message", &signature));
        assert!(!second.public().verifies(Method::Es256, b"massage", &signature));
        assert!(!second.public().verifies(Method::EdDsa, b"message", &signature));
    }
}
