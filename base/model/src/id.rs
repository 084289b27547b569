//! Identifiers: 64 hexadecimal digits, made from the kernel's random numbers, one type per noun.

use serde::{Deserialize, Serialize};

/// A text is not a full identifier.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an id of 64 hexadecimal digits")]
pub struct ParseIdError {
    /// What was given.
    pub text: String,
}

impl crate::Kinded for ParseIdError {
    fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

/// Length of a full id in characters.
pub const FULL_LENGTH: usize = 64;
/// Length of the short form people see.
pub const SHORT_LENGTH: usize = 12;

/// Sixty-four random hexadecimal digits that do not read as a decimal number in their short form.
pub fn random_hex() -> String {
    loop {
        let mut bytes = [0u8; FULL_LENGTH / 2];
        fill_random(&mut bytes);
        let text = hex(&bytes);
        // Docker never hands out a short id that could be taken for a number (it once broke host names).
        if !text[..SHORT_LENGTH].bytes().all(|byte| byte.is_ascii_digit()) {
            return text;
        }
    }
}

/// Fills the buffer from the kernel's random numbers.
pub fn fill_random(buffer: &mut [u8]) {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random numbers: {error}"),
        }
    }
}

/// Lower-case hexadecimal form.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn is_full_id(text: &str) -> bool {
    text.len() == FULL_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new random id.
            pub fn generate() -> Self {
                Self(random_hex())
            }

            /// All 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first 12 digits, as tables show them.
            pub fn short(&self) -> &str {
                &self.0[..SHORT_LENGTH]
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if is_full_id(text) { Ok(Self(text.to_owned())) } else { Err(ParseIdError { text: text.to_owned() }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                if is_full_id(&text) { Ok(Self(text)) } else { Err(ParseIdError { text }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

hex_id!(
    /// Names one container.
    ContainerId
);
hex_id!(
    /// Names one network.
    NetworkId
);
hex_id!(
    /// Names the connection of one sandbox to one network.
    EndpointId
);
hex_id!(
    /// Names one exec process of a container.
    ExecId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_and_parse_back() {
        let first = ContainerId::generate();
        assert_ne!(first, ContainerId::generate());
        assert_eq!(first.as_str().parse::<ContainerId>().unwrap(), first);
        assert_eq!(first.short().len(), SHORT_LENGTH);
    }

    #[test]
    fn wrong_ids_are_refused() {
        for text in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<ContainerId>().is_err(), "{text}");
        }
    }
}
