//! OpenSSH's own format of private keys (openssh-key-v1, PROTOCOL.key).

use ring::signature::Ed25519KeyPair;

use crate::error::KeyError;
use crate::private_key::{Curve, PrivateKey};
use crate::wire::Reader;

/// What such a key begins with.
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// The private part is filled up to a multiple of this when it is not encrypted.
const BLOCK: usize = 8;

const SHORT: KeyError = KeyError::Damaged("it ends too early");

/// Reads the bytes between the armour's lines.
pub(crate) fn read(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(KeyError::Damaged("it does not begin as one of OpenSSH"))?;
    let mut reader = Reader(rest);
    let mut string = || reader.string().ok_or(SHORT);
    let (cipher, derivation, _options) = (string()?, string()?, string()?);
    if (cipher, derivation) != (b"none", b"none") {
        return Err(KeyError::Encrypted);
    }
    if reader.number().ok_or(SHORT)? != 1 {
        return Err(KeyError::Damaged("it is not one key"));
    }
    let public = reader.string().ok_or(SHORT)?;
    let private = reader.string().ok_or(SHORT)?;
    if !reader.is_empty() {
        return Err(KeyError::Damaged("something follows it"));
    }
    let key = private_part(private)?;
    if key.public() != public {
        return Err(KeyError::Damaged("it has the public part of another key"));
    }
    Ok(key)
}

fn private_part(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader(bytes);
    let checks = (reader.number().ok_or(SHORT)?, reader.number().ok_or(SHORT)?);
    if checks.0 != checks.1 || !bytes.len().is_multiple_of(BLOCK) {
        return Err(KeyError::Damaged("its private part is not whole"));
    }
    let key = match reader.string().ok_or(SHORT)? {
        b"ssh-ed25519" => ed25519(&mut reader)?,
        b"ssh-rsa" => rsa(&mut reader)?,
        name => match Curve::ALL.into_iter().find(|curve| curve.name().as_bytes() == name) {
            Some(curve) => ecdsa(curve, &mut reader)?,
            None => return Err(unknown(name)),
        },
    };
    let _comment = reader.string().ok_or(SHORT)?;
    let is_filling = |(at, byte): (usize, &u8)| usize::from(*byte) == at + 1;
    if !reader.0.iter().enumerate().all(is_filling) {
        return Err(KeyError::Damaged("it ends otherwise than keys do"));
    }
    Ok(key)
}

/// A kind of key by its name, if that can be shown to people.
fn unknown(name: &[u8]) -> KeyError {
    let is_name = |name: &&str| {
        !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match std::str::from_utf8(name).ok().filter(is_name) {
        Some(name) => KeyError::Type(name.to_owned()),
        None => KeyError::Damaged("the name of its kind is none"),
    }
}

fn ed25519(reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    let inconsistent = KeyError::Damaged("its two parts do not belong together");
    let public = reader.string().ok_or(SHORT)?;
    let both = reader.string().ok_or(SHORT)?;
    let (seed, again) = both.split_at_checked(32).ok_or_else(|| inconsistent.clone())?;
    if public != again {
        return Err(inconsistent);
    }
    Ed25519KeyPair::from_seed_and_public_key(seed, public).map(PrivateKey::ed25519).map_err(|_| inconsistent)
}

fn rsa(reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    let mut number = || reader.big_number().ok_or(SHORT);
    let (n, e, d, inverse, p, q) = (number()?, number()?, number()?, number()?, number()?, number()?);
    PrivateKey::rsa_of([n, e, d, p, q, inverse])
}

fn ecdsa(curve: Curve, reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    if reader.string().ok_or(SHORT)? != curve.short() {
        return Err(KeyError::Damaged("it names two curves"));
    }
    let point = reader.string().ok_or(SHORT)?;
    let number = reader.big_number().ok_or(SHORT)?;
    PrivateKey::ecdsa_of(curve, number, point)
}
