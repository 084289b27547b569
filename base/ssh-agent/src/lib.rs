//! An ssh agent: private keys from files, lent to strangers by the agent protocol (draft-miller-ssh-agent).
//!
//! Purpose: steps of a build may use keys without seeing them, whether they are in files or with an agent of the user's.
//!
//! Owns: the formats of private keys, signatures as ssh wants them, the protocol's messages and which of them a stranger
//! may send: "what keys are there" and "sign this", nothing else.
//!
//! Must not know: builds, where key files are, what the user is told besides what is wrong with a key.
//!
//! Reading order: [`agent`], [`private_key`], then the formats: `key_file`, `openssh`, `der`, on `wire`.

#![forbid(unsafe_code)]

pub mod agent;
mod der;
pub mod error;
mod key_file;
mod openssh;
pub mod private_key;
#[cfg(test)]
mod tests;
mod wire;

pub use agent::{Keys, guard};
pub use error::KeyError;
pub use key_file::LONGEST_FILE;
pub use private_key::PrivateKey;
