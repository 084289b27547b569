//! `/v2/NAME/blobs/DIGEST`: downloads by sendfile, whole or in part, and removal.

use std::io::{self, Write as _};
use std::ops::Range;

use oci::digest::Digest;
use transport::server::{Exchange, ResponseHead};

use super::answer::{self, Answered};
use super::range::{Wanted, wanted};
use crate::Registry;
use crate::name::Repository;
use crate::storage::Blob;
use crate::upstream::{Fetched, Mirrored, Upstreams};

pub(super) fn serve(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    digest: &Digest,
) -> Answered {
    match exchange.head.method.as_str() {
        "HEAD" => {
            let size = registry.stat_blob(name, digest)?;
            exchange.respond_length(&head(200, digest), size)?;
            Ok(200)
        }
        "GET" => {
            let blob = registry.open_blob(name, digest)?;
            download(exchange, digest, blob)
        }
        "DELETE" => {
            registry.remove_blob(name, digest)?;
            answer::empty(exchange, &answer::head(202).with("Docker-Content-Digest", digest.as_str()))
        }
        _ => answer::method_refused(exchange, "GET, HEAD, DELETE"),
    }
}

/// A blob of a mirrored repository, fetched when it is not here.
pub(super) fn serve_mirrored(
    registry: &Registry,
    upstreams: &Upstreams,
    exchange: &mut Exchange<'_>,
    mirrored: &Mirrored,
    digest: &Digest,
) -> Answered {
    let name = &mirrored.local;
    match exchange.head.method.as_str() {
        "HEAD" => {
            let size = registry.stat_blob(name, digest).or_else(|_| registry.wanted_size(name, digest))?;
            exchange.respond_length(&head(200, digest), size)?;
            return Ok(200);
        }
        "GET" => {}
        _ => return serve(registry, exchange, name, digest),
    }
    if let Ok(blob) = registry.open_blob(name, digest) {
        return download(exchange, digest, blob);
    }
    // A part can be cut only from what is whole.
    let whole = exchange.head.header("range").is_none();
    let head = head(200, digest);
    let client = whole.then_some((&mut *exchange, &head));
    match upstreams.fetch_blob(registry, mirrored, digest, client)? {
        Fetched::Sent => Ok(200),
        Fetched::Kept => download(exchange, digest, registry.open_blob(name, digest)?),
    }
}

fn head(status: u16, digest: &Digest) -> ResponseHead {
    answer::head(status)
        .content_type("application/octet-stream")
        .with("Docker-Content-Digest", digest.as_str())
        .with("Etag", format!("\"{digest}\""))
        .with("Accept-Ranges", "bytes")
        // The bytes of a digest never change.
        .with("Cache-Control", "max-age=31536000")
}

/// Sends a blob, or the part asked for.
pub(super) fn download(exchange: &mut Exchange<'_>, digest: &Digest, blob: Blob) -> Answered {
    if answer::is_known(exchange, digest) {
        return answer::empty(exchange, &head(304, digest));
    }
    let size = blob.size();
    match wanted(exchange.head.header("range"), size) {
        Wanted::All => send(exchange, &head(200, digest), blob, 0..size),
        Wanted::Part(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
            send(exchange, &head(206, digest).with("Content-Range", range), blob, part)
        }
        Wanted::Outside => {
            let head = head(416, digest).with("Content-Range", format!("bytes */{size}"));
            answer::empty(exchange, &head)
        }
    }
}

fn send(exchange: &mut Exchange<'_>, head: &ResponseHead, blob: Blob, part: Range<u64>) -> Answered {
    match blob {
        Blob::File(file, _) => exchange.respond_file(head, &file, part)?,
        Blob::Bytes(bytes) => {
            let index = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
            let part = bytes.get(index(part.start)..index(part.end)).unwrap_or_default();
            exchange.respond(head, part)?;
        }
        Blob::Remote(_, open) => {
            let length = part.end - part.start;
            let mut source = open(part).map_err(crate::RegistryError::Storage)?;
            let mut output = exchange.stream_sized(head, length)?;
            io::copy(&mut source, &mut output)?;
            output.flush()?;
            output.finish()?;
        }
    }
    Ok(head.status)
}
