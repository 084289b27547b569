//! Names within a registry: repositories, and the tag or digest of a manifest.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use oci::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::RegistryError;

/// The name of a repository: what stands between `/v2/` and the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);

impl Repository {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if oci::reference::is_path(text) {
            return Ok(Self(text.to_owned()));
        }
        let name = text.chars().take(300).collect();
        Err(RegistryError::NameInvalid { name })
    }
}

impl TryFrom<String> for Repository {
    type Error = RegistryError;

    fn try_from(text: String) -> Result<Self, RegistryError> {
        text.parse()
    }
}

impl From<Repository> for String {
    fn from(name: Repository) -> Self {
        name.0
    }
}

impl Borrow<str> for Repository {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What names a manifest within its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestReference {
    /// Its digest.
    Digest(Digest),
    /// A name that may move.
    Tag(String),
}

impl FromStr for ManifestReference {
    type Err = RegistryError;

    /// With a colon it is a digest, since no tag has one.
    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        tag(text).map(|()| Self::Tag(text.to_owned()))
    }
}

/// Checks that a text can be a tag.
///
/// # Errors
/// `ManifestInvalid` when not.
pub fn tag(text: &str) -> Result<(), RegistryError> {
    if oci::reference::is_tag(text) {
        return Ok(());
    }
    Err(RegistryError::ManifestInvalid { reason: "the tag has the wrong form".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_names() {
        for good in ["a", "a/b", "a-b/c_d/e__f/g.h", "0", "a--b"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in
            ["", "A", "/a", "a/", "a//b", "..", "a/../b", "-a", "a_", "a___b", "a..b", "a@b", "a:b", &long]
        {
            assert!(matches!(bad.parse::<Repository>(), Err(RegistryError::NameInvalid { .. })), "{bad}");
        }
    }

    #[test]
    fn references_are_tags_or_digests() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(matches!(digest.parse(), Ok(ManifestReference::Digest(_))));
        assert!(matches!("latest".parse(), Ok(ManifestReference::Tag(_))));
        assert!(matches!("sha256:1".parse::<ManifestReference>(), Err(RegistryError::DigestForm(_))));
        for bad in ["", ".a", "-a", &"a".repeat(129), "a/b", "ä"] {
            let parsed = bad.parse::<ManifestReference>();
            assert!(matches!(parsed, Err(RegistryError::ManifestInvalid { .. })), "{bad}");
        }
    }
}
