//! Answers that all routes share: heads, errors, and what a client's header asked for.

use std::io;

use oci::digest::Digest;
use serde_json::json;
use transport::server::{Exchange, ResponseHead};

use crate::RegistryError;

/// Why a request has no answer of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// To be answered as an error document.
    #[error(transparent)]
    Refused(#[from] RegistryError),
    /// Nobody is there to read an answer.
    #[error("client")]
    Gone(#[from] io::Error),
}

/// The status of the answer that went out.
pub(crate) type Answered = Result<u16, Fault>;

/// A head with what every answer of a registry has.
pub(crate) fn head(status: u16) -> ResponseHead {
    ResponseHead::new(status).with("Docker-Distribution-Api-Version", "registry/2.0")
}

/// An answer without a body.
pub(crate) fn empty(exchange: &mut Exchange<'_>, head: &ResponseHead) -> Answered {
    exchange.respond(head, b"")?;
    Ok(head.status)
}

/// A JSON document.
pub(crate) fn document(
    exchange: &mut Exchange<'_>,
    head: ResponseHead,
    media: &str,
    value: &serde_json::Value,
) -> Answered {
    let head = head.content_type(media);
    exchange.respond(&head, value.to_string().as_bytes())?;
    Ok(head.status)
}

/// The error document of a refusal.
pub(crate) fn refuse(exchange: &mut Exchange<'_>, error: &RegistryError) -> io::Result<u16> {
    let mut head = head(error.status()).content_type("application/json");
    match error {
        RegistryError::Unauthorized { challenge } => head = head.with("WWW-Authenticate", challenge),
        RegistryError::UploadRange { size } => head = head.with("Range", held_range(*size)),
        RegistryError::TooManyRequests => head = head.with("Retry-After", "5"),
        _ => {}
    }
    // What failed inside is for the log, not for clients.
    let entry = json!({"code": error.code().text(), "message": error.to_string(), "detail": error.detail()});
    exchange.respond(&head, json!({"errors": [entry]}).to_string().as_bytes())?;
    Ok(error.status())
}

/// The `Range` header of an upload with so many bytes: the place of the last one.
pub(crate) fn held_range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

/// Whether the client holds these bytes already.
pub(crate) fn is_known(exchange: &Exchange<'_>, digest: &Digest) -> bool {
    let Some(header) = exchange.head.header("if-none-match") else { return false };
    header.split(',').any(|tag| {
        let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
        tag == digest.as_str()
    })
}

/// The refusal of a method.
pub(crate) fn method_refused(exchange: &mut Exchange<'_>, allowed: &str) -> Answered {
    let reason = format!("allowed are {allowed}");
    let error = RegistryError::Unsupported { reason };
    let head = head(405).content_type("application/json").with("Allow", allowed);
    let entry = json!({"code": error.code().text(), "message": error.to_string(), "detail": null});
    exchange.respond(&head, json!({"errors": [entry]}).to_string().as_bytes())?;
    Ok(405)
}
