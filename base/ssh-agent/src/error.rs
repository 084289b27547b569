//! Why a file is no key we can lend.

use model::{ErrorKind, Kinded};

/// A private key that cannot be used. The texts begin with Docker's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no private key in it.
    #[error("ssh: no key found")]
    NoKey,
    /// Nobody is asked for passphrases here.
    #[error(
        "ssh: this private key is passphrase protected: add it to an agent with ssh-add and give the agent's socket"
    )]
    Encrypted,
    /// A kind of key that is not known, or for which there is no arithmetic.
    #[error("ssh: unhandled key type {0}: add it to an agent with ssh-add and give the agent's socket")]
    Type(String),
    /// An RSA key of an unusual size.
    #[error(
        "ssh: keys of RSA have 2048, 3072 or 4096 bits here, not {bits}: add it to an agent with ssh-add and give the \
         agent's socket"
    )]
    Size {
        /// Bits of its modulus.
        bits: usize,
    },
    /// It begins as a key and goes on as none.
    #[error("ssh: the private key is damaged: {0}")]
    Damaged(&'static str),
    /// More than a key has.
    #[error("ssh: a private key has no more than {limit} bytes")]
    TooLong {
        /// How many are read.
        limit: usize,
    },
}

impl Kinded for KeyError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
