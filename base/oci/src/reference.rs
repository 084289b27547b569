//! Names of images as people write them (`busybox`) and as they are meant (`docker.io/library/busybox:latest`).

use std::fmt;
use std::str::FromStr;

use model::{ErrorKind, Kinded};
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// Tag of a name that says none.
pub const DEFAULT_TAG: &str = "latest";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A text is not an image name, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not of the form at all.
    #[error("invalid reference format")]
    Format,
    /// Upper case in the repository part.
    #[error("invalid reference format: repository name ({name}) must be lowercase")]
    UpperCase {
        /// The repository as it was understood.
        name: String,
    },
    /// The name could be taken for an id.
    #[error("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId {
        /// What was given.
        name: String,
    },
    /// The name is too long.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The part after `@` is no digest we know.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Kinded for ReferenceError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// An image name with its registry, and a tag or digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry, `docker.io` when none was named.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry (`library/busybox`).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// With the tag `latest` when neither tag nor digest was given.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// With another tag; the digest is dropped.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// With a digest instead of the tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Only the name.
    #[must_use]
    pub fn name_only(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// The name with registry, without tag and digest (`docker.io/library/busybox`).
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as people write it (`busybox`, `quay.io/a/b`).
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// Name, tag and digest as people write them.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// Everything written out (`docker.io/library/busybox:latest`).
    pub fn canonical(&self) -> String {
        format!("{}{}", self.name(), self.suffix())
    }

    fn suffix(&self) -> String {
        let mut text = String::new();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

/// Understands both forms; nothing is added but the default registry and its `library/`.
impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::LooksLikeId { name: text.to_owned() });
        }
        let (domain, remainder) = split_domain(text);
        let repository = remainder.split(':').next().unwrap_or_default();
        if repository.to_lowercase() != repository {
            return Err(ReferenceError::UpperCase { name: repository.to_owned() });
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !is_domain(&domain) || !path.split('/').all(is_component) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > MAX_NAME {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { domain, path: path.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.canonical()
    }
}

/// Writes the canonical form.
impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.canonical())
    }
}

/// The first component is a registry when it could not be part of a Docker Hub name.
fn split_domain(text: &str) -> (String, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    };
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL}{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

/// A digest of no possible form makes the whole reference malformed; a possible one is judged on its own.
fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let (algorithm, digits) = text.split_once(':').ok_or(ReferenceError::Format)?;
    let algorithm_fits = algorithm.starts_with(|first: char| first.is_ascii_alphabetic())
        && algorithm.chars().all(|letter| letter.is_ascii_alphanumeric() || "+._-".contains(letter));
    if !algorithm_fits || digits.len() < 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ReferenceError::Format);
    }
    Ok(text.parse()?)
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_fits =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match address {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
        }
        None => host.split('.').all(is_domain_label),
    };
    port_fits && host_fits
}

fn is_domain_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a text can be the path of a repository: components divided by slashes.
pub fn is_path(path: &str) -> bool {
    path.len() <= MAX_NAME && path.split('/').all(is_component)
}

/// Lower-case letters and digits, with single dots, one or two underscores or any dashes between them.
fn is_component(component: &str) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_letter(first)
        && is_letter(last)
        && bytes.split(is_letter).all(|between| {
            matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-')
        })
}

/// Whether a text can be a tag.
pub fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_shortened() {
        let hash = "a".repeat(64);
        let digest = format!("@sha256:{hash}");
        for (text, canonical, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
            ("user/app:V1_x.y-z", "docker.io/user/app:V1_x.y-z", "user/app:V1_x.y-z"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("host:5000/a/b:c", "host:5000/a/b:c", "host:5000/a/b:c"),
            ("UPPER/x", "UPPER/x", "UPPER/x"),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f", "a__b/c--d.e_f"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (reference.canonical().as_str(), reference.familiar().as_str()),
                (canonical, familiar)
            );
            assert_eq!(reference.canonical().parse::<Reference>().unwrap(), reference);
        }
        let both: Reference = format!("busybox:1{digest}").parse().unwrap();
        assert_eq!(both.familiar(), format!("busybox:1{digest}"));
        assert_eq!(both.tag(), Some("1"));
        assert_eq!("x".parse::<Reference>().unwrap().or_latest().familiar(), "x:latest");
        assert_eq!(both.clone().or_latest(), both);
    }

    #[test]
    fn refusals_carry_docker_words() {
        let long = format!("x/{}", "a".repeat(255));
        let id = "a".repeat(64);
        for (text, message) in [
            ("", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("::x", "invalid reference format"),
            ("library/x:y:z", "invalid reference format"),
            ("x@sha256:abc", "invalid reference format"),
            ("x:", "invalid reference format"),
            ("-x", "invalid reference format"),
            ("a///b", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("../x", "invalid reference format"),
            ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
            ("a/Foo:x", "invalid reference format: repository name (a/Foo) must be lowercase"),
            (&long, "repository name must not be more than 255 characters"),
            (&id, &format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings")),
            ("x@md5:d41d8cd98f00b204e9800998ecf8427e", "unsupported digest algorithm"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().to_string(), message, "{text}");
        }
    }
}
