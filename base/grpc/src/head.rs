//! The heads of calls and answers.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, request};

use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::timeout;

/// What a server reads in the head of a call.
#[derive(Debug)]
pub(crate) struct CallHead {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// What the caller sent along.
    pub(crate) metadata: Metadata,
    /// How long the caller waits.
    pub(crate) timeout: Option<Duration>,
}

/// Why a request is no call.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not gRPC at all: an HTTP status.
    Http(StatusCode),
    /// gRPC this server does not speak.
    Status(Status),
}

/// Reads the head of a call.
pub(crate) fn read(parts: &request::Parts) -> Result<CallHead, Refusal> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if parts.method != Method::POST {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !header("content-type").is_some_and(is_grpc) {
        return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if let Some(encoding) = header("grpc-encoding").filter(|encoding| *encoding != "identity") {
        let text = format!("grpc: Decompressor is not installed for grpc-encoding {encoding:?}");
        return Err(Refusal::Status(Status::new(Code::Unimplemented, text)));
    }
    let timeout = match header("grpc-timeout") {
        None => None,
        Some(text) => Some(timeout::parse(text).ok_or_else(|| {
            Refusal::Status(Status::new(Code::Internal, format!("malformed grpc-timeout {text:?}")))
        })?),
    };
    Ok(CallHead { path: parts.uri.path().to_owned(), metadata: Metadata::read_from(&parts.headers), timeout })
}

fn is_grpc(content_type: &str) -> bool {
    content_type
        .strip_prefix("application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The head of every answer.
pub(crate) fn answer() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    response
}

/// The whole answer to what is no call.
pub(crate) fn refuse(refusal: &Refusal) -> Response<()> {
    match refusal {
        Refusal::Http(code) => {
            let mut response = Response::new(());
            *response.status_mut() = *code;
            response
        }
        Refusal::Status(status) => {
            let mut response = answer();
            status.write_to(response.headers_mut());
            response
        }
    }
}

/// The head of a call a client makes.
pub(crate) fn call(
    path: &str,
    metadata: &Metadata,
    timeout: Option<Duration>,
) -> Result<Request<()>, Status> {
    let uri = Uri::builder()
        .scheme("http")
        .authority("localhost")
        .path_and_query(path)
        .build()
        .map_err(|error| Status::new(Code::Internal, format!("{path:?} is no method: {error}")))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("user-agent", HeaderValue::from_static("wharf"));
    if let Some(time) = timeout.and_then(|time| HeaderValue::from_str(&timeout::format(time)).ok()) {
        headers.insert("grpc-timeout", time);
    }
    metadata.write_to(headers);
    Ok(request)
}

/// Checks the head of an answer; the status when that is all there is.
pub(crate) fn check_answer(response: &Response<impl Sized>) -> Result<(), Status> {
    if let Some(status) = Status::read_from(response.headers()) {
        return if status.code == Code::Ok { Ok(()) } else { Err(status) };
    }
    if response.status() != StatusCode::OK {
        let text = format!("unexpected HTTP status code received from server: {}", response.status());
        return Err(Status::new(http_code(response.status()), text));
    }
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_grpc) {
        return Err(Status::new(Code::Unknown, format!("received unexpected content-type {content_type:?}")));
    }
    let encoding = response.headers().get("grpc-encoding").and_then(|value| value.to_str().ok());
    match encoding {
        None | Some("identity") => Ok(()),
        Some(other) => Err(Status::new(Code::Internal, format!("the answer is encoded with {other}"))),
    }
}

/// The codes gRPC gives HTTP's statuses.
fn http_code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
