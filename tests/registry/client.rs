//! A client without any cleverness: one connection for each request, every answer as it is.

use std::net::TcpStream;
use std::time::Duration;

use oci::digest::Digest;
use serde_json::{Value, json};
use testkit::http::{Answer, exchange};

/// Kinds of manifests that are taken.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// Speaks to one repository of a registry.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    /// The repository.
    pub name: String,
    authorization: Option<String>,
}

impl Client {
    /// A client for the registry at `host:port`.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), name: "conformance".to_owned(), authorization: None }
    }

    /// The same for another repository.
    #[must_use]
    pub fn in_repository(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The same with `user:password`.
    #[must_use]
    pub fn with_password(&self, pair: &str) -> Self {
        self.with_authorization(&format!("Basic {}", base64(pair.as_bytes())))
    }

    /// The same with a value of `Authorization`.
    #[must_use]
    pub fn with_authorization(&self, value: &str) -> Self {
        Self { authorization: Some(value.to_owned()), ..self.clone() }
    }

    /// One request; `target` begins with a slash, or with a host as some registries' locations do.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn try_send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut all = headers.to_vec();
        let is_manifest = target.contains("/manifests/") && matches!(method, "GET" | "HEAD");
        if is_manifest && !headers.iter().any(|(name, _)| *name == "Accept") {
            // Some registries give nothing to those who don't say what they take.
            all.push(("Accept", ACCEPT));
        }
        if let Some(value) = &self.authorization {
            all.push(("Authorization", value));
        }
        exchange(&mut stream, method, target, &all, body)
    }

    /// One request that has to be answered.
    #[track_caller]
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        match self.try_send(method, target, headers, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {target}: {error}"),
        }
    }

    /// GET without headers.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    /// A path of the repository.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    /// Begins an upload; returns its place.
    #[track_caller]
    pub fn begin(&self) -> String {
        let answer = self.send("POST", &self.path("blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "POST uploads: {}", answer.text());
        header(&answer, "location")
    }

    /// Uploads a blob in two requests.
    #[track_caller]
    pub fn push_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let place = with_query(&self.begin(), &format!("digest={digest}"));
        let answer = self.send("PUT", &place, &[("Content-Type", "application/octet-stream")], bytes);
        assert_eq!(answer.status, 201, "PUT blob: {}", answer.text());
        digest
    }

    /// Pushes a manifest by tag or digest.
    #[track_caller]
    pub fn put_manifest(&self, reference: &str, media: &str, bytes: &[u8]) -> Answer {
        self.send("PUT", &self.path(&format!("manifests/{reference}")), &[("Content-Type", media)], bytes)
    }

    /// Pushes an image of a config and a layer of some bytes under a tag; returns its manifest.
    #[track_caller]
    pub fn push_image(&self, tag: &str, content: &str) -> (Digest, Vec<u8>) {
        let (config, layer) = (format!("{{\"config\":\"{content}\"}}"), format!("layer {content}"));
        self.push_blob(config.as_bytes());
        self.push_blob(layer.as_bytes());
        let bytes = manifest_of(config.as_bytes(), &[layer.as_bytes()]).to_string().into_bytes();
        let answer = self.put_manifest(tag, oci::image::media::OCI_MANIFEST, &bytes);
        assert_eq!(answer.status, 201, "PUT manifest: {}", answer.text());
        (Digest::of(&bytes), bytes)
    }
}

/// The manifest of an image.
pub fn manifest_of(config: &[u8], layers: &[&[u8]]) -> Value {
    use oci::image::{Descriptor, media};
    let layers: Vec<Descriptor> =
        layers.iter().map(|layer| Descriptor::of(media::OCI_LAYER_GZIP, layer)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": Descriptor::of(media::OCI_CONFIG, config),
        "layers": layers,
    })
}

/// A header that has to be there.
#[track_caller]
pub fn header(answer: &Answer, name: &str) -> String {
    match answer.header(name) {
        Some(value) => value.to_owned(),
        None => panic!("no header {name} in {:?}", answer.headers),
    }
}

/// A place with one more parameter.
pub fn with_query(place: &str, parameter: &str) -> String {
    let sign = if place.contains('?') { '&' } else { '?' };
    format!("{place}{sign}{parameter}")
}

/// Checks that an answer is an error document with a status and code.
#[track_caller]
pub fn assert_error(answer: &Answer, statuses: &[u16], code: &str) {
    assert!(statuses.contains(&answer.status), "{statuses:?} expected: {} {}", answer.status, answer.text());
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let found = value["errors"][0]["code"].as_str().unwrap_or_default();
    assert_eq!(found, code, "{}", answer.text());
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let at = (number >> (18 - 6 * place) & 63) as usize;
            text.push(if place > chunk.len() { '=' } else { char::from(LETTERS[at]) });
        }
    }
    text
}
