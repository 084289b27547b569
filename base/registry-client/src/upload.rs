//! Uploads of blobs: mounted from another repository, in one request, or taken up again where they broke.

use oci::Digest;
use transport::client::{Body, FileBody};

use crate::error::RegistryError;
use crate::repository::Repository;
use crate::session::{Access, Ask, label, skip};
use crate::url::Url;

/// How an upload begins.
pub enum Start<'r> {
    /// The registry had the blob and made it this repository's.
    Mounted,
    /// The bytes are wanted.
    Upload(Upload<'r>),
}

/// An upload that is open at the registry.
pub struct Upload<'r> {
    repository: &'r Repository,
    location: Url,
}

impl Repository {
    /// Also asks for the right to read other repositories of the registry, from which blobs may be mounted.
    pub fn mounts_from(&self, names: &[String]) {
        for name in names {
            self.session.want(Access::Pull.scope(name));
        }
    }

    /// Begins an upload; with `from`, another repository that has the blob.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn start_upload(&self, digest: &Digest, from: Option<&str>) -> Result<Start<'_>, RegistryError> {
        let mut url = self.url("blobs/uploads/");
        if let Some(from) = from {
            url = url.with_query("mount", digest.as_str()).with_query("from", from);
        }
        let ask = Ask { method: "POST", url, headers: &[], body: &|| Body::Empty };
        let answer = self.session.send(&ask)?;
        let status = answer.head.status;
        let location = answer.head.header("Location").map(str::to_owned);
        skip(answer);
        match (status, location) {
            (201, _) if from.is_some() => Ok(Start::Mounted),
            (202, Some(location)) => {
                let location = self.session.follow(&ask, &ask.url, &location)?;
                Ok(Start::Upload(Upload { repository: self, location }))
            }
            _ => Err(RegistryError::Malformed {
                request: label("POST", &ask.url),
                reason: format!("no upload was begun: status {status}"),
            }),
        }
    }
}

impl Upload<'_> {
    /// Sends the whole blob in one request and closes the upload.
    ///
    /// # Errors
    /// When the connection breaks or the registry refuses; [`Self::offset`] then tells how far it came.
    pub fn put(&self, digest: &Digest, blob: &FileBody) -> Result<(), RegistryError> {
        let url = self.location.clone().with_query("digest", digest.as_str());
        self.send("PUT", url, &[("Content-Type", "application/octet-stream")], Some(blob)).map(drop)
    }

    /// Bytes the registry has of it.
    ///
    /// # Errors
    /// When the upload is gone.
    pub fn offset(&self) -> Result<u64, RegistryError> {
        let ask = Ask { method: "GET", url: self.location.clone(), headers: &[], body: &|| Body::Empty };
        let answer = self.repository.session.send(&ask)?;
        let range = answer.head.header("Range").unwrap_or_default().trim_start_matches("bytes=").to_owned();
        skip(answer);
        let last = range.split_once('-').and_then(|(_, last)| last.trim().parse::<u64>().ok());
        // `0-0` is said of an empty upload as well as of one byte: beginning anew is right for both.
        Ok(last.filter(|last| *last > 0).map_or(0, |last| last + 1))
    }

    /// Sends a part; the next one follows it.
    ///
    /// # Errors
    /// When the connection breaks or the registry refuses.
    pub fn patch(&mut self, part: &FileBody) -> Result<(), RegistryError> {
        let range = format!("{}-{}", part.offset, (part.offset + part.length).saturating_sub(1));
        let headers = [("Content-Type", "application/octet-stream"), ("Content-Range", range.as_str())];
        let location = self.send("PATCH", self.location.clone(), &headers, Some(part))?;
        if let Some(location) = location {
            self.location = location;
        }
        Ok(())
    }

    /// Closes the upload.
    ///
    /// # Errors
    /// When the registry refuses, for instance because the bytes have another digest.
    pub fn finish(&self, digest: &Digest) -> Result<(), RegistryError> {
        let url = self.location.clone().with_query("digest", digest.as_str());
        self.send("PUT", url, &[], None).map(drop)
    }

    fn send(
        &self,
        method: &str,
        url: Url,
        headers: &[(&str, &str)],
        part: Option<&FileBody>,
    ) -> Result<Option<Url>, RegistryError> {
        let session = &self.repository.session;
        let body = || part.map_or(Body::Empty, |part| Body::File(part.clone()));
        let ask = Ask { method, url, headers, body: &body };
        let answer = session.send(&ask)?;
        let location = answer.head.header("Location").map(str::to_owned);
        skip(answer);
        location.map(|location| session.follow(&ask, &ask.url, &location)).transpose()
    }
}
