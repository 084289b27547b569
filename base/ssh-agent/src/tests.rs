//! Keys of all formats, good and broken; conversations with the agent, polite and hostile.

use std::io::{Cursor, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::wire::{Reader, put_big_number, put_number, put_string};
use crate::{KeyError, Keys, LONGEST_FILE, PrivateKey, guard};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name))
    };
}

/// Every key that can be read, with its public half as OpenSSH wrote it.
const GOOD: [(&str, &str); 8] = [
    (fixture!("ed25519"), fixture!("ed25519.pub")),
    (fixture!("rsa"), fixture!("rsa.pub")),
    (fixture!("rsa.pkcs1"), fixture!("rsa.pub")),
    (fixture!("rsa.pkcs8"), fixture!("rsa.pub")),
    (fixture!("ecdsa-256"), fixture!("ecdsa-256.pub")),
    (fixture!("ecdsa-256.sec1"), fixture!("ecdsa-256.pub")),
    (fixture!("ecdsa-384"), fixture!("ecdsa-384.pub")),
    (fixture!("ecdsa-384.pkcs8"), fixture!("ecdsa-384.pub")),
];

fn read(file: &str) -> PrivateKey {
    PrivateKey::read(file.as_bytes()).expect("a key")
}

fn refused(file: &str) -> String {
    PrivateKey::read(file.as_bytes()).expect_err("no key").to_string()
}

/// The bytes in the armour, and the armour's first and last line.
fn opened(file: &str) -> (Vec<u8>, &str, &str) {
    let lines: Vec<&str> = file.lines().collect();
    let [first, body @ .., last] = &lines[..] else { panic!("no armour") };
    (STANDARD.decode(body.concat()).expect("base64"), first, last)
}

fn armoured(bytes: &[u8], (first, last): (&str, &str)) -> String {
    format!("{first}\n{}\n{last}\n", STANDARD.encode(bytes))
}

/// An agent with all keys of the fixtures.
fn keys() -> Keys {
    let mut keys = Keys::default();
    GOOD.iter().for_each(|(file, _)| keys.add(read(file)));
    keys
}

/// What the agent answers to these bytes of a connection, and whether the connection was in order.
fn answers(keys: &Keys, bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    struct Visitor<'a>(Cursor<&'a [u8]>, Vec<u8>);
    impl std::io::Read for Visitor<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(to)
        }
    }
    impl std::io::Write for Visitor<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut visitor = Visitor(Cursor::new(bytes), Vec::new());
    let is_in_order = keys.serve(&mut visitor).is_ok();
    let mut reader = Reader(&visitor.1);
    let answers = std::iter::from_fn(|| reader.string().map(<[u8]>::to_vec)).collect();
    assert!(reader.is_empty(), "whole messages only");
    (answers, is_in_order)
}

fn answer(keys: &Keys, message: &[u8]) -> Vec<u8> {
    let (mut answers, is_in_order) = answers(keys, &framed(message));
    assert!(is_in_order && answers.len() == 1, "{answers:?}");
    answers.remove(0)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_string(&mut bytes, message);
    bytes
}

fn request(public: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    let mut message = vec![13];
    put_string(&mut message, public);
    put_string(&mut message, data);
    message.extend(flags.to_be_bytes());
    message
}

#[test]
fn keys_are_read_in_every_format() {
    for (file, public) in GOOD {
        let key = read(file);
        let mut words = public.split_whitespace();
        assert_eq!(words.next(), Some(key.name()));
        assert_eq!(words.next(), Some(STANDARD.encode(key.public()).as_str()));
    }
    // Lines of another system, and what programs put before a key.
    let (file, _) = GOOD[5];
    let untidy =
        format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\n{file}");
    assert_eq!(read(&untidy.replace('\n', "\r\n")).public(), read(file).public());
}

#[test]
fn keys_of_other_programs_are_read() {
    let random = ring::rand::SystemRandom::new();
    let marks = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    let file = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    assert_eq!(read(&armoured(file.as_ref(), marks)).name(), "ssh-ed25519");
    let file = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
    assert_eq!(read(&armoured(file.as_ref(), marks)).name(), "ecdsa-sha2-nistp256");
}

#[test]
fn a_number_with_zeros_before_it_is_a_key_all_the_same() {
    // The scalar 1, whose point is the curve's own.
    let base = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let mut point = vec![4];
    point.extend((0..64).map(|at| u8::from_str_radix(&base[at * 2..at * 2 + 2], 16).expect("hexadecimal")));
    let key = PrivateKey::ecdsa_of(crate::private_key::Curve::P256, &[1], &point).expect("a key");
    assert!(key.public().ends_with(&point));
}

#[test]
fn what_is_no_key_says_why() {
    let with = "ssh: this private key is passphrase protected: add it to an agent with ssh-add and give the agent's socket";
    for file in [fixture!("encrypted"), fixture!("encrypted.sec1"), fixture!("encrypted.pkcs8")] {
        assert_eq!(refused(file), with);
    }
    for file in
        ["", "hello\n", fixture!("rsa.pub"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
    {
        assert_eq!(refused(file), "ssh: no key found");
    }
    assert_eq!(PrivateKey::read(&[0xff; 9]).err(), Some(KeyError::NoKey));
    let unknown = "ssh: unhandled key type ecdsa-sha2-nistp521: add it to an agent with ssh-add and give the agent's socket";
    assert_eq!(refused(fixture!("ecdsa-521")), unknown);
    let dsa = "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
    assert!(refused(dsa).starts_with("ssh: unhandled key type ssh-dss: "), "{}", refused(dsa));
    let long = format!("{}{}", fixture!("rsa"), " ".repeat(LONGEST_FILE));
    assert_eq!(refused(&long), "ssh: a private key has no more than 102400 bytes");
    assert!(PrivateKey::read(&long.as_bytes()[..LONGEST_FILE]).is_ok());
}

#[test]
fn halves_of_two_keys_are_none() {
    let marks = ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----");
    let (bytes, ..) = opened(fixture!("ed25519"));
    let public = read(fixture!("ed25519")).public().to_vec();
    let at = bytes.windows(32).position(|part| public.ends_with(part)).expect("the public half");
    let mut other = bytes.clone();
    other[at] ^= 1;
    assert_eq!(
        refused(&armoured(&other, marks)),
        "ssh: the private key is damaged: it has the public part of another key"
    );
    let mut twice = bytes;
    twice.push(0);
    assert_eq!(refused(&armoured(&twice, marks)), "ssh: the private key is damaged: something follows it");
}

#[test]
fn a_key_that_could_not_sign_is_none() {
    let damaged = "ssh: the private key is damaged: its numbers do not belong together";
    for file in [fixture!("rsa"), fixture!("rsa.pkcs1")] {
        let (bytes, first, last) = opened(file);
        // In the last third are the primes and what is reckoned from them.
        for at in (bytes.len() * 2 / 3..bytes.len() - 16).step_by(31) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let refused = refused(&armoured(&other, (first, last)));
            assert!(refused == damaged || refused.contains("ends"), "byte {at}: {refused}");
        }
    }
}

#[test]
fn a_file_that_ends_too_early_is_no_key() {
    for (file, _) in GOOD {
        let whole = file.trim_end().len();
        for length in 0..whole {
            assert!(PrivateKey::read(&file.as_bytes()[..length]).is_err(), "{length} of {whole} bytes");
        }
        let (bytes, first, last) = opened(file);
        for length in 0..bytes.len() {
            let file = armoured(&bytes[..length], (first, last));
            assert!(PrivateKey::read(file.as_bytes()).is_err(), "{length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn keys_are_listed_without_more() {
    let keys = keys();
    let mut expected = vec![12];
    put_number(&mut expected, 4);
    for (_, public) in [GOOD[0], GOOD[1], GOOD[4], GOOD[6]] {
        let public = public.split_whitespace().nth(1).expect("a blob");
        put_string(&mut expected, &STANDARD.decode(public).expect("base64"));
        put_string(&mut expected, b"");
    }
    assert_eq!(answer(&keys, &[11]), expected);
    assert_eq!(answer(&Keys::default(), &[11]), [12, 0, 0, 0, 0]);
}

/// Checks a signature the agent gives, and that it is one of this data only.
fn check(file: &str, flags: u32, name: &str, verify: impl Fn(&[u8], &[u8], &[u8]) -> bool) {
    let key = read(file);
    let answer = answer(&keys(), &request(key.public(), b"data", flags));
    let [14, blob @ ..] = &answer[..] else { panic!("no signature: {answer:?}") };
    let blob = Reader(blob).string().expect("a blob");
    let mut reader = Reader(blob);
    assert_eq!(reader.string(), Some(name.as_bytes()));
    let signature = reader.string().expect("a signature");
    assert!(reader.is_empty());
    assert!(verify(key.public(), b"data", signature), "{name}");
    assert!(!verify(key.public(), b"date", signature), "{name}");
}

fn verifies(
    algorithm: &'static dyn VerificationAlgorithm,
    public: &[u8],
    data: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, public).verify(data, signature).is_ok()
}

#[test]
fn signatures_are_what_they_say() {
    check(fixture!("ed25519"), 0, "ssh-ed25519", |public, data, signature| {
        verifies(&ED25519, &public[public.len() - 32..], data, signature)
    });
    let curves: [(_, _, &dyn VerificationAlgorithm, usize); 2] = [
        (fixture!("ecdsa-256"), "ecdsa-sha2-nistp256", &ECDSA_P256_SHA256_FIXED, 32),
        (fixture!("ecdsa-384"), "ecdsa-sha2-nistp384", &ECDSA_P384_SHA384_FIXED, 48),
    ];
    for (file, name, algorithm, size) in curves {
        check(file, 0, name, |public, data, signature| {
            let mut reader = Reader(signature);
            let mut fixed = || {
                let number = reader.big_number().expect("a number");
                [&vec![0; size - number.len()], number].concat()
            };
            let both = [fixed(), fixed()].concat();
            let point = &public[public.len() - size * 2 - 1..];
            UnparsedPublicKey::new(algorithm_of(algorithm), point).verify(data, &both).is_ok()
        });
    }
    for (flags, name, algorithm) in [
        (2, "rsa-sha2-256", &RSA_PKCS1_2048_8192_SHA256),
        (4, "rsa-sha2-512", &RSA_PKCS1_2048_8192_SHA512),
        (6, "rsa-sha2-256", &RSA_PKCS1_2048_8192_SHA256),
    ] {
        check(fixture!("rsa"), flags, name, |public, data, signature| {
            let mut reader = Reader(public);
            reader.string();
            let (e, n) = (reader.big_number().expect("e"), reader.big_number().expect("n"));
            RsaPublicKeyComponents { n, e }.verify(algorithm, data, signature).is_ok()
        });
    }
}

fn algorithm_of(algorithm: &'static dyn VerificationAlgorithm) -> &'static dyn VerificationAlgorithm {
    algorithm
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let keys = keys();
    let rsa = read(fixture!("rsa"));
    for flags in [0, 1, 8, 3, u32::MAX] {
        assert_eq!(answer(&keys, &request(rsa.public(), b"data", flags)), [5], "SHA-1, or unknown: {flags}");
    }
    assert_eq!(answer(&keys, &request(read(fixture!("ed25519")).public(), b"data", 2)), [5]);
    assert_eq!(answer(&keys, &request(b"nobody", b"data", 0)), [5]);
    assert_eq!(answer(&Keys::default(), &request(rsa.public(), b"data", 2)), [5]);
}

#[test]
fn nothing_but_listing_and_signing_is_answered() {
    let keys = keys();
    let mut identity = Vec::new();
    put_string(&mut identity, b"ssh-ed25519");
    put_big_number(&mut identity, &[1; 32]);
    for kind in (0..=255).filter(|kind| ![11, 13].contains(kind)) {
        assert_eq!(answer(&keys, &[kind]), [5], "{kind}");
        assert_eq!(answer(&keys, &[&[kind], &identity[..]].concat()), [5], "{kind}");
    }
    assert_eq!(answer(&keys, &[11]), answer(&self::keys(), &[11]), "all keys are still there");
}

#[test]
fn broken_messages_are_refused_or_end_the_connection() {
    let keys = keys();
    let public = read(fixture!("ed25519")).public().to_vec();
    let message = request(&public, b"data", 0);
    for length in 1..message.len() {
        assert_eq!(answer(&keys, &message[..length]), [5], "{length} bytes of a request");
    }
    assert_eq!(answer(&keys, &[&message[..], &[0]].concat()), [5], "and one too many");
    assert_eq!(answer(&keys, &[11, 0]), [5]);
    // A connection that breaks off in a message, after a good one.
    let bytes = framed(&message);
    for length in 1..bytes.len() {
        let (said, is_in_order) = answers(&keys, &[&framed(&[11]), &bytes[..length]].concat());
        assert_eq!((said.len(), is_in_order), (1, false), "{length} bytes of a message");
    }
    assert_eq!(answers(&keys, b"\0\0\0\0\0\0\0\x01\x0b"), (Vec::new(), false), "no message is empty");
    assert_eq!(answers(&keys, b"\0\x04\0\x01\x0b"), (Vec::new(), false), "or so long");
    assert_eq!(answers(&keys, b"\xff\xff\xff\xff\x0b"), (Vec::new(), false));
    let (said, is_in_order) = answers(&keys, &framed(&vec![0; 256 << 10]));
    assert_eq!((said, is_in_order), (vec![vec![5]], true), "the longest message there is");
}

/// One question on a connection.
fn ask(connection: &mut UnixStream, message: &[u8]) -> Vec<u8> {
    connection.write_all(&framed(message)).expect("writes");
    let mut length = [0; 4];
    connection.read_exact(&mut length).expect("reads");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut answer).expect("reads");
    answer
}

#[test]
fn a_connection_lasts_until_its_visitor_hangs_up() {
    let keys = Arc::new(keys());
    let mut first = keys.connect().expect("connects");
    let mut second = keys.connect().expect("connects");
    for _ in 0..3 {
        assert_eq!(ask(&mut first, &[11])[0], 12);
        assert_eq!(ask(&mut second, &[19]), [5]);
    }
    first.shutdown(Shutdown::Write).expect("hangs up");
    assert_eq!(first.read(&mut [0]).expect("the end"), 0);
    second.write_all(&[0xff; 4]).expect("writes");
    assert_eq!(second.read(&mut [0]).expect("the end"), 0, "of a visitor who talks nonsense");
}

#[test]
fn a_guard_lets_through_what_may_be_asked() {
    let (agent, mut behind) = UnixStream::pair().expect("a pair");
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        let mut length = [0; 4];
        while behind.read_exact(&mut length).is_ok() {
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            behind.read_exact(&mut message).expect("a message");
            behind.write_all(&framed(&[&[99], &message[..]].concat())).expect("answers");
            heard.push(message);
        }
        heard
    });
    let mut visitor = guard(agent).expect("a guard");
    for kind in 0..=255_u8 {
        let answer = ask(&mut visitor, &[kind, 7]);
        let expected = if [11, 13].contains(&kind) { vec![99, kind, 7] } else { vec![5] };
        assert_eq!(answer, expected, "{kind}");
    }
    drop(visitor);
    assert_eq!(heard.join().expect("no panic"), [[11, 7], [13, 7]], "the end comes through, too");
}

#[test]
fn a_guard_ends_with_its_agent() {
    let (agent, behind) = UnixStream::pair().expect("a pair");
    let mut visitor = guard(agent).expect("a guard");
    drop(behind);
    visitor.write_all(&framed(&[11])).expect("writes");
    assert_eq!(visitor.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn nobody_prints_a_key() {
    let text = format!("{:?}", keys());
    assert_eq!(
        text,
        "Keys([PrivateKey(ssh-ed25519), PrivateKey(ssh-rsa), PrivateKey(ecdsa-sha2-nistp256), \
         PrivateKey(ecdsa-sha2-nistp384)])"
    );
}
