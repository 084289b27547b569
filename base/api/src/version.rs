//! API versions: `1.NN`, compared by number, and the span this engine speaks.

use std::fmt;
use std::str::FromStr;

/// A version of the Docker Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u16,
    /// Grows with each release.
    pub minor: u16,
}

/// The oldest version served.
pub const MIN: ApiVersion = ApiVersion::new(24);
/// The newest version served, used where a path names none.
pub const MAX: ApiVersion = ApiVersion::new(55);

/// A text is no API version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseVersionError {
    /// What was given.
    pub text: String,
}

impl fmt::Display for ParseVersionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} is not an API version like 1.55", self.text)
    }
}

impl std::error::Error for ParseVersionError {}

impl model::Kinded for ParseVersionError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

impl ApiVersion {
    /// Version 1.`minor`.
    pub const fn new(minor: u16) -> Self {
        Self { major: 1, minor }
    }

    /// A number of its own for each version, growing with it.
    pub const fn ordinal(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }

    /// Whether this is version 1.`minor` or newer.
    pub fn at_least(self, minor: u16) -> bool {
        self >= Self::new(minor)
    }

    /// Whether this is older than version 1.`minor`.
    pub fn below(self, minor: u16) -> bool {
        self < Self::new(minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ParseVersionError;

    /// `1.41`, with or without a leading `v`.
    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let wrong = || ParseVersionError { text: text.to_owned() };
        let digits = |part: &str| {
            let valid = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if valid { part.parse::<u16>().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.').ok_or_else(wrong)?;
        Ok(Self { major: digits(major)?, minor: digits(minor)? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < MIN);
        assert!("v1.100".parse::<ApiVersion>().unwrap() > MAX);
        assert_eq!("1.55".parse::<ApiVersion>().unwrap(), MAX);
        assert_eq!(MAX.to_string(), "1.55");
        for text in ["", "1", "1.", ".5", "1.x", "1.+5", "1.99999", "vv1.5"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
