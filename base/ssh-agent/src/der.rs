//! The few things in DER that have to be known of keys from other programs (RFC 5915, RFC 5958, RFC 8017).

use crate::error::KeyError;
use crate::private_key::{Curve, PrivateKey, rsa_fits};
use crate::wire::without_zeros;

use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const BYTES: u8 = 0x04;
const NAME: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

/// 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.3.101.112.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.10045.2.1.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34.
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35.
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

const NOT_DER: KeyError = KeyError::Damaged("it is not made as its first line says");

/// A key of PKCS#1.
pub(crate) fn rsa(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut all = Reader(bytes).only(SEQUENCE)?;
    all.item(INTEGER)?;
    let (modulus, exponent) = (all.item(INTEGER)?, all.item(INTEGER)?);
    rsa_fits(without_zeros(modulus), without_zeros(exponent))?;
    PrivateKey::rsa(RsaKeyPair::from_der(bytes))
}

/// A key of SEC 1: a number, its curve, its point.
pub(crate) fn elliptic(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut all = Reader(bytes).only(SEQUENCE)?;
    all.item(INTEGER)?;
    let number = all.item(BYTES)?;
    let curve = curve(Reader(all.item(FIRST)?).only_bytes(NAME)?)?;
    let bits = Reader(all.item(SECOND)?).only_bytes(BITS)?;
    let point = bits.strip_prefix(&[0]).ok_or(NOT_DER)?;
    PrivateKey::ecdsa_of(curve, number, point)
}

/// A key of PKCS#8, which says itself what it is.
pub(crate) fn any(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut all = Reader(bytes).only(SEQUENCE)?;
    all.item(INTEGER)?;
    let mut kind = Reader(all.item(SEQUENCE)?);
    match kind.item(NAME)? {
        RSA => rsa(all.item(BYTES)?),
        ED25519 => {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map(PrivateKey::ed25519).map_err(|_| NOT_DER)
        }
        ECDSA => {
            let curve = curve(kind.item(NAME)?)?;
            EcdsaKeyPair::from_pkcs8(curve.algorithm(), bytes, &SystemRandom::new())
                .map(|pair| PrivateKey::ecdsa(curve, pair))
                .map_err(|_| NOT_DER)
        }
        _ => Err(KeyError::Type("of this PKCS#8 file".into())),
    }
}

fn curve(name: &[u8]) -> Result<Curve, KeyError> {
    match name {
        P256 => Ok(Curve::P256),
        P384 => Ok(Curve::P384),
        P521 => Err(KeyError::Type("ecdsa-sha2-nistp521".into())),
        _ => Err(KeyError::Type("of this elliptic curve".into())),
    }
}

/// Items one after the other, of lengths below 64 KiB.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next item, which has to have this tag.
    fn item(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let (length, rest) = match *self.0 {
            [found, ref rest @ ..] if found == tag => length(rest),
            _ => None,
        }
        .ok_or(NOT_DER)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(NOT_DER)?;
        self.0 = rest;
        Ok(content)
    }

    /// The content of an item after which nothing comes.
    fn only_bytes(mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let content = self.item(tag)?;
        if self.0.is_empty() { Ok(content) } else { Err(NOT_DER) }
    }

    fn only(self, tag: u8) -> Result<Self, KeyError> {
        self.only_bytes(tag).map(Self)
    }
}

/// A length and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [short @ ..=0x7f, ref rest @ ..] => Some((short.into(), rest)),
        [0x81, long, ref rest @ ..] => Some((long.into(), rest)),
        [0x82, high, low, ref rest @ ..] => Some((u16::from_be_bytes([high, low]).into(), rest)),
        _ => None,
    }
}
