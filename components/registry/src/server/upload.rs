//! `/v2/NAME/blobs/uploads/`: beginning, adding, finishing, asking, giving up; whole in one request; mounting.

use oci::digest::{Algorithm, Digest, DigestError};
use transport::server::{Exchange, ResponseHead};

use super::answer::{self, Answered, held_range};
use super::range;
use super::route::parameter;
use crate::name::Repository;
use crate::percent::escape;
use crate::registry::{Finished, Incoming, Mounted};
use crate::{Registry, RegistryError};

/// Where a client may mount blobs from.
pub(super) type MayPull<'a> = &'a dyn Fn(&Repository) -> bool;

/// `POST /v2/NAME/blobs/uploads/`
pub(super) fn begin(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    query: &str,
    may_pull: MayPull<'_>,
) -> Answered {
    if exchange.head.method != "POST" {
        return answer::method_refused(exchange, "POST");
    }
    if let Some(digest) = parameter(query, "mount") {
        let digest: Digest = digest.parse().map_err(RegistryError::from)?;
        let from = parameter(query, "from").and_then(|from| from.parse::<Repository>().ok());
        if let Some(from) = from.filter(|from| may_pull(from))
            && registry.mount_blob(name, &digest, &from)? == Mounted::Done
        {
            return created(exchange, name, &digest);
        }
        // Else the client uploads it.
        return started(registry, exchange, name, digest.algorithm());
    }
    if let Some(digest) = parameter(query, "digest") {
        let digest: Digest = digest.parse().map_err(RegistryError::from)?;
        let id = registry.begin_upload(name, digest.algorithm())?;
        let result = take_last(registry, exchange, name, &id, &digest);
        if result.is_err() {
            // It may be gone already.
            let _ = registry.cancel_upload(name, &id);
        }
        let finished = result?;
        return created(exchange, name, &finished.digest);
    }
    let algorithm = match parameter(query, "digest-algorithm").as_deref() {
        None | Some("sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(_) => return Err(RegistryError::from(DigestError::Algorithm).into()),
    };
    started(registry, exchange, name, algorithm)
}

fn started(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    algorithm: Algorithm,
) -> Answered {
    let id = registry.begin_upload(name, algorithm)?;
    answer::empty(exchange, &progress(202, name, &id, 0))
}

/// Requests to an upload's own place.
pub(super) fn serve(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    id: &str,
    query: &str,
) -> Answered {
    match exchange.head.method.as_str() {
        "GET" | "HEAD" => {
            let size = registry.upload_size(name, id)?;
            answer::empty(exchange, &progress(204, name, id, size))
        }
        "PATCH" => {
            let size = with_incoming(exchange, |incoming| registry.append_upload(name, id, incoming))?;
            answer::empty(exchange, &progress(202, name, id, size))
        }
        "PUT" => {
            let digest = parameter(query, "digest").ok_or(RegistryError::DigestForm(DigestError::Format))?;
            let digest: Digest = digest.parse().map_err(RegistryError::from)?;
            let finished = take_last(registry, exchange, name, id, &digest)?;
            created(exchange, name, &finished.digest)
        }
        "DELETE" => {
            registry.cancel_upload(name, id)?;
            answer::empty(exchange, &answer::head(204).with("Docker-Upload-UUID", id))
        }
        _ => answer::method_refused(exchange, "GET, PATCH, PUT, DELETE"),
    }
}

fn take_last(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    id: &str,
    digest: &Digest,
) -> Result<Finished, RegistryError> {
    with_incoming(exchange, |incoming| registry.finish_upload(name, id, digest, incoming))
}

/// Hands the body over with what the headers say of it.
fn with_incoming<T>(
    exchange: &mut Exchange<'_>,
    take: impl FnOnce(Incoming<'_>) -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let head = &exchange.head;
    let announced = head.header("content-length").and_then(|text| text.parse::<u64>().ok());
    let mut start = None;
    if let Some(text) = head.header("content-range") {
        let malformed = || RegistryError::UploadInvalid { reason: "malformed Content-Range".to_owned() };
        let (first, count) = range::chunk(text).ok_or_else(malformed)?;
        if announced.is_some_and(|length| length != count) {
            return Err(RegistryError::SizeInvalid);
        }
        start = Some(first);
    }
    let mut body = exchange.body().map_err(RegistryError::Client)?;
    take(Incoming { body: &mut body, announced, start })
}

fn progress(status: u16, name: &Repository, id: &str, size: u64) -> ResponseHead {
    answer::head(status)
        .with("Location", format!("/v2/{name}/blobs/uploads/{}", escape(id)))
        .with("Range", held_range(size))
        .with("Docker-Upload-UUID", id)
}

fn created(exchange: &mut Exchange<'_>, name: &Repository, digest: &Digest) -> Answered {
    let head = answer::head(201)
        .with("Location", format!("/v2/{name}/blobs/{digest}"))
        .with("Docker-Content-Digest", digest.as_str());
    answer::empty(exchange, &head)
}
