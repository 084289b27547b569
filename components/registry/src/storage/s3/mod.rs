//! An S3-compatible object store: records and blobs as objects of one bucket, requests signed by ourselves.
//!
//! ```text
//! PREFIX/records/KEY             records
//! PREFIX/blobs/sha256/abcd...    blobs
//! ```
//! An object store has no transactions, so changes are made one after another, in the order given; the registry orders
//! them so that every first part is a valid state. Uploads are gathered in a local folder, whatever the storage.

mod list;
mod sign;
#[cfg(test)]
mod stand_in;

use crate::percent::{escape, escape_path};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oci::digest::{Algorithm, Digest};
use serde::Deserialize;
use transport::client::{Body, Endpoint, FileBody, HttpClient, Request, Response, TlsFiles};

use super::{Blob, Change, Content, Storage, StorageError, Stored};
use sign::{Keys, UNSIGNED, hex_digest};

/// Bytes of a record at most.
const LARGEST_RECORD: u64 = 4 * 1024 * 1024;
/// Bytes of a page of a listing at most.
const LARGEST_PAGE: u64 = 16 * 1024 * 1024;
/// Bytes that one request may store (the limit of S3 itself).
const LARGEST_BLOB: u64 = 5 * 1024 * 1024 * 1024;
/// Tries of a request that the server could not fulfil at the moment.
const TRIES: u32 = 4;

/// Where the bucket is, and who we are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// `https://host[:port]`
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What all object names begin with.
    #[serde(default)]
    pub prefix: String,
    /// The region that requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The file that holds the secret key, so that it stands in no configuration.
    pub secret_key_file: PathBuf,
    /// An authority that signed the server's certificate, when it is none of the machine's.
    #[serde(default)]
    pub authority: Option<PathBuf>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// Storage in a bucket.
pub struct S3Storage {
    client: HttpClient,
    host: String,
    /// `/bucket/prefix`, escaped.
    base: String,
    bucket: String,
    prefix: String,
    keys: Keys,
}

impl S3Storage {
    /// Reads the key; the bucket is not spoken to yet.
    ///
    /// # Errors
    /// When the address or key can't be used.
    pub fn new(settings: &S3) -> Result<Self, String> {
        let (scheme, host) = settings.endpoint.split_once("://").ok_or("the endpoint has no scheme")?;
        let host = host.trim_end_matches('/').to_owned();
        let with_port = |port: u16| match host.rsplit_once(':') {
            Some((_, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => host.clone(),
            _ => format!("{host}:{port}"),
        };
        let endpoint = match scheme {
            "http" => Endpoint::Tcp(with_port(80)),
            "https" => {
                let files = TlsFiles { ca: settings.authority.clone(), ..TlsFiles::default() };
                Endpoint::Tls(with_port(443), files)
            }
            other => return Err(format!("the endpoint's scheme {other} is neither http nor https")),
        };
        let secret = std::fs::read_to_string(&settings.secret_key_file)
            .map_err(|error| format!("{}: {error}", settings.secret_key_file.display()))?;
        let prefix = match settings.prefix.trim_matches('/') {
            "" => String::new(),
            text => format!("{text}/"),
        };
        Ok(Self {
            host: endpoint.host_header().to_owned(),
            client: HttpClient::new(endpoint),
            base: format!("/{}/{}", escape(&settings.bucket), escape_path(&prefix)),
            bucket: format!("/{}", escape(&settings.bucket)),
            prefix,
            keys: Keys {
                id: settings.access_key.clone(),
                secret: secret.trim().to_owned(),
                region: settings.region.clone(),
            },
        })
    }

    fn object(&self, name: &str) -> String {
        format!("{}{}", self.base, escape_path(name))
    }

    fn blob_name(digest: &Digest) -> String {
        digest.blob_path()
    }

    /// One request; a missing object gives `None`.
    fn ask(&self, operation: &'static str, ask: &Ask<'_>) -> Result<Option<Response>, StorageError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let result = self.ask_once(ask);
            let failed = |reason: String| StorageError::Remote { operation, reason };
            match result {
                Ok(response) if matches!(response.head.status, 200 | 204 | 206) => return Ok(Some(response)),
                Ok(response) if response.head.status == 404 => return Ok(None),
                Ok(response) if response.head.status < 500 || tried >= TRIES => {
                    return Err(failed(format!("the object store answered {}", response.head.status)));
                }
                Err(reason) if tried >= TRIES => return Err(failed(reason)),
                _ => std::thread::sleep(Duration::from_millis(100 << tried)),
            }
        }
    }

    fn ask_once(&self, ask: &Ask<'_>) -> Result<Response, String> {
        let (payload, body) = match ask.content {
            None => (hex_digest(b""), Body::Empty),
            Some((Content::Bytes(bytes), _)) => (hex_digest(bytes), Body::Bytes(bytes.to_vec())),
            Some((Content::File(path, size), digest)) => {
                let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
                // Its digest is known; signing it lets the store notice what is damaged on the way.
                let known = digest.filter(|digest| digest.algorithm() == Algorithm::Sha256);
                let payload = known.map_or_else(|| UNSIGNED.to_owned(), |digest| digest.hex().to_owned());
                (payload, Body::File(whole_file(file, size)))
            }
        };
        let date = sign::date(model::Timestamp::now());
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("x-amz-content-sha256", payload.as_str()),
            ("x-amz-date", date.as_str()),
        ];
        headers.extend(ask.range.map(|range| ("range", range)));
        let authorization =
            self.keys.authorization(ask.method, &ask.path, &ask.query, &headers, &payload, &date);
        headers.retain(|(name, _)| *name != "host");
        headers.push(("authorization", &authorization));
        let path = match ask.query.is_empty() {
            true => ask.path.clone(),
            false => format!("{}?{}", ask.path, ask.query),
        };
        let request = Request { method: ask.method, path: &path, headers: &headers, body };
        self.client.send(request).map_err(|error| model::error::chain(&error))
    }

    fn put(&self, name: &str, content: Content<'_>, digest: Option<&Digest>) -> Result<(), StorageError> {
        let ask = Ask { content: Some((content, digest)), ..Ask::new("PUT", self.object(name)) };
        match self.ask("store", &ask)? {
            Some(_) => Ok(()),
            None => {
                Err(StorageError::Remote { operation: "store", reason: "there is no such bucket".into() })
            }
        }
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.ask("remove", &Ask::new("DELETE", self.object(name))).map(drop)
    }

    /// Objects whose names begin with a text, in order, the prefix of all taken off.
    fn list(&self, start: &str) -> Result<Vec<list::Object>, StorageError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = Vec::new();
            if let Some(token) = &token {
                query.push(format!("continuation-token={}", escape(token)));
            }
            query.push("encoding-type=url".to_owned());
            query.push("list-type=2".to_owned());
            query.push(format!("prefix={}", escape(&format!("{}{start}", self.prefix))));
            let ask = Ask { query: query.join("&"), ..Ask::new("GET", self.bucket.clone()) };
            let failed = |reason: &str| StorageError::Remote { operation: "list", reason: reason.to_owned() };
            let response = self.ask("list", &ask)?.ok_or_else(|| failed("there is no such bucket"))?;
            let mut text = String::new();
            let read = response.body.take(LARGEST_PAGE).read_to_string(&mut text);
            read.map_err(|error| failed(&error.to_string()))?;
            let page = list::Page::parse(&text).ok_or_else(|| failed("the answer is no listing"))?;
            for mut object in page.objects {
                if let Some(name) = object.name.strip_prefix(&self.prefix) {
                    object.name = name.to_owned();
                    found.push(object);
                }
            }
            match page.next {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => return Ok(found),
            }
        }
    }
}

/// A file as a body; nobody watches how far it is.
fn whole_file(file: std::fs::File, length: u64) -> FileBody {
    FileBody { file: Arc::new(file), offset: 0, length, sent: Arc::new(|_| Ok(())) }
}

/// A request before it is signed.
struct Ask<'a> {
    method: &'static str,
    /// Escaped.
    path: String,
    /// Escaped, in order of its names.
    query: String,
    range: Option<&'a str>,
    content: Option<(Content<'a>, Option<&'a Digest>)>,
}

impl Ask<'_> {
    fn new(method: &'static str, path: String) -> Self {
        Self { method, path, query: String::new(), range: None, content: None }
    }
}

impl Storage for S3Storage {
    fn record(&self, key: &str) -> Result<Option<String>, StorageError> {
        let ask = Ask::new("GET", self.object(&format!("records/{key}")));
        let Some(response) = self.ask("read", &ask)? else { return Ok(None) };
        let mut text = String::new();
        let read = response.body.take(LARGEST_RECORD).read_to_string(&mut text);
        read.map_err(|error| StorageError::Remote { operation: "read", reason: error.to_string() })?;
        Ok(Some(text))
    }

    fn records(&self, prefix: &str) -> Result<Vec<(String, String)>, StorageError> {
        let mut found = Vec::new();
        for key in self.keys(prefix)? {
            // One that went meanwhile is none.
            if let Some(text) = self.record(&key)? {
                found.push((key, text));
            }
        }
        Ok(found)
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let objects = self.list(&format!("records/{prefix}"))?;
        let mut keys: Vec<String> = objects
            .into_iter()
            .filter_map(|object| object.name.strip_prefix("records/").map(str::to_owned))
            .collect();
        keys.sort();
        Ok(keys)
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        for change in changes {
            match change {
                Change::Put(key, text) => {
                    self.put(&format!("records/{key}"), Content::Bytes(text.as_bytes()), None)?;
                }
                Change::Remove(key) => self.remove(&format!("records/{key}"))?,
            }
        }
        Ok(())
    }

    fn put_blob(
        &self,
        digest: &Digest,
        content: Content<'_>,
        changes: Vec<Change>,
    ) -> Result<(), StorageError> {
        if matches!(content, Content::File(_, size) if size > LARGEST_BLOB) {
            let reason = "the blob has more than 5 GiB".to_owned();
            return Err(StorageError::Remote { operation: "store", reason });
        }
        self.put(&Self::blob_name(digest), content, Some(digest))?;
        self.commit(changes)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let ask = Ask::new("HEAD", self.object(&Self::blob_name(digest)));
        let Some(response) = self.ask("look at", &ask)? else { return Ok(None) };
        let length = response.head.header("Content-Length").and_then(|text| text.trim().parse().ok());
        let missing = || StorageError::Remote { operation: "look at", reason: "no length came".to_owned() };
        length.map(Some).ok_or_else(missing)
    }

    fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StorageError> {
        let Some(size) = self.blob_size(digest)? else { return Ok(None) };
        if size == 0 {
            return Ok(Some(Blob::Bytes(Vec::new())));
        }
        // What is opened outlives this call: it has a client of its own.
        let other = Self {
            client: HttpClient::new(self.client.endpoint().clone()),
            host: self.host.clone(),
            base: self.base.clone(),
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            keys: self.keys.clone(),
        };
        let path = self.object(&Self::blob_name(digest));
        let open = move |part: std::ops::Range<u64>| {
            let range = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
            let whole = part == (0..size);
            let range = (!whole).then_some(range.as_str());
            let ask = Ask { range, ..Ask::new("GET", path) };
            let gone = || StorageError::Remote { operation: "read", reason: "the blob is gone".to_owned() };
            let response = other.ask("read", &ask)?.ok_or_else(gone)?;
            if !whole && response.head.status != 206 {
                let reason = "the object store gives no parts".to_owned();
                return Err(StorageError::Remote { operation: "read", reason });
            }
            Ok(Box::new(response.body.take(part.end - part.start)) as Box<dyn Read + Send>)
        };
        Ok(Some(Blob::Remote(size, Box::new(open))))
    }

    fn remove_blob(&self, digest: &Digest) -> Result<(), StorageError> {
        self.remove(&Self::blob_name(digest))
    }

    fn blobs(&self) -> Result<Vec<Stored>, StorageError> {
        let objects = self.list("blobs/")?;
        Ok(objects
            .into_iter()
            .filter_map(|object| {
                let digest = object.name.strip_prefix("blobs/")?.replacen('/', ":", 1).parse().ok()?;
                Some(Stored { digest, size: object.size, since: object.since })
            })
            .collect())
    }
}

impl std::fmt::Debug for S3Storage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "S3Storage({}{})", self.host, self.base)
    }
}
