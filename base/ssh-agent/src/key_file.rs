//! From a file to a key: the armour (RFC 7468), and which format is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::KeyError;
use crate::private_key::PrivateKey;
use crate::{der, openssh};

/// Bytes of the longest file that is read as a key; BuildKit's limit.
pub const LONGEST_FILE: usize = 100 << 10;

impl PrivateKey {
    /// Reads the first private key of a file: in OpenSSH's format, of PKCS#1, SEC 1 or PKCS#8, without a passphrase.
    ///
    /// # Errors
    /// When there is none, or none that can be used.
    pub fn read(file: &[u8]) -> Result<Self, KeyError> {
        if file.len() > LONGEST_FILE {
            return Err(KeyError::TooLong { limit: LONGEST_FILE });
        }
        let text = std::str::from_utf8(file).map_err(|_| KeyError::NoKey)?;
        let mut lines = text.lines().map(str::trim);
        let label = lines.find_map(private_label).ok_or(KeyError::NoKey)?;
        if label == "ENCRYPTED PRIVATE KEY" {
            return Err(KeyError::Encrypted);
        }
        let bytes = body(label, lines)?;
        match label {
            "OPENSSH PRIVATE KEY" => openssh::read(&bytes),
            "RSA PRIVATE KEY" => der::rsa(&bytes),
            "EC PRIVATE KEY" => der::elliptic(&bytes),
            "PRIVATE KEY" => der::any(&bytes),
            "DSA PRIVATE KEY" => Err(KeyError::Type("ssh-dss".into())),
            _ => Err(KeyError::NoKey),
        }
    }
}

/// What a first line announces, if that is a private key.
fn private_label(line: &str) -> Option<&str> {
    let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    label.ends_with("PRIVATE KEY").then_some(label)
}

/// The bytes up to the last line.
fn body<'a>(label: &str, lines: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, KeyError> {
    let end = format!("-----END {label}-----");
    let mut text = String::new();
    for line in lines {
        if line == end {
            return STANDARD.decode(text).map_err(|_| KeyError::Damaged("it is not base64"));
        }
        match line.split_once(':') {
            // Lines of this kind are in files of old; they say how it was encrypted.
            Some(("Proc-Type", value)) if value.contains("ENCRYPTED") => return Err(KeyError::Encrypted),
            Some(_) => {}
            None => text.push_str(line),
        }
    }
    Err(KeyError::Damaged("it has no last line"))
}
