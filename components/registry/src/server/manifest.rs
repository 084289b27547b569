//! `/v2/NAME/manifests/REFERENCE`: exact bytes in and out.

use std::io::{self, Read as _};

use transport::server::{Exchange, ResponseHead};

use super::answer::{self, Answered};
use super::route::parameters;
use crate::name::{self, ManifestReference, Repository};
use crate::registry::{MAX_MANIFEST, Manifest, NewManifest};
use crate::{Registry, RegistryError};

/// Bytes of a manifest that is too long which are read all the same, so that the client hears why.
const DRAINED: u64 = 32 * 1024 * 1024;
/// Tags set by one push at most.
const MOST_TAGS: usize = 100;

pub(super) fn serve(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    reference: &str,
    query: &str,
) -> Answered {
    match exchange.head.method.as_str() {
        "GET" | "HEAD" => {
            let manifest = registry.manifest(name, reference)?;
            send(exchange, &manifest)
        }
        "PUT" => push(registry, exchange, name, &reference.parse()?, query),
        "DELETE" => {
            registry.remove_manifest(name, &reference.parse()?)?;
            answer::empty(exchange, &answer::head(202))
        }
        _ => answer::method_refused(exchange, "GET, HEAD, PUT, DELETE"),
    }
}

/// Sends a manifest.
pub(super) fn send(exchange: &mut Exchange<'_>, manifest: &Manifest) -> Answered {
    let status = if answer::is_known(exchange, &manifest.digest) { 304 } else { 200 };
    let head = answer::head(status)
        .content_type(&manifest.media)
        .with("Docker-Content-Digest", manifest.digest.as_str())
        .with("Etag", format!("\"{}\"", manifest.digest));
    exchange.respond(&head, &manifest.bytes)?;
    Ok(status)
}

fn push(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    reference: &ManifestReference,
    query: &str,
) -> Answered {
    let tags: Vec<String> = parameters(query, "tag").map(|tag| tag.into_owned()).collect();
    tags.iter().try_for_each(|tag| name::tag(tag))?;
    if tags.len() > MOST_TAGS {
        let reason = format!("at most {MOST_TAGS} tags at once");
        return Err(RegistryError::ManifestInvalid { reason }.into());
    }
    let media = exchange.head.header("content-type").map(str::to_owned);
    let bytes = read(exchange)?;
    let new = NewManifest { bytes: &bytes, media: media.as_deref(), reference, tags: &tags, whole: true };
    let pushed = registry.push_manifest(name, new)?;
    let mut head: ResponseHead = answer::head(201)
        .with("Location", format!("/v2/{name}/manifests/{}", pushed.digest))
        .with("Docker-Content-Digest", pushed.digest.as_str());
    if let Some(subject) = &pushed.subject {
        head = head.with("OCI-Subject", subject.as_str());
    }
    for tag in &tags {
        head = head.with("OCI-Tag", tag);
    }
    answer::empty(exchange, &head)
}

fn read(exchange: &mut Exchange<'_>) -> Result<Vec<u8>, RegistryError> {
    let mut body = exchange.body().map_err(RegistryError::Client)?;
    let mut bytes = Vec::new();
    let limit = MAX_MANIFEST as u64;
    (&mut body).take(limit + 1).read_to_end(&mut bytes).map_err(RegistryError::Client)?;
    if bytes.len() <= MAX_MANIFEST {
        return Ok(bytes);
    }
    // A connection closed with unread bytes would take the answer with it.
    let _ = io::copy(&mut body.take(DRAINED), &mut io::sink());
    Err(RegistryError::ManifestTooLarge { limit: MAX_MANIFEST })
}
