//! Names of images: what is left out in `busybox` and is meant, `docker.io/library/busybox:latest`.

use crate::failure::Failure;

/// A name with its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, `docker.io` when none was given.
    pub domain: String,
    /// The repository within the registry.
    pub path: String,
    /// The tag, if one was given.
    pub tag: Option<String>,
    /// The digest, if one was given.
    pub digest: Option<String>,
}

const DEFAULT_DOMAIN: &str = "docker.io";

/// Parses a name as people type it.
///
/// # Errors
/// With docker's texts.
pub fn parse(text: &str) -> Result<Reference, Failure> {
    let parsed: oci::Reference =
        text.parse().map_err(|error: oci::reference::ReferenceError| Failure::text(error.to_string()))?;
    Ok(Reference {
        domain: parsed.domain().to_owned(),
        path: parsed.path().to_owned(),
        tag: parsed.tag().map(str::to_owned),
        digest: parsed.digest().map(ToString::to_string),
    })
}

impl Reference {
    /// The name without what goes without saying.
    pub fn familiar_name(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            return self.path.strip_prefix("library/").unwrap_or(&self.path).to_owned();
        }
        format!("{}/{}", self.domain, self.path)
    }

    /// The name with everything but tag and digest.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The familiar name with tag and digest as given.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }

    /// Repository and tag (or digest), the tag empty when none was given.
    pub fn repository_and_tag(&self) -> (String, String) {
        let tag = self.digest.clone().or_else(|| self.tag.clone()).unwrap_or_default();
        (self.familiar_name(), tag)
    }

    /// With `latest` where neither tag nor digest was given.
    #[must_use]
    pub fn with_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }
}

/// The familiar name of a text with `latest` added, or the text itself.
pub fn familiar(text: &str) -> String {
    parse(text).map_or_else(|_| text.to_owned(), |reference| reference.with_latest().familiar())
}

/// A name with its digest left off, as lists show it.
pub fn without_digest(text: &str) -> String {
    match parse(text) {
        Ok(Reference { digest: Some(_), tag: None, .. }) => {
            text.split('@').next().unwrap_or_default().to_owned()
        }
        Ok(reference @ Reference { digest: Some(_), .. }) => {
            Reference { digest: None, ..reference }.familiar()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox:latest"),
            ("a/b:c", "docker.io/a/b", "a/b:c"),
            ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x:latest"),
            ("quay.io/a/b/c:1", "quay.io/a/b/c", "quay.io/a/b/c:1"),
            ("docker.io/library/x", "docker.io/library/x", "x:latest"),
        ] {
            let reference = parse(text).unwrap().with_latest();
            assert_eq!((reference.full_name().as_str(), reference.familiar().as_str()), (full, familiar));
        }
        for text in ["", ":", "A", "a b", "a:", "-a", "a@x", "a//b", "../x", "..:1/x", "a.b:x/y", "-a.b/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
