//! Files said to be private keys, and what visitors say to an agent that has one.

use std::io::{self, Read, Write};
use std::sync::LazyLock;

use ssh_agent::{Keys, PrivateKey};

/// A key that opens nothing.
const KEY: &[u8] = include_bytes!("../../../base/ssh-agent/fixtures/ed25519");

/// Files of keys: refused, or a key that signs.
pub fn ssh_key_file(data: &[u8]) {
    let Ok(key) = PrivateKey::read(data) else { return };
    let flags = if key.name() == "ssh-rsa" { 2 } else { 0 };
    assert!(key.sign(b"data", flags).is_some(), "a key signs");
    assert_eq!(format!("{key:?}"), format!("PrivateKey({})", key.name()));
}

/// Bytes of a connection to an agent: answered with whole messages, and never so that it has other keys afterwards.
pub fn ssh_agent_connection(data: &[u8]) {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| {
        let mut keys = Keys::default();
        keys.add(PrivateKey::read(KEY).expect("a key"));
        keys
    });
    let mut visitor = Visitor { says: data, hears: Vec::new() };
    let _ = KEYS.serve(&mut visitor);
    let mut heard = &visitor.hears[..];
    while !heard.is_empty() {
        let (length, rest) = heard.split_at_checked(4).expect("a length");
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let (message, rest) = rest.split_at_checked(length).expect("a whole message");
        match message {
            [5] | [14, ..] => {}
            [12, 0, 0, 0, 1, ..] => {}
            other => panic!("no answer of an agent: {other:?}"),
        }
        heard = rest;
    }
}

struct Visitor<'a> {
    says: &'a [u8],
    hears: Vec<u8>,
}

impl Read for Visitor<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.says.read(to)
    }
}

impl Write for Visitor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hears.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{damage, damage_so_often};

    #[test]
    fn files_of_keys() {
        let pkcs1 = include_bytes!("../../../base/ssh-agent/fixtures/rsa.pkcs1");
        let sec1 = include_bytes!("../../../base/ssh-agent/fixtures/ecdsa-256.sec1");
        let pkcs8 = include_bytes!("../../../base/ssh-agent/fixtures/ecdsa-384.pkcs8");
        let rsa = include_bytes!("../../../base/ssh-agent/fixtures/rsa");
        damage_so_often(1_000, &[KEY, sec1, pkcs8], ssh_key_file);
        damage_so_often(100, &[pkcs1, rsa], ssh_key_file);
    }

    #[test]
    fn connections_to_an_agent() {
        let key = PrivateKey::read(KEY).expect("a key");
        let string =
            |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat();
        let sign = [&[13], &string(key.public())[..], &string(b"data"), &[0; 4]].concat();
        let add =
            [&[17], &string(b"ssh-ed25519")[..], &string(&[1; 32]), &string(&[1; 64]), &string(b"")].concat();
        let lock = [&[22], &string(b"passphrase")[..]].concat();
        let messages: [&[u8]; 6] = [&[11], &sign, &add, &[19], &lock, &[11]];
        damage(&[&messages.map(string).concat()], ssh_agent_connection);
    }
}
