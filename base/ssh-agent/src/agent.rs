//! The protocol's side of an agent: messages on a connection, and which of them are answered.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use crate::private_key::PrivateKey;
use crate::wire::{Reader, put_number, put_string};

/// Bytes of the longest message, either way; OpenSSH's limit.
const LONGEST: usize = 256 << 10;

/// "I will not."
const FAILURE: u8 = 5;
/// "What keys are there?"
const LIST: u8 = 11;
/// "These keys are there."
const KEYS: u8 = 12;
/// "Sign this with that key."
const SIGN: u8 = 13;
/// "This is the signature."
const SIGNATURE: u8 = 14;

/// Keys to lend. Whoever connects may list them and have things signed; nobody can add, remove or lock them.
#[derive(Debug, Default)]
pub struct Keys(Vec<PrivateKey>);

impl Keys {
    /// One more key, unless it is there already.
    pub fn add(&mut self, key: PrivateKey) {
        if self.named(key.public()).is_none() {
            self.0.push(key);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A connection to an agent that has these keys, which ends when the other end is closed.
    ///
    /// # Errors
    /// When no thread or socket is to be had.
    pub fn connect(self: &Arc<Self>) -> io::Result<UnixStream> {
        let keys = Arc::clone(self);
        behind(move |visitor| keys.serve(visitor))
    }

    /// Answers all messages of a visitor until it hangs up.
    ///
    /// # Errors
    /// When the connection fails, or brings what is no message.
    pub fn serve(&self, mut visitor: impl Read + Write) -> io::Result<()> {
        while let Some(message) = receive(&mut visitor)? {
            send(&mut visitor, &self.answer(&message))?;
        }
        Ok(())
    }

    fn answer(&self, message: &[u8]) -> Vec<u8> {
        match message {
            [LIST] => self.list(),
            [SIGN, request @ ..] => self.signature(request).unwrap_or_else(|| vec![FAILURE]),
            _ => vec![FAILURE],
        }
    }

    /// All public keys. Their comments stay here: they often tell a person's name and machine.
    fn list(&self) -> Vec<u8> {
        let mut answer = vec![KEYS];
        put_number(&mut answer, self.0.len());
        for key in &self.0 {
            put_string(&mut answer, key.public());
            put_string(&mut answer, b"");
        }
        answer
    }

    fn signature(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader(request);
        let (public, data, flags) = (reader.string()?, reader.string()?, reader.number()?);
        if !reader.is_empty() {
            return None;
        }
        let mut answer = vec![SIGNATURE];
        put_string(&mut answer, &self.named(public)?.sign(data, flags)?);
        Some(answer)
    }

    fn named(&self, public: &[u8]) -> Option<&PrivateKey> {
        self.0.iter().find(|key| key.public() == public)
    }
}

/// A connection to somebody's agent that lets through what [`Keys`] answers, too, and refuses everything else: a stranger
/// must not remove the user's keys, lock them, or add some.
///
/// # Errors
/// When no thread or socket is to be had.
pub fn guard(agent: UnixStream) -> io::Result<UnixStream> {
    behind(move |visitor| pass(visitor, agent))
}

fn pass(mut visitor: UnixStream, mut agent: UnixStream) -> io::Result<()> {
    while let Some(message) = receive(&mut visitor)? {
        let answer = match message.first() {
            Some(&(LIST | SIGN)) => {
                send(&mut agent, &message)?;
                receive(&mut agent)?.ok_or(io::ErrorKind::UnexpectedEof)?
            }
            _ => vec![FAILURE],
        };
        send(&mut visitor, &answer)?;
    }
    Ok(())
}

/// A connection whose other end is served by a thread; it ends with the connection, or with the process.
fn behind(serve: impl FnOnce(UnixStream) -> io::Result<()> + Send + 'static) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    // How it ended is the visitor's affair; it sees the end of the connection.
    let work = move || drop(serve(ours));
    thread::Builder::new().name("ssh-keys".into()).spawn(work)?;
    Ok(theirs)
}

/// The next message, or the end.
fn receive(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = Vec::with_capacity(4);
    if from.by_ref().take(4).read_to_end(&mut length)? == 0 {
        return Ok(None);
    }
    let length: [u8; 4] = length.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(1..=LONGEST).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no message has this length"));
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    put_string(&mut framed, message);
    to.write_all(&framed)
}
