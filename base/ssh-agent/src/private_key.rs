//! A private key: what others may know of it, and what it signs.

use std::fmt;

use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};

use crate::error::KeyError;
use crate::wire::{put_big_number, put_string};

/// The flag of a request that wants RSA with SHA-256 (draft-miller-ssh-agent, signature flags).
const WITH_SHA256: u32 = 2;
/// The flag of a request that wants RSA with SHA-512.
const WITH_SHA512: u32 = 4;
const WITH_EITHER: u32 = WITH_SHA256 | WITH_SHA512;

/// A private key of ssh's.
pub struct PrivateKey {
    pair: Pair,
    public: Vec<u8>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    Ecdsa(Curve, Box<EcdsaKeyPair>),
}

/// A curve ssh knows for ECDSA and we can calculate on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({})", self.name())
    }
}

impl PrivateKey {
    /// The name of its kind (RFC 4253, section 6.6; RFC 5656; RFC 8709).
    pub fn name(&self) -> &'static str {
        match &self.pair {
            Pair::Ed25519(_) => "ssh-ed25519",
            Pair::Rsa(_) => "ssh-rsa",
            Pair::Ecdsa(curve, _) => curve.name(),
        }
    }

    /// The public key, as messages have it.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs; the signature with the name of its kind before it. `None` when the flags ask for what there is not: with RSA
    /// that is a signature without flags, which is one with SHA-1.
    pub fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let (name, signature) = match &self.pair {
            Pair::Rsa(pair) => sign_with_rsa(pair, data, flags)?,
            _ if flags != 0 => return None,
            Pair::Ed25519(pair) => (self.name(), pair.sign(data).as_ref().to_vec()),
            Pair::Ecdsa(_, pair) => {
                let signature = pair.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                let mut numbers = Vec::new();
                put_big_number(&mut numbers, r);
                put_big_number(&mut numbers, s);
                (self.name(), numbers)
            }
        };
        let mut blob = Vec::new();
        put_string(&mut blob, name.as_bytes());
        put_string(&mut blob, &signature);
        Some(blob)
    }

    pub(crate) fn ed25519(pair: Ed25519KeyPair) -> Self {
        let public = strings(&[b"ssh-ed25519", pair.public_key().as_ref()]);
        Self { pair: Pair::Ed25519(pair), public }
    }

    /// The key of what has been read. Whether all of its numbers belong together shows in a signature only.
    pub(crate) fn rsa(pair: Result<RsaKeyPair, KeyRejected>) -> Result<Self, KeyError> {
        let inconsistent = KeyError::Damaged("its numbers do not belong together");
        let pair = pair.map_err(|_| inconsistent.clone())?;
        sign_with_rsa(&pair, b"", WITH_SHA256).ok_or(inconsistent)?;
        let components = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let mut public = strings(&[b"ssh-rsa"]);
        put_big_number(&mut public, &components.e);
        put_big_number(&mut public, &components.n);
        Ok(Self { pair: Pair::Rsa(Box::new(pair)), public })
    }

    /// The key of all its numbers; `n`, `e`, `d`, `p`, `q` and the inverse of `q`, as ssh has them.
    pub(crate) fn rsa_of([n, e, d, p, q, inverse]: [&[u8]; 6]) -> Result<Self, KeyError> {
        rsa_fits(n, e)?;
        if [e, d, p, q, inverse].iter().any(|number| number.is_empty() || number.len() > n.len()) {
            return Err(KeyError::Damaged("its numbers are of different sizes"));
        }
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n, e },
            d,
            p,
            q,
            dP: &remainder_of_predecessor(d, p)[..],
            dQ: &remainder_of_predecessor(d, q)[..],
            qInv: inverse,
        };
        Self::rsa(RsaKeyPair::from_components(&components))
    }

    /// The key of a curve; the private number as it comes, the point uncompressed.
    pub(crate) fn ecdsa_of(curve: Curve, number: &[u8], point: &[u8]) -> Result<Self, KeyError> {
        let inconsistent = KeyError::Damaged("its number and its point do not belong together");
        let mut padded = vec![0; curve.bytes().saturating_sub(number.len())];
        padded.extend_from_slice(number);
        let random = SystemRandom::new();
        EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm(), &padded, point, &random)
            .map(|pair| Self::ecdsa(curve, pair))
            .map_err(|_| inconsistent)
    }

    pub(crate) fn ecdsa(curve: Curve, pair: EcdsaKeyPair) -> Self {
        let public = strings(&[curve.name().as_bytes(), curve.short(), pair.public_key().as_ref()]);
        Self { pair: Pair::Ecdsa(curve, Box::new(pair)), public }
    }
}

impl Curve {
    pub(crate) const ALL: [Self; 2] = [Self::P256, Self::P384];

    /// The name of keys on it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "ecdsa-sha2-nistp256",
            Self::P384 => "ecdsa-sha2-nistp384",
        }
    }

    /// Its own name.
    pub(crate) fn short(self) -> &'static [u8] {
        match self {
            Self::P256 => b"nistp256",
            Self::P384 => b"nistp384",
        }
    }

    /// Bytes of a number.
    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

/// Refuses numbers that cannot be calculated with; both without leading zeros.
pub(crate) fn rsa_fits(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyError> {
    let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(KeyError::Size { bits });
    }
    if exponent.len() < 3 {
        return Err(KeyError::Type("ssh-rsa with an exponent below 65537".into()));
    }
    Ok(())
}

fn sign_with_rsa(pair: &RsaKeyPair, data: &[u8], flags: u32) -> Option<(&'static str, Vec<u8>)> {
    let (name, padding): (_, &dyn RsaEncoding) = match flags {
        // Who takes either gets this one, as from OpenSSH's agent.
        WITH_SHA256 | WITH_EITHER => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
        WITH_SHA512 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
        _ => return None,
    };
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
    Some((name, signature))
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    let mut to = Vec::new();
    all.iter().for_each(|bytes| put_string(&mut to, bytes));
    to
}

/// `number` modulo `odd - 1`, bit by bit. The time this takes depends on the key, but nobody who could measure it is
/// there yet: keys are read before a builder is spoken to.
fn remainder_of_predecessor(number: &[u8], odd: &[u8]) -> Vec<u8> {
    let mut modulus = [&[0], odd].concat();
    if let Some(last) = modulus.last_mut() {
        *last &= 0xfe;
    }
    let mut remainder = vec![0_u8; modulus.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for byte in remainder.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if remainder >= modulus {
            let mut borrow = false;
            for (byte, less) in remainder.iter_mut().zip(&modulus).rev() {
                let (once, first) = byte.overflowing_sub(*less);
                let (twice, second) = once.overflowing_sub(u8::from(borrow));
                (*byte, borrow) = (twice, first || second);
            }
        }
    }
    crate::wire::without_zeros(&remainder).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders() {
        let number = 0x0123_4567_89ab_cdef_u64;
        for odd in [3_u64, 257, 65_537, 0xffff_ffff, 0x0123_4567_89ab_cdef, u64::MAX] {
            let got = remainder_of_predecessor(&number.to_be_bytes(), &odd.to_be_bytes());
            let got = got.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(got, number % (odd - 1), "modulo {odd} - 1");
        }
    }

    #[test]
    fn only_some_sizes_of_rsa() {
        let usual = [1, 0, 1];
        assert_eq!(rsa_fits(&[0x80; 256], &usual), Ok(()));
        assert_eq!(rsa_fits(&[0x40; 256], &usual), Err(KeyError::Size { bits: 2047 }));
        assert_eq!(rsa_fits(&[0x80; 1024], &usual), Err(KeyError::Size { bits: 8192 }));
        assert_eq!(rsa_fits(&[], &usual), Err(KeyError::Size { bits: 0 }));
        assert!(matches!(rsa_fits(&[0x80; 256], &[3]), Err(KeyError::Type(_))));
    }
}
