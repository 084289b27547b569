//! One repository: its manifests, tags and blobs.

use oci::Digest;
use oci::Reference;
use oci::digest::Digester;
use oci::image::{Descriptor, media};
use serde::Deserialize;
use transport::client::{Body, Response};

use crate::blob::{BlobStream, Stop};
use crate::error::RegistryError;
use crate::session::{Access, Ask, Session, label, read_limited, skip};
use crate::url::{Url, escape};

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tag.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

impl Target {
    /// What a name means: its digest, its tag, or `latest`.
    pub fn of(reference: &Reference) -> Self {
        match reference.digest() {
            Some(digest) => Self::Digest(digest.clone()),
            None => Self::Tag(reference.tag().unwrap_or(oci::reference::DEFAULT_TAG).to_owned()),
        }
    }

    /// As it stands in a path.
    pub fn text(&self) -> &str {
        match self {
            Self::Tag(tag) => tag,
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

/// A manifest or index: exactly the bytes that came, with the digest they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Media type (as the answer's head says it), digest, size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A repository that can be read, and written if it was opened so.
pub struct Repository {
    pub(crate) session: Session,
    name: String,
    namespace: Option<String>,
}

/// Bytes of a manifest or index.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Bytes of a page of tags, and pages and tags in all.
const PAGE_LIMIT: u64 = 4 << 20;
const PAGES: usize = 1000;
const TAGS: usize = 100_000;
/// What is understood; the old ones too, so that they can be refused by name.
const ACCEPT: [&str; 6] = [
    media::DOCKER_MANIFEST,
    media::DOCKER_INDEX,
    media::OCI_MANIFEST,
    media::OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
];

impl Repository {
    pub(crate) fn new(session: Session, name: &str, namespace: Option<String>) -> Self {
        Self { session, name: name.to_owned(), namespace }
    }

    /// Its name at the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `https://host` of the registry in use.
    pub fn base(&self) -> String {
        self.session.base.origin.text()
    }

    /// What a tag or digest stands for; none when there is none of it.
    ///
    /// # Errors
    /// When the registry refuses for another reason, or does not say the digest.
    pub fn head(&self, target: &Target) -> Result<Option<Descriptor>, RegistryError> {
        let accept = ACCEPT.join(", ");
        let url = self.url(&format!("manifests/{}", target.text()));
        let ask = Ask { method: "HEAD", url, headers: &[("Accept", &accept)], body: &|| Body::Empty };
        let answer = match self.session.send(&ask) {
            Err(error) if error.status() == Some(404) => return Ok(None),
            outcome => outcome?,
        };
        let said = answer.head.header("Docker-Content-Digest").and_then(|text| text.parse().ok());
        let length = answer.head.header("Content-Length").and_then(|text| text.trim().parse().ok());
        let (Some(digest), Some(size)) = (said, length) else {
            // Older registries do not say it; reading the document always works.
            return Ok(Some(self.manifest(target)?.descriptor));
        };
        if let Target::Digest(expected) = target
            && *expected != digest
        {
            let request = label("HEAD", &ask.url);
            return Err(RegistryError::Mismatch { request, expected: expected.clone(), found: digest });
        }
        Ok(Some(Descriptor::new(&media_type(&answer), digest, size)))
    }

    /// A manifest or index; one asked for by digest has that digest.
    ///
    /// # Errors
    /// When there is none, it is too large or another one.
    pub fn manifest(&self, target: &Target) -> Result<Document, RegistryError> {
        let accept = ACCEPT.join(", ");
        let url = self.url(&format!("manifests/{}", target.text()));
        let ask = Ask { method: "GET", url, headers: &[("Accept", &accept)], body: &|| Body::Empty };
        let answer = self.session.send(&ask)?;
        let request = label("GET", &ask.url);
        let kind = media_type(&answer);
        let said: Option<Digest> =
            answer.head.header("Docker-Content-Digest").and_then(|text| text.parse().ok());
        let bytes = read_limited(answer, DOCUMENT_LIMIT, &request)?;
        let expected = match target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(_) => said,
        };
        let found = digest_like(expected.as_ref(), &bytes);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(RegistryError::Mismatch { request, expected, found });
        }
        Ok(Document { descriptor: Descriptor::new(&kind, found, bytes.len() as u64), bytes })
    }

    /// Writes a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// When the registry refuses, or notes it under another digest.
    pub fn put_manifest(
        &self,
        target: &Target,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        let url = self.url(&format!("manifests/{}", target.text()));
        let headers = [("Content-Type", media_type)];
        let body = || Body::Bytes(bytes.to_vec());
        let ask = Ask { method: "PUT", url, headers: &headers, body: &body };
        let answer = self.session.send(&ask)?;
        let said: Option<Digest> =
            answer.head.header("Docker-Content-Digest").and_then(|text| text.parse().ok());
        skip(answer);
        let own = digest_like(said.as_ref(), bytes);
        match said {
            Some(found) if found != own => {
                Err(RegistryError::Mismatch { request: label("PUT", &ask.url), expected: own, found })
            }
            _ => Ok(own),
        }
    }

    /// Removes a manifest, or a tag where the registry can.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn delete_manifest(&self, target: &Target) -> Result<(), RegistryError> {
        self.session.want(Access::Delete.scope(&self.name));
        let url = self.url(&format!("manifests/{}", target.text()));
        let ask = Ask { method: "DELETE", url, headers: &[], body: &|| Body::Empty };
        skip(self.session.send(&ask)?);
        Ok(())
    }

    /// All tags, through all pages.
    ///
    /// # Errors
    /// When the registry refuses or does not come to an end.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut url = self.url("tags/list");
        for _ in 0..PAGES {
            let ask = Ask { method: "GET", url: url.clone(), headers: &[], body: &|| Body::Empty };
            let answer = self.session.send(&ask)?;
            let request = label("GET", &url);
            let next = answer.head.header("Link").and_then(next_page).map(str::to_owned);
            let bytes = read_limited(answer, PAGE_LIMIT, &request)?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|error| RegistryError::Malformed {
                request: request.clone(),
                reason: error.to_string(),
            })?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| oci::reference::is_tag(tag)));
            if tags.len() > TAGS {
                return Err(RegistryError::Malformed { request, reason: format!("more than {TAGS} tags") });
            }
            match next {
                Some(location) => url = self.session.follow(&ask, &url, &location)?,
                None => return Ok(tags),
            }
        }
        let request = label("GET", &url);
        Err(RegistryError::Malformed { request, reason: format!("more than {PAGES} pages of tags") })
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// When the registry refuses for another reason.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/{digest}"));
        let ask = Ask { method: "HEAD", url, headers: &[], body: &|| Body::Empty };
        match self.session.send(&ask) {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A blob's bytes from `from` on; from the start when the registry cannot give parts (see [`BlobStream::start`]).
    /// They are not compared with the digest here.
    ///
    /// # Errors
    /// When the registry refuses or announces another size.
    pub fn blob(&self, blob: &Descriptor, from: u64, stop: &Stop) -> Result<BlobStream, RegistryError> {
        if stop.is_stopped() {
            return Err(RegistryError::Cancelled);
        }
        let from = if from >= blob.size { 0 } else { from };
        let range = format!("bytes={from}-");
        let headers = [("Range", range.as_str())];
        let url = self.url(&format!("blobs/{}", blob.digest));
        let headers: &[_] = if from > 0 { &headers } else { &[] };
        let ask = Ask { method: "GET", url, headers, body: &|| Body::Empty };
        let answer = match self.session.send(&ask) {
            Err(error) if from > 0 && error.status() == Some(416) => return self.blob(blob, 0, stop),
            outcome => outcome?,
        };
        let start = if answer.head.status == 206 { from } else { 0 };
        let malformed = |reason: String| RegistryError::Malformed { request: label("GET", &ask.url), reason };
        if start > 0 {
            let said = answer.head.header("Content-Range").unwrap_or_default();
            let wanted = format!("bytes {from}-{}/", blob.size - 1);
            if !said.starts_with(&wanted) {
                return Err(malformed(format!(
                    "asked for {range}, got {:?}",
                    said.get(..64).unwrap_or(said)
                )));
            }
        }
        let left = blob.size - start;
        let length: Option<u64> =
            answer.head.header("Content-Length").and_then(|text| text.trim().parse().ok());
        if let Some(length) = length.filter(|length| *length != left) {
            return Err(malformed(format!("the blob has {length} bytes where its manifest says {left}")));
        }
        let slowest = self.session.client.settings().slowest;
        Ok(BlobStream::new(answer.body, start, left, slowest, stop))
    }

    pub(crate) fn url(&self, rest: &str) -> Url {
        let url = self.session.url(&format!("{}/{rest}", self.name));
        match &self.namespace {
            Some(namespace) => Url { path: format!("{}?ns={}", url.path, escape(namespace)), ..url },
            None => url,
        }
    }
}

fn media_type(answer: &Response) -> String {
    let full = answer.head.header("Content-Type").unwrap_or_default();
    full.split(';').next().unwrap_or_default().trim().to_owned()
}

/// The digest of some bytes by the algorithm another digest has.
fn digest_like(other: Option<&Digest>, bytes: &[u8]) -> Digest {
    let Some(other) = other else { return Digest::of(bytes) };
    let mut digester = Digester::new(other.algorithm());
    digester.update(bytes);
    digester.finish()
}

/// The address in `<...>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(address)
}
